"""
What timelines say in their own findings, counted over many requests: overlaps between gateway and
mesh, missing and late data, times that cannot be true.

The catalogue's own rules are counted by `diagnose`. An overlap shows only when both layers act,
which is rare by its nature: a few requests are support enough, whatever their share.

Source: algorithms.md 4.4 (minimum support), 4.5 (expected sources), 4.13 (timing truth).
"""

from collections.abc import Iterable, Iterator, Sequence

from collector.decode.quality import MEANINGS
from collector.stitch.doctor.catalogue import TITLES
from collector.stitch.doctor.diagnose import MIN_REQUESTS, MIN_SHARE, Diagnosis
from collector.stitch.doctor.symptoms import Symptom, gateway_of, name_of, places_of, reference_of
from collector.stitch.timeline import Finding, Timeline

MIN_OVERLAPS = 5
_MAX_EXAMPLES = 5
OVERLAP_TITLES = {
    "RETRIES_MULTIPLIED": "Two layers retry the same call",
    "TIMEOUT_LONGER_INSIDE": "An inner timeout is longer than the one in front of it",
    "RATE_LIMIT_BEHIND_GATEWAY": "The mesh limits what the gateway let through",
    "AUTHORIZATION_BEHIND_GATEWAY": "The mesh refuses what the gateway let through",
    "SPLIT_DISAGREES": "Gateway and mesh split traffic against each other",
}
_OBSERVED_TITLES = {
    "SOURCE_MISSING": "A source that should know the requests did not report",
    "SOURCE_LATE": "A source has not reported yet",
    "ORPHAN": "Parents of spans never arrive",
    "OUTSIDE_PARENT": "Spans reach outside of their parent's time",
    "TIMES_CONTRADICT": "Times of gateway and mesh contradict each other",
    "ONLY_ACCESS_LOGS": "Access logs arrive and spans do not",
    "NEGATIVE_DURATION": "Spans end before they begin",
    "DUPLICATE_SPAN": "Spans are sent more than once with different content",
    "DUPLICATE_ID": "Different spans share one id",
    "MISSING_ROOT": "The first span of traces never arrives",
    "SEVERAL_ROOTS": "Traces have several roots",
}
# How a sender is known to work, and no harm to the timeline.
_HARMLESS = frozenset({"SHARED_ID"})
_SOURCE_RULES = {"never": "SOURCE_MISSING", "late": "SOURCE_LATE"}


def diagnose_observed(
    timelines: Iterable[Timeline],
    *,
    min_requests: int = MIN_REQUESTS,
    min_share: float = MIN_SHARE,
    min_overlaps: int = MIN_OVERLAPS,
) -> tuple[Diagnosis, ...]:
    """Return what is seen often enough, the largest number of requests first."""
    cases: dict[tuple[str, str], list[tuple[Timeline, Symptom, str]]] = {}
    passing: dict[str, int] = {}
    for timeline in sorted(timelines, key=lambda t: (t.start_ns, t.id)):
        for place in places_of(timeline):
            passing[place] = passing.get(place, 0) + 1
        seen: set[tuple[str, str]] = set()
        for symptom, fix in _symptoms(timeline):
            key = (symptom.rule, symptom.place)
            if key not in seen:
                seen.add(key)
                cases.setdefault(key, []).append((timeline, symptom, fix))
    found = [_diagnosis(case, passing) for case in cases.values()]
    supported = [
        d
        for d in found
        if (d.requests >= min_overlaps and d.rule in OVERLAP_TITLES)
        or (d.requests >= min_requests and d.share >= min_share)
    ]
    return tuple(sorted(supported, key=lambda d: (-d.requests, d.rule, d.place)))


def _symptoms(timeline: Timeline) -> Iterator[tuple[Symptom, str]]:
    for finding in timeline.findings:
        if finding.rule not in TITLES and finding.rule not in _HARMLESS:
            symptom = Symptom(
                finding.rule,
                _place_of(timeline, finding),
                finding.message,
                gateway_of(timeline),
                finding.refs,
            )
            yield symptom, finding.fix
    place = name_of(timeline.gateway_records[0]) if timeline.gateway_records else _first(timeline)
    refs = tuple(reference_of(merged) for merged in timeline.gateway_records) or (timeline.id,)
    for expected in timeline.expected:
        rule = _SOURCE_RULES.get(expected.status)
        if rule:
            word = "no longer will" if expected.status == "never" else "may still come"
            detail = f"{expected.source} did not report and {word}"
            fix = f"see GET /api/v1/sources for {expected.source}: its lag, and what it last sent"
            yield Symptom(rule, place, detail, gateway_of(timeline), refs), fix


def _place_of(timeline: Timeline, finding: Finding) -> str:
    if 0 <= finding.hop < len(timeline.hops):
        return timeline.hops[finding.hop].service
    if timeline.gateway_records:
        return name_of(timeline.gateway_records[0])
    return _first(timeline)


def _first(timeline: Timeline) -> str:
    return timeline.hops[0].service if timeline.hops else ""


def _diagnosis(case: Sequence[tuple[Timeline, Symptom, str]], passing: dict[str, int]) -> Diagnosis:
    newest, symptom, fix = case[-1]
    count = len(case)
    total = max(passing.get(symptom.place, 0), count)
    return Diagnosis(
        rule=symptom.rule,
        title=_title(symptom.rule),
        place=symptom.place,
        gateway=symptom.gateway,
        requests=count,
        passing=total,
        share=count / total,
        first_seen_ns=case[0][0].start_ns,
        last_seen_ns=newest.start_ns,
        examples=tuple(timeline.id for timeline, _, _ in case[::-1][:_MAX_EXAMPLES]),
        message=f"{symptom.place}: {symptom.detail} ({count} of {total} requests)",
        fix=fix,
        refs=symptom.refs,
    )


def _title(rule: str) -> str:
    titles = {**OVERLAP_TITLES, **_OBSERVED_TITLES, **MEANINGS}
    title = titles.get(rule) or rule.replace("_", " ").lower()
    return title[:1].upper() + title[1:]
