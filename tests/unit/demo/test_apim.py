"""The API Management stand-in: trace context as its W3C mode handles it."""

from collector.demo.apim import with_trace_context

TRACE_ID = "5f8e0c1d2b3a49586776a5b4c3d2e1f0"
SPAN_ID = "a1b2c3d4e5f60718"


def _count(length: int) -> str:
    return "0f" * length


def test_client_trace_continues_with_a_new_span() -> None:
    """The caller's trace id and flags stay, the span id towards the backend is the gateway's."""
    sent = {"TraceParent": f"00-{TRACE_ID}-{SPAN_ID}-00", "tracestate": "a=1", "Accept": "*/*"}
    headers = with_trace_context(sent, _count)
    assert headers["traceparent"] == f"00-{TRACE_ID}-{'0f' * 8}-00"
    assert headers["Request-Id"] == f"|{TRACE_ID}.{'0f' * 8}."
    assert headers["tracestate"] == "a=1"
    assert "TraceParent" not in headers


def test_a_trace_is_started_for_callers_without_one() -> None:
    """Without trace context the gateway starts a sampled trace."""
    assert with_trace_context({}, _count)["traceparent"] == f"00-{'0f' * 16}-{'0f' * 8}-01"


def test_unreadable_traceparent_is_replaced() -> None:
    """A header that is not W3C trace context does not reach the backend."""
    headers = with_trace_context({"traceparent": "00-nonsense-01"}, _count)
    assert headers["traceparent"] == f"00-{'0f' * 16}-{'0f' * 8}-01"


def test_callers_of_the_older_protocol_get_no_traceparent() -> None:
    """A caller that sends Request-Id alone is passed through as it is."""
    assert with_trace_context({"request-id": "|abc.1."}, _count) == {"request-id": "|abc.1."}
