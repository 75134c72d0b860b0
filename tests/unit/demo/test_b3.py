"""B3 propagation of the demo's services."""

import pytest
from opentelemetry import trace
from opentelemetry.context import Context

from collector.demo.b3 import B3Propagator

TRACE_ID = "00000000000000007b3c9e5d1f2a4860"
SPAN_ID = "c0ffee0ddba11000"


def _extract(headers: dict[str, str]) -> trace.SpanContext:
    context = B3Propagator(is_single=True).extract(headers, Context())
    return trace.get_current_span(context).get_span_context()


@pytest.mark.parametrize(
    "headers",
    [
        {"b3": f"{TRACE_ID}-{SPAN_ID}-1"},
        {"b3": f"{TRACE_ID[16:]}-{SPAN_ID}-1-{SPAN_ID}"},
        {"x-b3-traceid": TRACE_ID, "x-b3-spanid": SPAN_ID, "x-b3-sampled": "1"},
        {"b3": f"{TRACE_ID}-{SPAN_ID}-1", "x-b3-traceid": "f" * 32, "x-b3-spanid": "e" * 16},
    ],
    ids=["single", "single with 64 bits and parent", "multi", "single wins"],
)
def test_both_forms_are_read(headers: dict[str, str]) -> None:
    """The caller's ids are found in either form; the single header wins over the others."""
    found = _extract(headers)
    assert (f"{found.trace_id:032x}", f"{found.span_id:016x}") == (TRACE_ID, SPAN_ID)
    assert found.trace_flags.sampled


@pytest.mark.parametrize(
    "headers", [{}, {"b3": "0"}, {"b3": "x-y-1"}, {"b3": f"{'0' * 32}-{SPAN_ID}"}]
)
def test_headers_without_ids_give_no_parent(headers: dict[str, str]) -> None:
    """A lone sampling decision, zero ids and text that is not hex start no trace."""
    assert not _extract(headers).is_valid


@pytest.mark.parametrize("is_single", [True, False])
def test_what_is_written_can_be_read(is_single: bool) -> None:
    """Either form carries the current span to the next service."""
    propagator = B3Propagator(is_single=is_single)
    context = propagator.extract({"b3": f"{TRACE_ID}-{SPAN_ID}-0"}, Context())
    headers: dict[str, str] = {}
    propagator.inject(headers, context)
    assert set(headers) == propagator.fields
    found = _extract(headers)
    assert (f"{found.trace_id:032x}", f"{found.span_id:016x}") == (TRACE_ID, SPAN_ID)
    assert not found.trace_flags.sampled
