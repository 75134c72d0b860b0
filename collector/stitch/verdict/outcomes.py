"""
What the consumer got against what happened inside, and the work that was done for nobody.

`masked`      something inside failed, the consumer did not notice (retry, cache, fallback)
`manufactured` everything inside was well, the gateway made an error of it
`phantom`     the gateway reports a backend's failure, and no span of the backend exists though it
              should
`abandoned`   the consumer went away first
`zombie`      the inside worked on after somebody further out had stopped waiting

Durations only: how long a callee outlasted its caller needs no clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from collector.answers import Duration
from collector.stitch.time.critical_path import is_waited_for
from collector.stitch.time.timeouts import is_abandoned, timed_out_waiting
from collector.stitch.timeline import Timeline, Verdict
from collector.stitch.tree.hops import HopDraft
from collector.stitch.tree.nodes import Node
from collector.stitch.tree.tries import was_cancelled
from collector.stitch.verdict.first_failure import is_failing, is_silent, judge_below
from collector.stitch.verdict.gateway_errors import describe_handled, handled_errors

# Two clocks of one machine stamp the end of a call in either order; below this nobody worked on.
_NOISE_NS = 2_000_000
_MAX_EXAMPLES = 5
# gRPC: cancelled, deadline exceeded.
_ENDS_OF_STREAMS = (1, 4)
# Spans of these kinds say nothing of how they ended unless it was badly.
_SILENT_KINDS = ("Internal", "Client", "Producer", "Consumer")

# What failed below a span that never arrived, or that says nothing, may have been dealt with there.
_CALLER_UNKNOWN = 0.5


def add_outcome(
    verdict: Verdict,
    root: Node,
    members: Sequence[Node],
    hops: Sequence[HopDraft],
    *,
    are_spans_due: bool,
) -> Verdict:
    """
    Return *verdict* with its outcome and the time wasted.

    *are_spans_due*: spans of this request were expected and are not hoped for any more.
    """
    wasted = wasted_time(members)
    if verdict.layer == "none":
        told = _hidden_outcome(verdict, members, hops)
        return told if told.wasted_ns == wasted else replace(told, wasted_ns=wasted)
    outcome = _outcome_of_failure(verdict, root, members, wasted, are_spans_due=are_spans_due)
    return replace(verdict, outcome=outcome, wasted_ns=wasted)


def _hidden_outcome(verdict: Verdict, members: Sequence[Node], hops: Sequence[HopDraft]) -> Verdict:
    """Tell of a request that went well what failed inside, or afterwards, without its consumer."""
    hidden = _hidden_failure(members, hops)
    if hidden is not None:
        inner = judge_below(hidden, hops)
        if _is_whole_work(hidden):
            return inner
        unknown = _unknown_end(hidden, hops)
        if unknown:
            reason = f"{inner.reason}; {unknown}"
            confidence = min(inner.confidence, _CALLER_UNKNOWN)
            return replace(inner, reason=reason, confidence=confidence)
        reason = f"{inner.component} failed ({inner.class_}) and the consumer did not notice"
        return _told_of(verdict, inner, reason, "masked")
    for node in members:
        handled = handled_errors(node.record.record) if node.record is not None else ()
        if handled:
            reason = f"{node.service} dealt with {describe_handled(handled[-1])}"
            return replace(
                verdict, component=node.service, reason=reason, outcome="masked", hop=node.hop
            )
    later = _failed_afterwards(members, hops)
    if not later:
        return verdict
    inner = judge_below(later[0], hops)
    more = f", and {len(later) - 1} more" if len(later) > 1 else ""
    reason = f"answered, but {inner.component} failed afterwards ({inner.reason}){more}"
    return _told_of(verdict, inner, reason, verdict.outcome)


def _is_whole_work(failed: Node) -> bool:
    """Tell whether *failed* worked on the message that the span above it only fetched."""
    parent = failed.parent
    return (
        failed.kind == "Consumer"
        and parent is not None
        and parent.service == failed.service
        and parent.kind in ("Consumer", "Client")
        and is_silent(parent)
    )


def _unknown_end(failed: Node, hops: Sequence[HopDraft]) -> str:
    """Say why nobody knows how the request ended in which *failed* did, "" if it is known."""
    caller = failed.parent
    while caller is not None and caller.side == "client":
        caller = caller.parent
    if caller is not None and caller.is_span_missing:
        return "the span of its caller never arrived, nor how that ended"
    hop = hops[failed.hop]
    if hop.attempt < hop.attempts:
        return ""
    above = failed.parent
    while above is not None and above.kind in _SILENT_KINDS and is_silent(above):
        above = above.parent
    return "" if above is not None else "no span above it says how that ended"


def _told_of(verdict: Verdict, inner: Verdict, reason: str, outcome: str) -> Verdict:
    return replace(
        verdict,
        component=inner.component,
        class_=inner.class_,
        reason=reason,
        chain=inner.chain,
        outcome=outcome,
    )


def wasted_time(members: Sequence[Node]) -> int:
    """Return the longest time that a callee went on after its caller had given up."""
    longest = 0
    for node in members:
        caller = node.parent
        if caller is None or node.is_orphan:
            continue
        patience = caller.end - caller.start
        if caller.record is not None:
            if caller.record.record.backend_ns is not None:
                patience = caller.record.record.backend_ns
            patience += caller.record.record.resolution_ns
        excess = node.end - node.start - patience
        if excess <= _NOISE_NS or excess <= longest or not is_waited_for(node):
            continue
        if is_failing(caller) or is_abandoned(node):
            longest = excess
    return longest


def _outcome_of_failure(
    verdict: Verdict, root: Node, members: Sequence[Node], wasted: int, *, are_spans_due: bool
) -> str:
    if verdict.class_ == "client_abort":
        return "abandoned"
    if verdict.class_ == "timeout" and wasted:
        return "zombie"
    inside = [node for node in members if not node.is_gateway]
    if root.record is None:
        return "failed"
    blames_backend = (root.status_code or 0) >= 500 and verdict.rule != "GATEWAY_REFUSED"
    if not inside:
        if verdict.rule == "GATEWAY_AFTER_BACKEND":
            # The record itself says that the backend's answer was good.
            return "manufactured"
        return "phantom" if blames_backend and are_spans_due else "failed"
    entries = [node for node in inside if node.parent is not None and node.parent.is_gateway]
    return "failed" if any(is_failing(entry) for entry in entries) else "manufactured"


def _hidden_failure(members: Sequence[Node], hops: Sequence[HopDraft]) -> Node | None:
    """Return the outermost failure of a server's kind below something that did not fail."""
    apart = _set_apart(members)
    for node in members:
        # A client's span calls a 404 an error as well; whoever asked for it was answered.
        is_refused = node.status_code is not None and 400 <= node.status_code < 500
        if (is_refused or not node.is_error) and node.status_code not in (408, 429):
            continue
        parent = node.parent
        if parent is None or node in apart or is_failing(parent):
            continue
        if not hops[node.hop].is_mirrored and not is_abandoned(node) and not was_cancelled(node):
            return node
    return None


def _set_apart(members: Sequence[Node]) -> set[Node]:
    """Return what nobody waited for and all that it caused; parents come before children."""
    apart: set[Node] = set()
    for node in members:
        if node.parent in apart or (node.parent is not None and not is_waited_for(node)):
            apart.add(node)
    return apart


def _failed_afterwards(members: Sequence[Node], hops: Sequence[HopDraft]) -> list[Node]:
    """
    Return the failures of what nobody waited for: consumers of messages, work that was put off.

    Of a message that was delivered several times the last time counts. A stream that outlives the
    request ends by its deadline or is cancelled as a rule, and a copy's failure is the copy's. What
    failed inside counts if nothing above it says that it went well.
    """
    found = []
    open_tops: set[Node] = set()
    for node in members:
        is_apart = (node.is_async or node.is_background) and not node.is_mirrored
        if not is_apart and node.parent not in open_tops:
            continue
        if is_failing(node):
            is_stream = node.is_background and (
                node.grpc_status in _ENDS_OF_STREAMS or timed_out_waiting(node)
            )
            hop = hops[node.hop]
            is_last = node is not hop.top or hop.attempt == hop.attempts
            if is_last and not is_stream and not was_cancelled(node):
                found.append(node)
        elif node.kind in _SILENT_KINDS and is_silent(node):
            open_tops.add(node)
    return found


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """
    How many requests of an API and consumer ended alike; statuses as classes like `5xx`.

    `examples` are timeline ids, the newest first.
    """

    api: str
    consumer: str
    gateway_status: str
    edge_status: str
    app_status: str
    outcome: str
    requests: int
    wasted_ns: Duration
    examples: Annotated[tuple[str, ...], Field(serialization_alias="example_ids")] = ()


def count_outcomes(timelines: Iterable[Timeline]) -> list[OutcomeCount]:
    """
    Return the matrix of gateway status, edge status, application status and outcome.

    What was answered at the gateway is left out: there is no inside to compare it with.
    """
    counts: dict[tuple[str, str, str, str, str, str], tuple[int, int, list[str]]] = {}
    for timeline in sorted(timelines, key=lambda t: (-t.start_ns, t.id)):
        if timeline.is_answered_at_gateway:
            continue
        record = timeline.gateway_records[0].record if timeline.gateway_records else None
        key = (
            record.api if record is not None else "",
            record.consumer if record is not None else "",
            _status_class(str(record.status or "")) if record is not None else "",
            _status_of(timeline, "edge"),
            _status_of(timeline, "service"),
            timeline.verdict.outcome,
        )
        requests, wasted, examples = counts.get(key, (0, 0, []))
        if len(examples) < _MAX_EXAMPLES:
            examples.append(timeline.id)
        counts[key] = (requests + 1, wasted + timeline.verdict.wasted_ns, examples)
    return [
        OutcomeCount(*key, requests=requests, wasted_ns=wasted, examples=tuple(examples))
        for key, (requests, wasted, examples) in sorted(counts.items())
    ]


def _status_of(timeline: Timeline, role: str) -> str:
    status = next((hop.status for hop in timeline.hops if hop.role == role), "")
    return _status_class(status)


def _status_class(status: str) -> str:
    return f"{status[0]}xx" if status[:1].isdigit() else status
