"""
The doctor over a sample of requests: what is wrong again and again, where, and what to change.

In: timelines of a `Sample`. Out: `DoctorReport`. The rules are those of `stitch.doctor`.

Source: algorithms.md 4.4.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from collector.answers import Answer, Moment
from collector.query.reports.sampling import Sample, Sampling
from collector.query.results import TimeRange
from collector.stitch.doctor.diagnose import Diagnosis, diagnose
from collector.stitch.doctor.overlap_rules import MIN_OVERLAPS
from collector.stitch.doctor.rule import MIN_REQUESTS, MIN_SHARE
from collector.stitch.timeline import Timeline

_LAYERS = {"gateway": "gateway", "edge": "edge", "dependency": "dependency"}
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

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling

    def report(self, pairs: Iterable[tuple[str, str]]) -> DoctorReport:
        """
        Return what is wrong in a range, the most frequent first.

        Raises:
            BadQuestion: a parameter cannot be understood; the message names it.
        """
        return examine(self._sampling.draw(pairs))


def examine(sample: Sample) -> DoctorReport:
    """Return what the rules say of a sample."""
    timelines = sample.timelines
    roles = _roles(timelines)
    findings = tuple(
        _finding(found, _layer(found, roles.get(found.place, ""))) for found in diagnose(timelines)
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
        return (
            f"{count} requests are too few: a rule needs {MIN_REQUESTS}, one about two layers "
            f"that act against each other {MIN_OVERLAPS}. Ask for a longer range."
        )
    return (
        f"Nothing is wrong often enough: of {count} requests no rule fired in {MIN_REQUESTS} "
        f"and {MIN_SHARE:.0%} of those that passed a place."
    )
