"""
The one place where questions call the rules of `stitch`, with all that the rules need to know.
"""

from collections.abc import Sequence

from collector.decode.gateway_spans import ServiceRule
from collector.model import GatewayRecord, LogRecord, Span
from collector.query.expectations import Expectations
from collector.query.freshness import Freshness
from collector.query.joins import JoinCount
from collector.stitch.assemble import stitch
from collector.stitch.timeline import Timeline
from collector.telemetry import Metrics


class Stitching:
    """Makes timelines, learns from them what to expect of the next, counts joins. Thread-safe."""

    def __init__(
        self, freshness: Freshness, metrics: Metrics, gateway_services: Sequence[ServiceRule]
    ) -> None:
        self._expectations = Expectations(freshness)
        self._joins = JoinCount(metrics)
        self._gateway_services = gateway_services

    def make(
        self,
        records: Sequence[GatewayRecord],
        spans: Sequence[Span],
        logs: Sequence[LogRecord] = (),
        *,
        now_ns: int,
        subject: str,
        is_raw: bool = False,
    ) -> Timeline:
        """Return the timeline of the request that *subject* names, as known at *now_ns*."""
        timeline = stitch(
            records,
            spans,
            logs,
            now_ns=now_ns,
            lags=self._expectations.lags_for(records, spans, now_ns),
            subject=subject,
            gateway_services=self._gateway_services,
            is_raw=is_raw,
        )
        self._expectations.learn(timeline)
        self._joins.note(timeline)
        return timeline
