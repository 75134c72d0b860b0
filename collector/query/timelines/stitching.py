"""
The one place where questions call the rules of `stitch`, with all that the rules need to know.
"""

from collections.abc import Callable, Sequence

from collector.decode.records.from_spans import ServiceRule
from collector.model import GatewayRecord, LogRecord, Span
from collector.query.learned.freshness import Freshness
from collector.query.reports.join_count import JoinCount
from collector.query.timelines.expectations import Expectations
from collector.stitch.inputs import StitchInputs
from collector.stitch.join.likely import LikelyPair
from collector.stitch.pipeline import stitch
from collector.stitch.time.placement import NO_OFFSETS, ClockOffsets
from collector.stitch.timeline import Timeline
from collector.telemetry import Metrics


class Stitching:
    """
    Makes timelines, learns from them what to expect of the next, counts joins. Thread-safe.

    *offsets_at* tells what is known of the hosts' clocks at a moment.
    """

    def __init__(
        self,
        freshness: Freshness,
        metrics: Metrics,
        gateway_services: Sequence[ServiceRule],
        offsets_at: Callable[[int], ClockOffsets] = lambda _: NO_OFFSETS,
    ) -> None:
        self._offsets_at = offsets_at
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
        likely: Sequence[LikelyPair] = (),
        is_raw: bool = False,
        is_diagnosed: bool = True,
    ) -> Timeline:
        """
        Return the timeline of the request that *subject* names, as known at *now_ns*.

        *likely* are pairs for records that no id joins. A list shows no findings: it leaves the
        diagnosis out.
        """
        starts = [record.start_ns for record in records] + [span.start_ns for span in spans]
        inputs = StitchInputs(
            records=records,
            spans=spans,
            logs=logs,
            now_ns=now_ns,
            lags=self._expectations.lags_for(records, spans, now_ns),
            subject=subject,
            offsets=self._offsets_at(min(starts)) if starts else NO_OFFSETS,
            likely=likely,
            gateway_services=self._gateway_services,
            is_raw=is_raw,
            is_diagnosed=is_diagnosed,
        )
        timeline = stitch(inputs)
        self._expectations.learn(timeline)
        self._joins.note(timeline)
        return timeline
