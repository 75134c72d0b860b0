"""
The doctor over a sample of requests: what is wrong again and again, where, and what to change.

In: timelines of a `Sample`. Out: `DoctorReport`. The rules are those of `stitch.doctor`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from collector.answers import Answer, Moment
from collector.query.learned.freshness import Freshness
from collector.query.learned.lateness import LyingClock
from collector.query.reports.sampling import Sample, Sampling
from collector.query.results import TimeRange
from collector.query.timelines.stitching import EXAMINED
from collector.stitch.doctor.catalogue import RULES
from collector.stitch.doctor.diagnose import Diagnosis, diagnose
from collector.stitch.doctor.overlap_rules import MIN_OVERLAPS
from collector.stitch.doctor.rule import MIN_REQUESTS, MIN_SHARE
from collector.stitch.timeline import Timeline, TimelineSpan
from collector.store import LostLines, Store

_LAYERS = {"gateway": "gateway", "edge": "edge", "dependency": "dependency"}
_MAX_EXAMPLES = 5
_LAYER_OF_RULE = {"HEADER_STRIPPED_BY_APP": "app", "CLOCK": "host"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorFinding:
    """
    Something that is wrong again and again at one hop: a service, or a gateway.

    `layer` is gateway, edge, mesh, app, dependency or host; `gateway` the product that the fix is
    written for. Of `requests` that passed the hop `affected` show it, a `share_of_traffic` from 0
    to 1. `meaning` says what comes of it. `example_ids` are requests, the newest first; `refs`
    records and spans of the newest.
    """

    rule: str
    title: str
    meaning: str
    hop: str
    layer: str
    gateway: str
    share_of_traffic: float
    requests: int
    affected: int
    first_seen_ns: Moment
    last_seen_ns: Moment
    example_ids: tuple[str, ...]
    message: str
    fix: str
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport(Answer):
    """What the doctor found in `looked_at` requests. `note` says why there is nothing."""

    findings: tuple[DoctorFinding, ...]
    looked_at: int
    range: TimeRange
    note: str


class Doctor:
    """Examines requests. Thread-safe."""

    def __init__(self, store: Store, sampling: Sampling, freshness: Freshness) -> None:
        self._store = store
        self._sampling = sampling
        self._freshness = freshness

    def report(self, pairs: Iterable[tuple[str, str]]) -> DoctorReport:
        """
        Return what is wrong in a range, the most frequent first.

        Raises:
            BadQuestion: a parameter cannot be understood; the message names it.
        """
        sample = self._sampling.draw(pairs, EXAMINED)
        lost = self._store.find_lost_lines(sample.range.start_ns, sample.range.end_ns)
        return examine(sample, self._freshness.lying_clocks(), lost)


def examine(
    sample: Sample, clocks: Sequence[LyingClock] = (), lost: Sequence[LostLines] = ()
) -> DoctorReport:
    """
    Return what the rules say of a sample.

    With it the *clocks* that the sources' lags give away, and the *lost* lines of access logs.
    """
    timelines = sample.timelines
    roles = _roles(timelines)
    findings = (
        *(
            _finding(found, _layer(found, roles.get(found.place, "")))
            for found in diagnose(timelines)
        ),
        *(_of_clock(clock, sample) for clock in clocks),
        *(
            _of_lines(lines)
            for lines in lost
            if lines.lost >= max(MIN_REQUESTS, MIN_SHARE * lines.lines)
        ),
    )
    notes = [sample.note] if sample.note else []
    if timelines and not findings:
        notes.append(_why_healthy(len(timelines)))
    return DoctorReport(
        findings=findings, looked_at=len(timelines), range=sample.range, note=" ".join(notes)
    )


def _finding(diagnosis: Diagnosis, layer: str) -> DoctorFinding:
    return DoctorFinding(
        rule=diagnosis.rule,
        title=diagnosis.title,
        meaning=diagnosis.meaning,
        hop=diagnosis.place,
        layer=layer,
        gateway=diagnosis.gateway,
        share_of_traffic=round(diagnosis.share, 6),
        requests=diagnosis.passing,
        affected=diagnosis.requests,
        first_seen_ns=diagnosis.first_seen_ns,
        last_seen_ns=diagnosis.last_seen_ns,
        example_ids=diagnosis.examples,
        message=diagnosis.message,
        fix=diagnosis.fix,
        refs=diagnosis.refs,
    )


def _of_clock(clock: LyingClock, sample: Sample) -> DoctorFinding:
    """Tell of a clock that a source's lag gives away, with the requests that it shows in."""
    timelines = sample.timelines
    passing = [t for t in timelines if any(hop.service == clock.source for hop in t.hops)]
    shown = [t for t in passing if any(_is_moved(span, clock.source) for span in t.spans)]
    return DoctorFinding(
        rule="SOURCE_CLOCK",
        title="A source's events are stamped by a wrong clock",
        meaning="Their lag is no lateness and is left out of the watermark; the spans are shown "
        "moved into the calls that caused them, where these are known.",
        hop=clock.source,
        layer="host",
        gateway="",
        share_of_traffic=round(len(shown) / len(passing), 6) if passing else 0.0,
        requests=len(passing),
        affected=len(shown),
        first_seen_ns=min((t.start_ns for t in shown), default=sample.range.start_ns),
        last_seen_ns=max((t.start_ns for t in shown), default=sample.range.end_ns),
        example_ids=tuple(t.id for t in shown[:_MAX_EXAMPLES]),
        message=f"{clock.source}: {clock.note}",
        fix=RULES["CLOCK"].fix_for(""),
        refs=(),
    )


def _of_lines(lines: LostLines) -> DoctorFinding:
    """Tell of lines that no request is known by."""
    sender = lines.service or "a proxy that does not name itself"
    return DoctorFinding(
        rule="LINES_WITHOUT_ID",
        title="Lines of an access log carry no id of their request",
        meaning="They belong to no timeline, and requests that only they tell of are in no list.",
        hop=lines.service,
        layer="mesh",
        gateway="",
        share_of_traffic=round(lines.lost / lines.lines, 6),
        requests=lines.lines,
        affected=lines.lost,
        first_seen_ns=lines.first_ns,
        last_seen_ns=lines.last_ns,
        example_ids=(),
        message=f"{sender}: {lines.lost:,} of {lines.lines:,} lines",
        fix="Add `%REQ(X-REQUEST-ID)%` or `%TRACE_ID%` to the proxies' access log format (Istio: "
        "meshConfig.accessLogFormat; a JSON format: a key `request_id` or `trace_id`).",
        refs=(),
    )


def _is_moved(span: TimelineSpan, service: str) -> bool:
    return span.service == service and span.adjusted_by_ns != 0


def _roles(timelines: Sequence[Timeline]) -> dict[str, str]:
    """Return the role in which each service is met most."""
    counts: dict[str, Counter[str]] = {}
    for timeline in timelines:
        for hop in timeline.hops:
            counts.setdefault(hop.service, Counter())[hop.role] += 1
    return {place: max(sorted(seen), key=lambda r: seen[r]) for place, seen in counts.items()}


def _layer(diagnosis: Diagnosis, role: str) -> str:
    return _LAYER_OF_RULE.get(diagnosis.rule) or _LAYERS.get(role, "mesh")


def _why_healthy(count: int) -> str:
    if count < MIN_REQUESTS:
        requests = "1 request is" if count == 1 else f"{count} requests are"
        return (
            f"{requests} too few: a rule needs {MIN_REQUESTS}, one about two layers "
            f"that act against each other {MIN_OVERLAPS}. Ask for a longer range."
        )
    return (
        f"Nothing is wrong often enough: of {count} requests no rule fired in {MIN_REQUESTS} "
        f"and {MIN_SHARE:.0%} of those that passed a place."
    )
