"""
How right one answer is: pure functions over a timeline's document and the truth of its scenario.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.lab.scenario import ALLOWANCE_MS, Scenario, Truth

Document = Mapping[str, Any]

LIKELY_TIER, CLAIMED = 4, 0.95
# What an injected delay may be shorter: whole milliseconds cut off, and Envoy's timers, which
# count from its event loop's last look at the clock.
_SLACK_MS = 10.0


@dataclass(frozen=True, slots=True)
class Sent:
    """One request whose truth is known. `id` is what its caller would look for."""

    scenario: Scenario
    marker: str
    id: str
    status: int
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Score:
    """
    What of one answer is right; None where the truth has nothing to say.

    `tier` is the tier by which gateway and mesh were joined, None if they were not; `is_own` tells
    whether all joined traces are those of this very request. `said` is each wrong part in words.
    """

    sent: Sent
    hop: bool | None
    layer: bool
    class_: bool
    findings: bool | None
    phases: bool | None
    whole: bool
    tier: int | None
    confidence: float
    is_own: bool
    is_joined_right: bool | None
    said: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.said


def judge(sent: Sent, answer: Document | None) -> Score:
    """Compare an answer with the truth; no answer at all is wrong in every part."""
    if answer is None:
        nothing = ("Hopline knows nothing of it",)
        nowhere = (False,) * 6
        return Score(sent, *nowhere, None, 0.0, is_own=True, is_joined_right=False, said=nothing)
    truth = sent.scenario.truth
    if truth.may_join and tier_of(answer) is None:
        return _left_alone(sent, answer)
    wrong = {
        "hop": [*_wrong_hop(truth, answer)],
        "layer": [*_wrong("layer", truth.layer, answer["verdict"]["layer"])],
        "class": [*_wrong_class(truth, answer)],
        "findings": [*_wrong_findings(truth, answer)],
        "phases": [*_wrong_phases(truth, answer)],
        "whole": [*_wrong_whole(answer)],
        "join": [*_wrong_join(sent, answer)],
        "rest": [*_wrong_rest(sent, answer)],
    }
    return Score(
        sent,
        hop=not wrong["hop"] if truth.hop else None,
        layer=not wrong["layer"],
        class_=not wrong["class"],
        findings=not wrong["findings"],
        phases=not wrong["phases"],
        whole=not (wrong["whole"] or wrong["rest"]),
        tier=tier_of(answer),
        confidence=_confidence(answer),
        is_own=is_own(sent, answer),
        is_joined_right=None if is_unsure(answer) else not wrong["join"],
        said=tuple(text for texts in wrong.values() for text in texts),
    )


def _left_alone(sent: Sent, answer: Document) -> Score:
    """Score an answer that joins nothing where nothing has to be joined."""
    said = (*_wrong("layer", "none", answer["verdict"]["layer"]), *_wrong_whole(answer))
    is_right = not said
    return Score(
        sent,
        hop=None,
        layer=is_right,
        class_=is_right,
        findings=None,
        phases=None,
        whole=is_right,
        tier=None,
        confidence=0.0,
        is_own=True,
        is_joined_right=True,
        said=said,
    )


def blamed_hop(truth: Truth, answer: Document) -> str:
    """Return the hop that the answer blames, as `<role> <service>`, or ""."""
    verdict, hops = answer["verdict"], answer["hops"]
    if truth.class_ and truth.outcome == "masked":
        component = verdict["component"].partition(".")[0]
        return next((_title(h) for h in hops if _title(h).endswith(f" {component}")), component)
    if truth.class_:
        return _title(hops[verdict["hop"]]) if verdict["hop"] >= 0 else ""
    slowest = max(hops, key=lambda hop: hop["critical_ms"], default=None)
    return _title(slowest) if slowest is not None else ""


def _title(hop: Document) -> str:
    return f"{hop['role']} {hop['service'].partition('.')[0]}"


def tier_of(answer: Document) -> int | None:
    """Return the tier of the surest link between a gateway record and a span or trace."""
    tiers = [link["tier"] for link in _joins(answer)]
    return min(tiers, default=None)


def _joins(answer: Document) -> list[Document]:
    """Links from a record into the mesh; those between two records do not count."""
    records = {f"{r['gateway']}/{r['record_id']}" for r in answer["gateway_records"]}
    links = answer["links"]
    return [k for k in links if k["to"] and k["to"] not in records and k["from"] in records]


def _confidence(answer: Document) -> float:
    return max((link["confidence"] for link in _joins(answer)), default=0.0)


def is_unsure(answer: Document) -> bool:
    """Tell whether the join is one that Hopline itself gives less than 0.95."""
    return tier_of(answer) == LIKELY_TIER and _confidence(answer) < CLAIMED


def is_own(sent: Sent, answer: Document) -> bool:
    """Tell whether every span of the mesh's ingress belongs to this request, by its path."""
    paths = [
        span["attributes"].get("http.url", span["attributes"].get("url.full", ""))
        for span in answer["spans"]
        if span["role"] == "edge"
    ]
    return all(path.endswith(sent.marker) for path in paths if path)


def _wrong(what: str, true: object, said: object) -> Iterator[str]:
    if true != said:
        yield f"{what} {said!r}, not {true!r}"


def _wrong_hop(truth: Truth, answer: Document) -> Iterator[str]:
    if truth.hop:
        yield from _wrong("hop", truth.hop, blamed_hop(truth, answer))


def _wrong_class(truth: Truth, answer: Document) -> Iterator[str]:
    verdict = answer["verdict"]
    yield from _wrong("class", truth.class_, verdict["class"])
    if truth.component:
        yield from _wrong("component", truth.component, verdict["component"].partition(".")[0])
    if truth.outcome:
        yield from _wrong("outcome", truth.outcome, verdict["outcome"])
    if truth.reason not in verdict["reason"]:
        yield f"reason {verdict['reason']!r} without {truth.reason!r}"
    if truth.acts is not None:
        # Which revision answered is told of every request.
        acts = {act["feature"] for act in answer["acts"]} - {"traffic_split"}
        yield from _wrong("acts", set(truth.acts), acts)


def _wrong_findings(truth: Truth, answer: Document) -> Iterator[str]:
    found = {finding["rule"] for finding in answer["findings"]}
    for rule in sorted(truth.findings - found):
        yield f"finding {rule} is missing"
    for rule in sorted(found - truth.findings - truth.may_find):
        yield f"finding {rule} is not true"


def _wrong_phases(truth: Truth, answer: Document) -> Iterator[str]:
    """The injected time has to be in its phase, and what is left for all others small."""
    if not truth.phase:
        return
    phases = {phase["name"]: phase["duration_ms"] for phase in answer["phases"]}
    found_ms = phases.get(truth.phase, 0.0)
    if not truth.injected_ms - _SLACK_MS <= found_ms <= truth.injected_ms + ALLOWANCE_MS:
        yield f"{truth.phase} {found_ms:.1f} ms, {truth.injected_ms:.0f} ms were injected"
    rest_ms = sum(phases.values()) - found_ms
    if rest_ms > ALLOWANCE_MS:
        yield f"other phases have {rest_ms:.1f} ms"


def _wrong_whole(answer: Document) -> Iterator[str]:
    """
    Phases sum to the total, and the critical path covers it without gap or overlap.

    Hops and spans say the same of the path as the path itself.
    """
    total_ns = _to_ns(answer["duration_ms"])
    sum_ns = sum(_to_ns(phase["duration_ms"]) for phase in answer["phases"])
    if sum_ns != total_ns:
        yield f"phases sum to {sum_ns} ns of {total_ns} ns"
    at_ns = 0
    for section in answer["critical_path"]:
        if _to_ns(section["from_ms"]) != at_ns:
            yield f"the critical path jumps from {at_ns} ns to {section['from_ms']} ms"
        at_ns = _to_ns(section["to_ms"])
    if at_ns != total_ns:
        yield f"the critical path ends at {at_ns} ns of {total_ns} ns"
    held_ns = sum(_to_ns(hop["critical_ms"]) for hop in answer["hops"])
    if held_ns != total_ns:
        yield f"hops hold the answer up for {held_ns} ns of {total_ns} ns"
    on_path = {section["span_id"] for section in answer["critical_path"]}
    if on_path != {span["span_id"] for span in answer["spans"] if span["on_critical_path"]}:
        yield "spans and path disagree about who is on it"


def _wrong_join(sent: Sent, answer: Document) -> Iterator[str]:
    truth = sent.scenario.truth
    if not is_own(sent, answer) and not is_unsure(answer):
        yield "joined with another request's trace"
    yield from _wrong("join tier", truth.tier, tier_of(answer))
    yield from _wrong("gateway records:", truth.records, len(answer["gateway_records"]))
    has_spans = any(span["role"] not in ("gateway",) for span in answer["spans"])
    if has_spans != truth.has_spans:
        yield "spans of the mesh, where there are none" if has_spans else "no spans of the mesh"


def _wrong_rest(sent: Sent, answer: Document) -> Iterator[str]:
    # A caller that went away got no status; what the gateway logged then is its own affair.
    truth = sent.scenario.truth
    is_open = truth.is_provisional and answer["status"] is None
    if sent.status and not is_open:
        yield from _wrong("status", sent.status, answer["status"])
    states = {item["source"]: item["status"] for item in answer["expected"]}
    yield from _wrong("answered at the gateway:", truth.is_answered, answer["answered_at_gateway"])
    yield from _wrong("provisional:", truth.is_provisional, answer["verdict"]["provisional"])
    for source, status in truth.expected.items():
        yield from _wrong(f"expected {source}", status, states.get(source))


def _to_ns(duration_ms: float) -> int:
    return round(duration_ms * 1_000_000)
