"""
Symptoms to findings of one request, and those of many requests to diagnoses: which rule, where, in
what share of the traffic.

A rule is reported at a place only with support, by default 20 requests and 5 % of those that passed
the place. One broken request is a finding of that request, not a diagnosis.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.stitch.describe import Stitched
from collector.stitch.doctor.catalogue import (
    RULES,
    RULES_OF_MANY,
    RULES_OF_REQUESTS,
    RULES_OF_TREES,
)
from collector.stitch.doctor.reading import gateway_of, name_of, places_of
from collector.stitch.doctor.rule import RequestRule, Rule, Symptom
from collector.stitch.timeline import Finding, Timeline

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
    meaning: str
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
    """A rule at a place, with the requests that it fired on."""

    rule: Rule[Any, Any]
    place: str
    symptoms: list[tuple[Timeline, Symptom]] = field(default_factory=list)


def findings_of_tree(stitched: Stitched) -> list[Finding]:
    """Return what the tree of a request shows by itself."""
    return [
        _finding(rule, symptom, symptom.hop, symptom.detail)
        for rule in RULES_OF_TREES
        for symptom in rule.find(stitched)
    ]


def find_symptoms(timeline: Timeline) -> list[tuple[RequestRule, Symptom]]:
    """Return what the rules for single requests see in a timeline, in the catalogue's order."""
    return [(rule, symptom) for rule in RULES_OF_REQUESTS for symptom in rule.find(timeline)]


def findings_of(timeline: Timeline) -> list[Finding]:
    """Return the symptoms that one request is evidence enough for, as findings with fixes."""
    hop_of = {hop.service: hop.index for hop in reversed(timeline.hops)}
    return [
        _finding(
            rule,
            symptom,
            symptom.hop if symptom.hop >= 0 else hop_of.get(symptom.place, -1),
            f"{symptom.place}: {symptom.detail}",
        )
        for rule, symptom in find_symptoms(timeline)
        if rule.is_told
    ]


def diagnose(timelines: Iterable[Timeline]) -> tuple[Diagnosis, ...]:
    """Return the diagnoses, the largest number of requests first."""
    known = sorted(timelines, key=lambda t: (t.start_ns, t.id))
    cases: dict[tuple[str, str], _Case] = {}
    passing: dict[str, int] = {}
    for timeline in known:
        for place in places_of(timeline):
            passing[place] = passing.get(place, 0) + 1
        for rule, symptom in find_symptoms(timeline):
            _note(cases, rule, symptom, timeline)
        for of_tree, symptom in _told_by_tree(timeline):
            _note(cases, of_tree, symptom, timeline)
    for of_many in RULES_OF_MANY:
        for timeline, symptom in of_many.find(known):
            _note(cases, of_many, symptom, timeline)
    found = [
        _diagnosis(case, max(passing.get(case.place, 0), len(case.symptoms)))
        for case in cases.values()
    ]
    supported = [
        d
        for d in found
        if d.requests >= RULES[d.rule].min_requests and d.share >= RULES[d.rule].min_share
    ]
    return tuple(sorted(supported, key=lambda d: (-d.requests, d.rule, d.place)))


def _told_by_tree(timeline: Timeline) -> Iterator[tuple[Rule[Any, Any], Symptom]]:
    """Yield the findings that a timeline came with: its tree is gone by now."""
    of_trees = {rule.code: rule for rule in RULES_OF_TREES if not rule.is_normal}
    for finding in timeline.findings:
        rule = of_trees.get(finding.rule)
        if rule is not None:
            place = _place_of(timeline, finding)
            gateway = gateway_of(timeline)
            yield rule, Symptom(place, finding.message, gateway, finding.refs, fix=finding.fix)


def _place_of(timeline: Timeline, finding: Finding) -> str:
    if 0 <= finding.hop < len(timeline.hops):
        return timeline.hops[finding.hop].service
    if timeline.gateway_records:
        return name_of(timeline.gateway_records[0])
    return timeline.hops[0].service if timeline.hops else ""


def _note(
    cases: dict[tuple[str, str], _Case], rule: Rule[Any, Any], symptom: Symptom, timeline: Timeline
) -> None:
    if not symptom.is_habit:
        return
    case = cases.setdefault((rule.code, symptom.place), _Case(rule, symptom.place))
    # A request counts once, however often the rule fires in it.
    if not case.symptoms or case.symptoms[-1][0] is not timeline:
        case.symptoms.append((timeline, symptom))


def _finding(rule: Rule[Any, Any], symptom: Symptom, hop: int, message: str) -> Finding:
    return Finding(
        rule=rule.code,
        title=rule.title,
        meaning=rule.meaning,
        hop=hop,
        message=message,
        fix=symptom.fix or rule.fix_for(symptom.gateway),
        refs=symptom.refs,
    )


def _diagnosis(case: _Case, passing: int) -> Diagnosis:
    newest: Sequence[tuple[Timeline, Symptom]] = case.symptoms[::-1]
    timeline, symptom = newest[0]
    requests = len(newest)
    return Diagnosis(
        rule=case.rule.code,
        title=case.rule.title,
        meaning=case.rule.meaning,
        place=case.place,
        gateway=symptom.gateway,
        requests=requests,
        passing=passing,
        share=requests / passing,
        first_seen_ns=newest[-1][0].start_ns,
        last_seen_ns=timeline.start_ns,
        examples=tuple(t.id for t, _ in newest[:_MAX_EXAMPLES]),
        message=f"{case.place}: {symptom.detail} ({requests} of {passing} requests)",
        fix=symptom.fix or case.rule.fix_for(symptom.gateway),
        refs=symptom.refs,
    )
