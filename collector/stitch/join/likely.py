"""
Pairs that were joined by likelihood (tier 4), brought into the matching of one request.

They stand below every join by id: a record that an id joins keeps that, and so does a span.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.stitch.join.by_id import Match, Matches, TraceView
from collector.stitch.timeline import Evidence, MergedRecord, RejectedCandidate
from collector.stitch.tree.nodes import record_reference

TIMELINE_MINIMUM = 0.5


@dataclass(frozen=True, slots=True)
class LikelyPair:
    """
    A record and the span that is its partner with this probability (`statistical_join`).

    `record` is `<gateway>/<record id>`, `span` `<trace id>/<span id>`.
    `is_demoted`: the route's measured precision does not keep what it claims, so that this is a
    candidate and no link. `rivals` are the other spans that it could have been.
    """

    record: str
    span: str
    route: str
    probability: float
    runner_up: float
    evidence: tuple[Evidence, ...]
    is_demoted: bool = False
    rivals: tuple[RejectedCandidate, ...] = ()


def add_likely(
    matched: Sequence[tuple[MergedRecord, Matches]],
    likely: Sequence[LikelyPair],
    traces: Mapping[str, TraceView],
) -> None:
    """Add to each record without a match the pair that concerns it, or say why it is not taken."""
    by_record = {pair.record: pair for pair in likely}
    claimed = {m.trace.trace_id for _, matches in matched for m in matches.accepted}
    for merged, matches in matched:
        pair = by_record.get(record_reference(merged))
        if pair is None or matches.accepted:
            continue
        trace_id, _, span_id = pair.span.partition("/")
        objection = _objection(pair, trace_id, claimed, traces)
        if objection:
            matches.rejected.append(
                RejectedCandidate(
                    to=pair.span,
                    tier=5,
                    confidence=round(pair.probability, 4),
                    reason=objection,
                    evidence=pair.evidence,
                )
            )
            matches.rejected.extend(pair.rivals)
            continue
        trace = traces[trace_id]
        entry = next((n for n in trace.nodes if n.span and n.span.span_id == span_id), None)
        matches.accepted.append(Match(trace, 4, round(pair.probability, 4), pair.evidence, entry))
        matches.rejected.extend(pair.rivals)


def _objection(
    pair: LikelyPair, trace_id: str, claimed: set[str], traces: Mapping[str, TraceView]
) -> str:
    if pair.is_demoted:
        return "joins without ids are not proven for this route: a candidate only"
    if pair.probability < TIMELINE_MINIMUM:
        return "less likely than not"
    if trace_id not in traces:
        return "its spans are not at hand"
    if trace_id in claimed:
        return "another record is joined to this trace by an id"
    return ""
