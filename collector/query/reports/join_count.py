"""
How gateway records were joined, counted once a record: the share of a tier is a health figure.
"""

import threading

from cachetools import LRUCache

from collector.model import GatewayRecord
from collector.stitch.timeline import Link, Timeline
from collector.telemetry import Metrics

_MAX_REMEMBERED = 50_000


class JoinCount:
    """Counts the tier of each record that was stitched, by API. Thread-safe."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._seen: LRUCache[tuple[str, str], bool] = LRUCache(_MAX_REMEMBERED)

    def note(self, timeline: Timeline) -> None:
        """Count the records of *timeline* that were not counted before and are settled."""
        for merged in timeline.gateway_records:
            record = merged.record
            tier = tier_of(timeline, record)
            if (
                tier is None
                and timeline.state == "provisional"
                and not record.has_stayed_at_gateway
            ):
                # Its spans may still come; counted now, it would be "none" for good.
                continue
            if self._is_new((record.gateway, record.record_id)):
                name = _name_of(tier, record)
                self._metrics.count("hopline_stitch_join_total", api=record.api, tier=name)

    def _is_new(self, key: tuple[str, str]) -> bool:
        with self._lock:
            is_new = self._seen.get(key) is None
            self._seen[key] = True
            return is_new


def best_link(timeline: Timeline, record: GatewayRecord | None) -> Link | None:
    """Return the surest link of *record* to something, `None` without any."""
    if record is None:
        return None
    name = record.reference
    own = [link for link in timeline.links if link.to and name in (link.from_, link.to)]
    return min(own, key=lambda link: (link.tier, -link.confidence), default=None)


def tier_name(timeline: Timeline, record: GatewayRecord) -> str:
    """Return the tier of a record, "gateway" if it never left it, "none" if nothing joins it."""
    return _name_of(tier_of(timeline, record), record)


def _name_of(tier: int | None, record: GatewayRecord) -> str:
    if tier is not None:
        return str(tier)
    return "gateway" if record.has_stayed_at_gateway else "none"


def tier_of(timeline: Timeline, record: GatewayRecord) -> int | None:
    """Return the best tier by which a record is joined to anything, `None` when it is not."""
    link = best_link(timeline, record)
    return None if link is None else link.tier
