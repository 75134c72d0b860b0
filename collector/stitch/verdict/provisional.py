"""
Verdicts that a source which is still expected could overturn.

Until a gateway's record is there, nobody knows what its consumer got and whether it was the gateway
that went away: to the mesh a gateway that timed out is a client that left. Until the spans are
there, nobody knows what failed behind a gateway that only saw an error.
"""

from collections.abc import Sequence
from dataclasses import replace

from collector.stitch.completeness import SPAN_SOURCE, SourceLags
from collector.stitch.timeline import Expected, Verdict
from collector.stitch.tree.nodes import Node

# How sure a verdict can be of the party that only the missing record can speak for.
_MOST_OF_CLIENT = 0.6
_WITHOUT_RECORD = 0.85
_WITHOUT_SPANS = 0.85
_WITHOUT_LAST_SPANS = 0.95
# What a gateway decides by itself, whatever happened behind it.
_OWN_RULES = frozenset({"GATEWAY_REFUSED", "CLIENT_ABORT"})


def hold_open(
    verdict: Verdict,
    root: Node,
    expected: Sequence[Expected],
    lags: SourceLags,
) -> Verdict:
    """
    Return *verdict* with less confidence, and with what would settle it, if something still can.

    A request that went well by its gateway's own record did so whatever its spans will say.
    """
    late = [each.source for each in expected if each.status == "late"]
    records = [source for source in late if source != SPAN_SOURCE]
    if root.record is None and records:
        share, settling = _WITHOUT_RECORD, records
    elif root.record is not None and (verdict.layer == "none" or verdict.rule in _OWN_RULES):
        return verdict
    elif SPAN_SOURCE in late:
        share, settling = _WITHOUT_SPANS, [SPAN_SOURCE]
    elif _are_spans_coming_in(root, lags):
        share, settling = _WITHOUT_LAST_SPANS, [SPAN_SOURCE]
    else:
        return verdict
    confidence = verdict.confidence * share
    if verdict.layer == "client" and root.record is None and records:
        confidence = min(confidence, _MOST_OF_CLIENT)
    return replace(
        verdict,
        confidence=round(confidence, 4),
        is_provisional=True,
        settled_by=tuple(sorted(settling)),
    )


def _are_spans_coming_in(root: Node, lags: SourceLags) -> bool:
    lag = lags.by_source.get(SPAN_SOURCE)
    return lag is not None and lag.watermark_ns < root.raw_end
