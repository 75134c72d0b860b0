"""
The critical path: at each moment, which node alone held up the answer.

A backward walk over integer nanoseconds with its own stack. A child that ends exactly where the
next one starts is on the path (`<=`), so that times in whole milliseconds bill both. Sections tile
the root without gap or overlap. What nobody waits for (a consumer of a queue, a mirrored request)
is not on it.

Source: algorithms.md 3a (Jaeger's algorithm and the two weaknesses fixed here).
"""

from collections.abc import Sequence
from operator import attrgetter

from collector.stitch.tree.nodes import Node

_START = attrgetter("start")
Frame = tuple[Node, int, int, int, list[Node]]


def find_critical_path(root: Node) -> list[tuple[Node, int, int]]:
    """
    Return the sections of the path as (node, from, to), in order of time.

    Children are cut to their parent's time first; one that lies outside of it is left out with
    everything below it. Sums of a node's sections are written to `critical_time`.
    """
    sections: list[tuple[Node, int, int]] = []
    frames = [_frame(root, root.start, root.end)]
    while frames:
        node, low, high, cursor, children = frames[-1]
        child = _next_child(children, low, high, cursor)
        if child is None:
            _emit(sections, node, low, cursor)
            frames.pop()
            continue
        start, end = max(child.start, low), min(child.end, high)
        _emit(sections, node, end, cursor)
        frames[-1] = (node, low, high, start, children)
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
    """Tell whether the parent waits for *node*."""
    if node.is_mirrored:
        return False
    parent = node.parent
    return node.kind != "Consumer" or parent is None or parent.kind != "Producer"


def _frame(node: Node, low: int, high: int) -> Frame:
    """Open a node: its window, the cursor at the window's end, its children, last to end last."""
    waited = [child for child in node.children if is_waited_for(child)]
    waited.sort(key=lambda c: (c.end, c.start, c.span_id))
    return (node, low, high, high, waited)


def _next_child(children: list[Node], low: int, high: int, cursor: int) -> Node | None:
    """Return the child that ends last at or before the cursor, both cut to the window."""
    while children:
        child = children.pop()
        if child.end <= low:
            return None
        if min(child.end, high) <= cursor and max(child.start, low) < min(child.end, cursor):
            return child
    return None


def _emit(sections: list[tuple[Node, int, int]], node: Node, low: int, high: int) -> None:
    if low < high:
        sections.append((node, low, high))
        node.critical_time += high - low
