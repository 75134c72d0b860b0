"""
How much of a request has arrived, and until when more is hoped for.

Each source has a watermark: everything it saw before that moment has arrived, but for the slowest
percent. A timeline is *complete* once the watermark of every expected source has passed the
request's end, *final* once the longest lateness has passed as well, *provisional* before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collector.stitch.join.gateways import AttachedRecord
from collector.stitch.timeline import Expected
from collector.stitch.tree.nodes import Node

SPAN_SOURCE = "spans"
"""Under which name spans are expected; gateway records go by `GatewayRecord.source`."""

HOUR_NS = 3_600_000_000_000
# Log Analytics promises 99.9 % within six hours (MicrosoftDocs/azure-docs#9688).
LONGEST_LATENESS_NS = 6 * HOUR_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLag:
    """
    How late one source is.

    `watermark_ns` is the latest event time up to which 99 % have arrived, `longest_lag_ns` the
    lateness after which nothing more is hoped for (0: the documented six hours).
    """

    watermark_ns: int
    p99_lag_ns: int
    longest_lag_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLags:
    """
    What is known of the sources, and which of them should know this request.

    `expected` is learned by the caller, for example from other requests of the same API.
    """

    by_source: Mapping[str, SourceLag] = field(default_factory=dict)
    expected: Sequence[str] = ()


def judge_state(
    members: Sequence[Node], own: Sequence[AttachedRecord], lags: SourceLags, now_ns: int
) -> tuple[str, tuple[Expected, ...]]:
    """Return what `judge_completeness` says of a stitched tree; its root is the first member."""
    root = members[0]
    arrived = {source for joint in own for source in joint.merged.sources}
    if any(node.span is not None for node in members):
        arrived.add(SPAN_SOURCE)
    return judge_completeness(
        arrived,
        lags,
        end_ns=_end_of(root, members),
        now_ns=now_ns,
        is_unsampled=any(joint.record.is_sampled is False for joint in own),
        is_answered_by_gateway=is_answered_at_gateway(members),
    )


def _end_of(root: Node, members: Sequence[Node]) -> int:
    """Return when a request ended; nothing ends after all that is known of it has arrived."""
    arrived = [node.span.received_ns for node in members if node.span is not None]
    arrived += [node.record.record.received_ns for node in members if node.record is not None]
    last = max(arrived, default=0)
    return min(root.raw_end, last) if last else root.raw_end


def are_spans_lost(expected: Sequence[Expected]) -> bool:
    """Tell whether spans should have come and are not hoped for any more."""
    return any(each.source == SPAN_SOURCE and each.status == "never" for each in expected)


def is_answered_at_gateway(members: Sequence[Node]) -> bool:
    """
    Tell whether the innermost gateway of a request called no backend.

    A span behind it would prove the opposite, whatever the gateway says.
    """
    if any(node.role != "gateway" for node in members):
        return False
    records = [node.record.record for node in members if node.record is not None]
    return bool(records) and records[-1].has_stayed_at_gateway


def judge_completeness(
    arrived: set[str],
    lags: SourceLags,
    *,
    end_ns: int,
    now_ns: int,
    is_unsampled: bool,
    is_answered_by_gateway: bool = False,
) -> tuple[str, tuple[Expected, ...]]:
    """
    Return the state of a timeline and what became of each source that should know the request.

    *arrived* are the sources that do know it. *is_unsampled*: the gateway decided against a trace,
    so no spans will come. *is_answered_by_gateway*: no call went on, so none will come either.
    """
    expected = []
    for source in sorted(arrived | set(lags.expected)):
        if source == SPAN_SOURCE and source not in arrived and is_answered_by_gateway:
            continue
        status, deadline = _status(
            source, arrived, lags, end_ns=end_ns, now_ns=now_ns, is_unsampled=is_unsampled
        )
        expected.append(Expected(source=source, status=status, deadline_ns=deadline))
    return _state(expected, lags, end_ns, now_ns), tuple(expected)


def _status(
    source: str,
    arrived: set[str],
    lags: SourceLags,
    *,
    end_ns: int,
    now_ns: int,
    is_unsampled: bool,
) -> tuple[str, int | None]:
    if source in arrived:
        return "arrived", None
    if source == SPAN_SOURCE and is_unsampled:
        return "not_sampled", None
    lag = lags.by_source.get(source)
    deadline = end_ns + _longest(lag)
    if now_ns >= deadline:
        return "never", deadline
    return "late", deadline


def _state(expected: Sequence[Expected], lags: SourceLags, end_ns: int, now_ns: int) -> str:
    considered = [e for e in expected if e.status != "not_sampled"]
    longest = [_longest(lags.by_source.get(e.source)) for e in considered]
    if now_ns >= end_ns + max(longest, default=LONGEST_LATENESS_NS):
        return "final"
    for entry in considered:
        lag = lags.by_source.get(entry.source)
        if lag is None or lag.watermark_ns < end_ns:
            return "provisional"
    return "complete"


def _longest(lag: SourceLag | None) -> int:
    if lag is None:
        return LONGEST_LATENESS_NS
    return max(lag.longest_lag_ns or LONGEST_LATENESS_NS, lag.p99_lag_ns)
