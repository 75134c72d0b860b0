"""Where a rule looks at fewer spans than it speaks of, it says the same as if it looked at all."""

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.identity.ids import REQUEST_ID_ATTRIBUTES, request_id_key
from collector.model import Span
from collector.stitch.describe import describe_hop
from collector.stitch.join.by_id import view_traces
from collector.stitch.join.roots import choose_root
from collector.stitch.time.phases import PROXY_PHASES, phase_of
from collector.stitch.time.placement import place
from collector.stitch.tree.forest import build_forest
from collector.stitch.tree.hops import group_hops
from collector.stitch.tree.nodes import Node
from tests.unit.stitch.building import MS, START
from tests.unit.stitch.test_properties import spans


def _trace(parents: list[int]) -> list[Span]:
    """Return a span for each number, which names the span of that number as its parent."""
    return [
        Span(
            trace_id="7" * 32,
            span_id=f"{number + 1:016x}",
            parent_span_id=f"{parent + 1:016x}",
            name="x",
            service="a",
            start_ns=START + (number * 7 % 5) * MS,
            end_ns=START + 100 * MS,
        )
        for number, parent in enumerate(parents)
    ]


def _first_of_its_circle(parents: list[int], number: int, order: list[int]) -> bool:
    circle = [number]
    while 0 <= (step := parents[circle[-1]]) < len(parents) and step not in circle:
        circle.append(step)
    is_closed = parents[circle[-1]] == number
    return is_closed and number == min(circle, key=order.index)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-1, 12), min_size=1, max_size=12))
def test_exactly_the_first_span_of_each_circle_is_cut_off(parents: list[int]) -> None:
    """Walking up from every span by the definition finds the same cuts."""
    nodes = build_forest(_trace(parents)).nodes
    order = [int(node.span_id, 16) - 1 for node in sorted(nodes, key=Node.order)]
    cut = {int(node.span_id, 16) - 1 for node in nodes if "cycle" in node.flags}
    assert cut == {n for n in range(len(parents)) if _first_of_its_circle(parents, n, order)}


@settings(max_examples=70, deadline=None)
@given(st.lists(spans, min_size=1, max_size=14))
def test_a_hop_counts_the_proxy_time_of_all_its_spans(some_spans: list[Span]) -> None:
    """A span that is asked for no phase would not have been in one of a proxy."""
    rooted = choose_root([], view_traces(build_forest(some_spans).nodes), "")
    hops = group_hops(rooted.members)
    place(rooted.members)
    for node in rooted.members:
        node.self_time = 1
    for hop in hops:
        of_proxies = [n for n in hop.nodes if phase_of(n, hop)[0] in PROXY_PHASES]
        assert describe_hop(hop, rooted.root).proxy_ns == len(of_proxies)


@settings(max_examples=70, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from((*REQUEST_ID_ATTRIBUTES, "http.url", "component")),
            st.sampled_from(("one", "two", '["one"]', "", "-")),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_every_request_id_of_a_trace_is_found(all_attributes: list[dict[str, str]]) -> None:
    """A span that is passed over has none of the attributes that hold one."""
    some = _trace([-1] * len(all_attributes))
    for span, attributes in zip(some, all_attributes, strict=True):
        span.attributes = attributes
    (view,) = view_traces(build_forest(some).nodes).values()
    values = [a[name] for a in all_attributes for name in REQUEST_ID_ATTRIBUTES if name in a]
    keys = {request_id_key(value.strip('[]"')) for value in values}
    assert set(view.request_ids) == keys - {""}
