"""
The one place where questions call the rules of `stitch`, with all that the rules need to know.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from collector.decode.records.from_spans import ServiceRule
from collector.model import GatewayRecord, LogRecord, Span
from collector.query.learned.freshness import Freshness
from collector.query.reports.join_count import JoinCount
from collector.query.timelines.expectations import Expectations
from collector.stitch.inputs import Findings, StitchInputs
from collector.stitch.join.likely import LikelyPair
from collector.stitch.pipeline import stitch
from collector.stitch.time.placement import NO_OFFSETS, ClockOffsets
from collector.stitch.timeline import Timeline
from collector.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Profile:
    """
    What a timeline is made for.

    `is_brief` leaves out what only a reader of the whole timeline wants: the spans' events, links,
    trace states and times of arrival, and the records' own text but for `has_texts`. What is not an
    answer is not counted among the joins; what the clocks are learned from is not moved by what was
    learned. `has_likely`: a record and a trace that only likelihood joins are one request.
    `findings`: which of the doctor's rules are asked; its report asks the others of the timelines.
    """

    is_brief: bool = False
    has_texts: bool = False
    is_counted: bool = False
    uses_learned_clocks: bool = True
    has_likely: bool = False
    findings: Findings = "none"


ANSWER = Profile(is_counted=True, findings="all")
FOUND = Profile(is_counted=True)
LISTED = Profile(is_brief=True, is_counted=True, has_likely=True)
SAMPLED = Profile(is_brief=True)
SAMPLED_WHOLE = Profile()
EXAMINED = Profile(is_brief=True, has_texts=True, findings="of_tree")
LEARNT = Profile(is_brief=True, uses_learned_clocks=False)


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
        profile: Profile = ANSWER,
        likely: Sequence[LikelyPair] = (),
        is_raw: bool = False,
    ) -> Timeline:
        """
        Return the timeline of the request that *subject* names, as known at *now_ns*.

        *likely* are pairs for records that no id joins.
        """
        starts = [record.start_ns for record in records] + [span.start_ns for span in spans]
        has_offsets = bool(starts) and profile.uses_learned_clocks
        timeline = stitch(
            StitchInputs(
                now_ns=now_ns,
                records=records,
                spans=spans,
                logs=logs,
                lags=self._expectations.lags_for(records, spans, now_ns),
                subject=subject,
                offsets=self._offsets_at(min(starts)) if has_offsets else NO_OFFSETS,
                likely=likely,
                gateway_services=self._gateway_services,
                is_raw=is_raw,
                findings=profile.findings,
            )
        )
        self._expectations.learn(timeline)
        if profile.is_counted:
            self._joins.note(timeline)
        return timeline
