"""
Symptoms of many requests to diagnoses: which rule, where, in what share of the traffic.

A rule is reported at a place only with support: at least 20 requests and 5 % of those that passed
the place. One broken request is a finding of that request, not a diagnosis.

Source: algorithms.md 4.4 (minimum support).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from collector.stitch.doctor.catalogue import POPULATION_RULES, RULES, TITLES, fix_for
from collector.stitch.doctor.symptoms import Symptom, places_of
from collector.stitch.timeline import Finding, Timeline

MIN_REQUESTS = 20
MIN_SHARE = 0.05
_MAX_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """
    A rule that fires at a place often enough to be its habit.

    `share` is `requests` out of `passing`, the requests that passed the place. `examples` are
    timeline ids, the newest first; `refs` are the records and spans of the newest.
    """

    rule: str
    title: str
    place: str
    gateway: str
    requests: int
    passing: int
    share: float
    first_seen_ns: int
    last_seen_ns: int
    examples: tuple[str, ...]
    message: str
    fix: str
    refs: tuple[str, ...]


@dataclass(slots=True)
class _Case:
    symptoms: list[tuple[Timeline, Symptom]] = field(default_factory=list)


def find_symptoms(timeline: Timeline) -> list[Symptom]:
    """Return what the rules for single requests see in one timeline, in the catalogue's order."""
    return [symptom for rule in RULES for symptom in rule.find(timeline)]


def findings_of(timeline: Timeline) -> tuple[Finding, ...]:
    """Return the symptoms that one request is evidence enough for, as findings with fixes."""
    hop_of = {hop.service: hop.index for hop in reversed(timeline.hops)}
    return tuple(
        Finding(
            rule=symptom.rule,
            hop=hop_of.get(symptom.place, -1),
            message=f"{symptom.place}: {symptom.detail}",
            fix=fix_for(symptom.rule, symptom.gateway),
            refs=symptom.refs,
        )
        for rule in RULES
        if rule.is_told
        for symptom in rule.find(timeline)
    )


def diagnose(
    timelines: Iterable[Timeline],
    *,
    min_requests: int = MIN_REQUESTS,
    min_share: float = MIN_SHARE,
) -> tuple[Diagnosis, ...]:
    """Return the diagnoses, the largest number of requests first."""
    known = sorted(timelines, key=lambda t: (t.start_ns, t.id))
    cases: dict[tuple[str, str], _Case] = {}
    passing: dict[str, int] = {}
    for timeline in known:
        for place in places_of(timeline):
            passing[place] = passing.get(place, 0) + 1
        for symptom in find_symptoms(timeline):
            _note(cases, timeline, symptom)
    for rule in POPULATION_RULES:
        for timeline, symptom in rule.find(known):
            _note(cases, timeline, symptom)
    found = [
        _diagnosis(name, place, case, max(passing.get(place, 0), _count(case)))
        for (name, place), case in cases.items()
    ]
    supported = [d for d in found if d.requests >= min_requests and d.share >= min_share]
    return tuple(sorted(supported, key=lambda d: (-d.requests, d.rule, d.place)))


def _note(cases: dict[tuple[str, str], _Case], timeline: Timeline, symptom: Symptom) -> None:
    case = cases.setdefault((symptom.rule, symptom.place), _Case())
    # A request counts once, however often the rule fires in it.
    if not case.symptoms or case.symptoms[-1][0] is not timeline:
        case.symptoms.append((timeline, symptom))


def _count(case: _Case) -> int:
    return len(case.symptoms)


def _diagnosis(rule: str, place: str, case: _Case, passing: int) -> Diagnosis:
    newest: Sequence[tuple[Timeline, Symptom]] = case.symptoms[::-1]
    timeline, symptom = newest[0]
    requests = len(newest)
    return Diagnosis(
        rule=rule,
        title=TITLES[rule],
        place=place,
        gateway=symptom.gateway,
        requests=requests,
        passing=passing,
        share=requests / passing,
        first_seen_ns=newest[-1][0].start_ns,
        last_seen_ns=timeline.start_ns,
        examples=tuple(t.id for t, _ in newest[:_MAX_EXAMPLES]),
        message=f"{place}: {symptom.detail} ({requests} of {passing} requests)",
        fix=fix_for(rule, symptom.gateway),
        refs=symptom.refs,
    )
