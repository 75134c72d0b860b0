"""The critical path against a short recursive definition, and its edges."""

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.model import Span
from collector.stitch.time.critical_path import find_critical_path, measure_self_times
from collector.stitch.tree.nodes import Node


def node(
    name: str, start: int, end: int, parent: Node | None = None, kind: str = "Internal"
) -> Node:
    """Return a placed node under *parent*."""
    span = Span(
        trace_id="t",
        span_id=name,
        parent_span_id="",
        name=name,
        service="s",
        start_ns=start,
        end_ns=end,
        kind=kind,
    )
    made = Node(name, "t", start, end, span=span, start=start, end=end, parent=parent)
    if parent is not None:
        parent.children.append(made)
    return made


def path(root: Node) -> list[tuple[str, int, int]]:
    """Return the sections by name."""
    return [(found.span_id, low, high) for found, low, high in find_critical_path(root)]


def defined(root: Node, low: int, high: int) -> list[tuple[str, int, int]]:
    """Walk backwards by recursion: the definition, for small trees."""
    clipped = [(min(c.end, high), max(c.start, low), c) for c in root.children]
    ordered = sorted(clipped, key=lambda c: (c[2].end, c[2].start, c[2].span_id), reverse=True)
    cursor, found = high, []
    for end, start, child in ordered:
        if end <= cursor and start < end:
            if end < cursor:
                found.append((root.span_id, end, cursor))
            found += defined(child, start, end)[::-1]
            cursor = start
    if low < cursor:
        found.append((root.span_id, low, cursor))
    return found[::-1]


trees = st.lists(
    st.tuples(st.integers(0, 100), st.integers(0, 20), st.integers(0, 30)), min_size=1, max_size=25
)


@settings(max_examples=200, deadline=None)
@given(trees)
def test_the_path_is_as_defined_and_tiles_the_root(shape: list[tuple[int, int, int]]) -> None:
    """For any tree the sections are those of the definition, without gap or overlap."""
    root = node("root", 0, 60)
    nodes = [root]
    for number, (parent, start, length) in enumerate(shape):
        start = start + number % 37
        nodes.append(node(f"n{number:02}", start, start + length, nodes[parent % len(nodes)]))
    found = path(root)
    assert found == defined(root, 0, 60)
    reach = 0
    for _, low, high in found:
        assert low == reach < high
        reach = high
    assert reach == 60
    assert sum(n.critical_time for n in nodes) == 60


def test_calls_that_touch_are_both_on_the_path() -> None:
    """Two calls of 50 whole milliseconds, one after the other, are billed both."""
    root = node("root", 0, 100)
    node("first", 0, 50, root)
    node("second", 50, 100, root)
    assert path(root) == [("first", 0, 50), ("second", 50, 100)]


def test_of_parallel_calls_the_last_to_end_counts() -> None:
    """A call that runs beside a longer one holds nothing up."""
    root = node("root", 0, 100)
    node("short", 10, 40, root)
    node("long", 10, 90, root)
    assert path(root) == [("root", 0, 10), ("long", 10, 90), ("root", 90, 100)]


def test_a_consumer_holds_nobody_up() -> None:
    """What takes a message from a queue is not waited for by what put it there."""
    root = node("producer", 0, 10, kind="Producer")
    node("consumer", 5, 9, root, kind="Consumer")
    assert path(root) == [("producer", 0, 10)]


def test_a_child_outside_of_its_parent_is_left_out() -> None:
    """A child that begins when its parent has ended is not on the path, nor what is below it."""
    root = node("root", 0, 10)
    late = node("late", 10, 20, root)
    node("below", 2, 8, late)
    assert path(root) == [("root", 0, 10)]


def test_self_time_is_without_any_child() -> None:
    """Overlapping children are taken off once."""
    root = node("root", 0, 100)
    node("a", 10, 50, root)
    node("b", 40, 60, root)
    node("outside", 90, 150, root)
    measure_self_times([root, *root.children])
    assert root.self_time == 40


def test_depth_is_no_problem() -> None:
    """Fifty thousand spans below each other are walked without recursion."""
    root = step = node("root", 0, 200_000)
    for depth in range(1, 50_000):
        step = node(f"d{depth}", depth, 200_000 - depth, step)
    assert len(path(root)) == 2 * 50_000 - 1
