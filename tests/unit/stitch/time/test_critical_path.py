"""The critical path against a short recursive definition, and its edges."""

import pytest
from hypothesis import example, given, settings
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
    ordered = sorted(root.children, key=lambda c: (c.end, c.start, c.span_id), reverse=True)
    edges = sorted(edge for c in root.children for edge in (c.start, c.end))
    cursor, found = high, []
    for child in ordered:
        start, end = max(child.start, low), min(child.end, high)
        noise = (end - cursor) * 100 < high - low and not any(cursor < e < end for e in edges)
        end = min(end, cursor) if noise else end
        if end <= cursor and start < end:
            if end < cursor:
                found.append((root.span_id, end, cursor))
            found += defined(child, start, end)[::-1]
            cursor = start
    if low < cursor:
        found.append((root.span_id, low, cursor))
    return found[::-1]


trees = st.lists(
    st.tuples(st.integers(0, 100), st.integers(0, 200), st.integers(0, 300)),
    min_size=1,
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@example(
    [(0, 0, 0), (0, 0, 199), (8, 197, 2), (0, 0, 0), (87, 0, 197)]
)  # both outlast their caller
@given(trees)
def test_the_path_is_as_defined_and_tiles_the_root(shape: list[tuple[int, int, int]]) -> None:
    """For any tree the sections are those of the definition, without gap or overlap."""
    root = node("root", 1, 601)
    nodes = [root]
    for number, (parent, start, length) in enumerate(shape):
        start = 1 + start + number % 370
        nodes.append(node(f"n{number:02}", start, start + length, nodes[parent % len(nodes)]))
    found = path(root)
    assert found == defined(root, 1, 601)
    reach = 1
    for _, low, high in found:
        assert low == reach < high
        reach = high
    assert reach == 601
    assert sum(n.critical_time for n in nodes) == 600


def test_calls_that_touch_are_both_on_the_path() -> None:
    """Two calls of 50 whole milliseconds, one after the other, are billed both."""
    root = node("root", 0, 100)
    node("first", 0, 50, root)
    node("second", 50, 100, root)
    assert path(root) == [("first", 0, 50), ("second", 50, 100)]


@pytest.mark.parametrize("step_ns", [1_000, 1_000_000])
def test_calls_that_overlap_by_a_step_of_their_unit_are_a_sequence(step_ns: int) -> None:
    """Rounding lets one call end a microsecond, or a millisecond, after the next began."""
    root = node("root", 0, 12 * step_ns)
    node("first", 0, 6 * step_ns, root)
    node("second", 5 * step_ns, 12 * step_ns, root)
    assert path(root) == [("first", 0, 5 * step_ns), ("second", 5 * step_ns, 12 * step_ns)]


def test_calls_that_overlap_by_more_than_their_unit_run_side_by_side() -> None:
    """Two steps of twelve are no rounding: the first call was not waited for by the second."""
    root = node("root", 0, 12_000)
    node("first", 0, 7_000, root)
    node("second", 5_000, 12_000, root)
    assert path(root) == [("root", 0, 5_000), ("second", 5_000, 12_000)]


def test_calls_that_overlap_by_less_than_a_hundredth_are_a_sequence() -> None:
    """Three calls in a row, each beginning a little before the last one ended: all are billed."""
    root = node("root", 1, 7_001)
    node("a", 101, 2_121, root)
    node("b", 2_071, 3_559, root)
    node("c", 3_491, 7_001, root)
    assert [name for name, _, _ in path(root)] == ["root", "a", "b", "c"]
    assert sum(child.critical_time for child in root.children) == 6_900


def test_an_overlap_of_a_hundredth_is_work_side_by_side() -> None:
    """At the limit the calls count as parallel, and the earlier one holds nothing up."""
    root = node("root", 1, 7_001)
    node("a", 101, 2_141, root)
    node("b", 2_071, 7_001, root)
    assert [name for name, _, _ in path(root)] == ["root", "b"]


def test_a_third_call_in_the_overlap_makes_it_work_side_by_side() -> None:
    """A small overlap is no noise when something else begins or ends within it."""
    root = node("root", 1, 7_001)
    node("a", 101, 2_121, root)
    node("b", 2_071, 7_001, root)
    node("c", 2_091, 2_103, root)
    assert [name for name, _, _ in path(root)] == ["root", "b"]


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
