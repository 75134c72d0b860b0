"""Two requests side by side: aligned by path, exact in their differences, told in words."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.model import Span
from collector.query.reports.compare import (
    Comparison,
    compare,
    side_of,
    typical_side,
)
from collector.stitch.timeline import Timeline
from tests.stories import MINUTE, MS, NOW, joined_story, make_spans, number_id
from tests.unit.stitch.building import stitch

T = NOW - 20 * MINUTE


def call(number: int, parent: str, service: str, name: str, at: int, ms: int) -> Span:
    """Return a server span of a call that began *at* ms and took *ms*."""
    return Span(
        trace_id=number_id(number // 100),
        span_id=number_id(number, 16),
        parent_span_id=parent,
        name=name,
        service=service,
        start_ns=T + at * MS,
        end_ns=T + (at + ms) * MS,
        kind="Server",
        resource={"service.name": service, "host.name": f"{service}-1"},
    )


def request(number: int, stock_ms: Sequence[int], *, extra: bool = False) -> Timeline:
    """Return a request of shop that calls stock one after the other, and maybe audit."""
    total = sum(stock_ms) + 10 + 20 * extra
    root = call(number * 100, "", "shop", "GET /cart", 0, total)
    spans, at = [root], 5
    for place, ms in enumerate(stock_ms):
        spans.append(call(number * 100 + place + 1, root.span_id, "stock", "GET /item", at, ms))
        at += ms
    if extra:
        spans.append(call(number * 100 + 90, root.span_id, "audit", "POST /log", at, 20))
    return stitch([], spans, now_ns=NOW)


def compared(a: Timeline, b: Timeline) -> Comparison:
    return compare(side_of(a), side_of(b))


def test_calls_of_one_path_are_one_line() -> None:
    """Twenty calls against one are a line with both counts, and told as such."""
    found = compared(request(1, [4] * 20), request(2, [4]))
    lines = [(each.depth, each.service, each.operation) for each in found.calls]
    assert lines == [(0, "shop", "GET /cart"), (1, "stock", "GET /item")]
    stock = found.calls[1]
    assert stock.a is not None
    assert stock.b is not None
    assert (stock.a.calls, stock.b.calls) == (20, 1)
    assert stock.delta_ns == 76 * MS
    assert "with 20 calls against 1" in " ".join(each.text for each in found.sentences)


def test_what_one_side_alone_calls_is_said() -> None:
    """A call that only A makes has no other side, and its whole time is the difference."""
    found = compared(request(1, [30], extra=True), request(2, [30]))
    audit = next(each for each in found.calls if each.service == "audit")
    assert (audit.only, audit.b, audit.delta_ns) == ("a", None, 20 * MS)
    assert "Only A calls audit POST /log" in " ".join(each.text for each in found.sentences)


def test_the_other_way_round_every_sign_turns() -> None:
    """A against B is B against A with the signs changed."""
    one, other = request(1, [30, 40], extra=True), request(2, [80])
    there, back = compared(one, other), compared(other, one)
    assert there.delta_ns is not None
    assert back.delta_ns == -there.delta_ns
    assert {(c.service, c.operation): c.delta_ns for c in there.calls} == {
        (c.service, c.operation): -c.delta_ns for c in back.calls
    }
    assert {p.name: p.delta_ns for p in there.phases} == {p.name: -p.delta_ns for p in back.phases}


def test_the_typical_request_is_the_median() -> None:
    """Of many requests each call has its median, and what few of them call is left out."""
    many = [request(n, [10 + n], extra=n == 1) for n in range(1, 8)]
    found = compare(side_of(request(9, [50])), typical_side(many))
    assert (found.b.id, found.b.requests, found.b.duration_ns) == ("typical", 7, 25 * MS)
    stock = next(each for each in found.calls if each.service == "stock")
    assert stock.b is not None
    assert (stock.b.critical_ns, stock.b.share) == (14 * MS, 1.0)
    assert all(each.service != "audit" for each in found.calls)


def test_what_lies_behind_is_aligned_with_and_without_a_gateway() -> None:
    """A request that no gateway wrote down shares the calls of one that a gateway did."""
    story = joined_story(1, T)
    one = stitch(story.records, story.spans, now_ns=NOW)
    found = compared(one, stitch([], make_spans(2, T, "", 80 * MS), now_ns=NOW))
    only = {each.service: each.only for each in found.calls}
    assert only.pop("azure-apim") == "a"
    assert set(only.values()) == {""}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("GET /orders/1", "GET /orders/2"),
        ("GET /v1/orders/ab12/items", "GET /v1/orders/cd34/items"),
        ("GET /orders?page=1", "GET /orders?page=2"),
    ],
)
def test_names_of_one_request_do_not_keep_calls_apart(one: str, other: str) -> None:
    """Numbers and ids in a path are what differs between requests, not between operations."""
    spans = [[call(n * 100, "", "shop", name, 0, 10)] for n, name in ((1, one), (2, other))]
    found = compared(*(stitch([], each, now_ns=NOW) for each in spans))
    assert [each.only for each in found.calls] == [""]


def test_versions_of_an_api_stay_apart() -> None:
    """v1 and v2 are two operations."""
    spans = [[call(n * 100, "", "shop", f"GET /v{n}/orders", 0, 10)] for n in (1, 2)]
    found = compared(*(stitch([], each, now_ns=NOW) for each in spans))
    assert sorted(each.only for each in found.calls) == ["a", "b"]


def test_a_failure_on_one_side_is_told() -> None:
    """Calls that took as long and failed on one side only are a difference."""
    good = make_spans(1, T, "", 40 * MS)
    bad = make_spans(2, T, "", 40 * MS, failed=True)
    found = compared(stitch([], bad, now_ns=NOW), stitch([], good, now_ns=NOW))
    assert any("failed in A only" in each.text for each in found.sentences)


@pytest.mark.parametrize("extra", [True, False])
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
)
def test_differences_add_up(extra: bool, a: list[int], b: list[int]) -> None:
    """Calls, phases and totals differ by the same amount: nothing is lost between the lines."""
    found = compared(request(1, a, extra=extra), request(2, b))
    assert found.delta_ns == sum(each.delta_ns for each in found.phases)
    assert found.delta_ns == sum(each.delta_ns for each in found.calls)
