"""A trace whose id was cut to 64 bits on the way, without a gateway record."""

import pytest

from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import LONG_AFTER, TraceBuilder, record, stitch
from tests.unit.stitch.scenarios import picture

_WHOLE = "9f0e1d2c3b4a59680123456789abcdef"
_HALF = "0" * 16 + _WHOLE[16:]


def cut_trace(
    *, skew_ms: float = 0, is_parent_kept: bool = True, deep: int = 1
) -> list[TraceBuilder]:
    """Return shop's spans under the whole id, and those of stock behind it under its half."""
    first, second = TraceBuilder(trace_id=_WHOLE), TraceBuilder(trace_id=_HALF, prefix="b")
    root = first.span("shop", 0, 100, None, "Server", status="Error")
    call = first.span(
        "shop", 5, 90, root, "Client", status="Error", attributes={"server.address": "stock"}
    )
    stock = second.span(
        "stock",
        8 + skew_ms,
        84,
        call if is_parent_kept else None,
        "Server",
        status="Error",
        status_message="pool exhausted",
    )
    for number in range(deep):
        second.span("stock", 10 + skew_ms + number, 5, stock)
    return [first, second]


def asked(traces: list[TraceBuilder], subject: str) -> Timeline:
    """Return the timeline that an id leads to."""
    spans = [span for trace in traces for span in trace.spans]
    return stitch([], spans, now_ns=LONG_AFTER, subject=subject)


@pytest.mark.parametrize("subject", [_WHOLE, _HALF, _WHOLE[16:], _WHOLE.upper()])
@pytest.mark.parametrize("skew_ms", [0, 40, -40])
@pytest.mark.parametrize("deep", [0, 5])
def test_the_whole_tree_comes_back_by_either_id(subject: str, skew_ms: float, deep: int) -> None:
    """Right way up, named by the whole id, with the failure where it began and the hop that cut."""
    timeline = asked(cut_trace(skew_ms=skew_ms, deep=deep), subject)
    assert picture(timeline) == ["service shop", "  service stock"]
    assert timeline.trace_id == _WHOLE
    assert timeline.trace_ids == (_HALF, _WHOLE)
    assert timeline.verdict.component == "stock"
    [finding] = [f for f in timeline.findings if f.rule == "ID_TRUNCATED_64"]
    assert timeline.hops[finding.hop].service == "stock"
    assert not [span for span in timeline.spans if span.is_orphan]


def test_without_the_parent_time_tells_which_part_came_first() -> None:
    """The cut service lost its parent as well: it lies inside the other's time."""
    for subject in (_WHOLE, _HALF):
        timeline = asked(cut_trace(is_parent_kept=False), subject)
        assert timeline.spans[0].service == "shop"
        assert {span.service for span in timeline.spans} == {"shop", "stock"}


def test_another_time_is_another_trace() -> None:
    """Two traces that share 64 bits by chance are an hour apart: each stays alone."""
    traces = cut_trace(skew_ms=3_600_000, is_parent_kept=False)
    for subject, service in ((_WHOLE, "shop"), (_HALF, "stock")):
        timeline = asked(traces, subject)
        assert {span.service for span in timeline.spans} == {service}


def test_a_record_of_the_whole_id_is_joined_with_the_half_as_well() -> None:
    """The gateway's own call came under the whole id, and what is behind it under its half."""
    traces = cut_trace()
    traces[0].spans[0].parent_span_id = "c0ffee0000000001"
    known = record(total=110, backend=104, trace_id=_WHOLE, outgoing_span_id="c0ffee0000000001")
    spans = [span for trace in traces for span in trace.spans]
    timeline = stitch([known], spans, now_ns=LONG_AFTER, subject=_WHOLE)
    assert picture(timeline)[1:] == ["  service shop", "    service stock"]
    assert not [link for link in timeline.links if not link.to]
