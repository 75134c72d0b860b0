"""
The critical path: at each moment, which node alone held up the answer.

A backward walk over integer nanoseconds with its own stack. A child that ends exactly where the
next one starts is on the path (`<=`), so that times in whole milliseconds bill both, and so is one
whose overlap with the next is too small to be work done side by side. Sections tile the root
without gap or overlap. What nobody waits for (a consumer of a queue, a mirrored request, a stream
that outlives the request, the slower one of two tries side by side) is not on it.

Source: Jaeger's critical path, and CRISP's happens-before with slack.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from collector.stitch.tree.nodes import Node

_START = attrgetter("start")
# CRISP: one call follows another if they overlap by less than this share of their parent.
_SLACK_SHARE = 100
# Steps in which clocks and formats count, the coarsest first.
_STEPS_NS = (1_000_000, 1_000)


@dataclass(slots=True)
class _Frame:
    """A node that is being walked: its window, how far back it is explained, the children left."""

    node: Node
    low: int
    high: int
    cursor: int
    left: list[Node]
    all: Sequence[Node]
    starts: Sequence[int] = ()
    ends: Sequence[int] = ()


def find_critical_path(root: Node) -> list[tuple[Node, int, int]]:
    """
    Return the sections of the path as (node, from, to), in order of time.

    Children are cut to their parent's time first; one that lies outside of it is left out with
    everything below it. Sums of a node's sections are written to `critical_time`.
    """
    sections: list[tuple[Node, int, int]] = []
    frames = [_frame(root, root.start, root.end)]
    while frames:
        frame = frames[-1]
        child = _next_child(frame)
        if child is None:
            _emit(sections, frame.node, frame.low, frame.cursor)
            frames.pop()
            continue
        start, end = max(child.start, frame.low), min(child.end, frame.cursor)
        _emit(sections, frame.node, end, frame.cursor)
        frame.cursor = start
        frames.append(_frame(child, start, end))
    sections.reverse()
    return sections


def measure_self_times(members: Sequence[Node]) -> None:
    """Set `self_time`: a node's duration without the time in which any child was running."""
    for node in members:
        begin, end = node.start, node.end
        covered, reach = 0, begin
        children = node.children
        if len(children) > 1:
            children = sorted(children, key=_START)
        for child in children:
            low, high = child.start, child.end
            low = low if low > reach else reach
            high = high if high < end else end
            if high > low and is_waited_for(child):
                covered += high - low
                reach = high
        node.self_time = end - begin - covered


def is_waited_for(node: Node) -> bool:
    """
    Tell whether the parent waits for *node*.

    Nobody waits for another service that consumes a message, whether or not its sending has a span;
    who told of it as a call may have waited for a reply.
    """
    if node.is_mirrored or node.is_background or node.is_outrun:
        return False
    parent = node.parent
    if node.kind != "Consumer" or parent is None:
        return True
    is_message = parent.kind == "Producer"
    return not is_message and (parent.service == node.service or parent.side == "client")


def _frame(node: Node, low: int, high: int) -> _Frame:
    """Open a node: its children stand in order of their end, the last to end is taken first."""
    waited = [child for child in node.children if is_waited_for(child)]
    if len(waited) > 1:
        waited.sort(key=lambda c: (c.end, c.start, c.span_id))
    return _Frame(node, low, high, high, waited, node.children)


def _next_child(frame: _Frame) -> Node | None:
    """Return the child that ends last before the next one begins, both cut to the window."""
    left, low, cursor = frame.left, frame.low, frame.cursor
    while left:
        child = left.pop()
        if child.end <= low:
            return None
        if max(child.start, low) >= min(child.end, cursor):
            continue
        end = min(child.end, frame.high)
        if end <= cursor or _is_followed(frame, end):
            return child
    return None


def _is_followed(frame: _Frame, end: int) -> bool:
    """
    Tell whether what begins at the cursor follows a child, though that ends a little later.

    The overlap is no more than a step of the units, or less than a hundredth of the parent, and no
    third child begins or ends within it: then it is what clocks make of a sequence.
    """
    overlap = end - frame.cursor
    is_small = overlap * _SLACK_SHARE < frame.high - frame.low
    if not is_small and overlap > _step(end, frame.cursor):
        return False
    if not frame.starts:
        frame.starts = sorted(each.start for each in frame.all)
        frame.ends = sorted(each.end for each in frame.all)
    return not (
        _has_between(frame.starts, frame.cursor, end) or _has_between(frame.ends, frame.cursor, end)
    )


def _step(*moments: int) -> int:
    """Return the coarsest step that all *moments* are a multiple of, 0 for nanoseconds."""
    return next((step for step in _STEPS_NS if not any(m % step for m in moments)), 0)


def _has_between(ordered: Sequence[int], low: int, high: int) -> bool:
    return bisect_right(ordered, low) < bisect_left(ordered, high)


def _emit(sections: list[tuple[Node, int, int]], node: Node, low: int, high: int) -> None:
    if low < high:
        sections.append((node, low, high))
        node.critical_time += high - low
