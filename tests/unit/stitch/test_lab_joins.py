"""Joins that the lab found wrong, with the spans that its Envoys sent, shortened."""

from collector.model import Id
from tests.unit.stitch.building import CORRELATION, LONG_AFTER, START, TraceBuilder, record, stitch

_FOREIGN_TRACE = "6cb7c23032604af19203c81c7b7cc7eb"


def test_request_id_deep_in_a_trace_joins_whatever_is_called_there() -> None:
    """
    A zero parent silences the edge; the first span with the request id is of an inner call.

    That another path is called there, of another host, is no objection: it is another call.
    """
    trace = TraceBuilder()
    front = trace.span("front", 3, 180, None, "Server")
    out = trace.sidecar_out(
        "front",
        "basket",
        5,
        176,
        front,
        request_id=CORRELATION,
        attributes={"http.url": "http://basket:8080/inner"},
    )
    trace.sidecar_in("basket", 6, 174, out, request_id=CORRELATION)
    known = record(
        total=187,
        backend=187,
        client=0,
        trace_id=_FOREIGN_TRACE,
        host="apim.example",
        path="/carries-zero-parent/05fbbddd75b93809",
        backend_host="ingress.example",
        backend_path="/carries-zero-parent/05fbbddd75b93809",
        ids=(Id("apim_correlation_id", CORRELATION),),
    )
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    assert [link.tier for link in timeline.links if link.to] == [3]
    assert [hop.service for hop in timeline.hops] == ["shop-apim", "front", "basket.shop"]
    assert timeline.start_ns == START


def test_request_id_at_the_entry_of_another_call_does_not_join() -> None:
    """A trace that begins with a call of another place and shares the id is another request."""
    trace = TraceBuilder()
    trace.edge(
        3, 180, request_id=CORRELATION, attributes={"http.url": "http://other.example/elsewhere"}
    )
    known = record(total=187, backend=185, host="apim.example", path="/orders")
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    assert [link.tier for link in timeline.links if link.to] == []
