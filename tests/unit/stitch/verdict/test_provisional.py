"""Verdicts while a source is still due: less sure, and with what would settle them."""

from typing import Any

import pytest

from collector.model import GatewayRecord
from collector.stitch.completeness import SPAN_SOURCE, SourceLag, SourceLags
from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import MS, START, TraceBuilder, record, stitch

_ROWS = "ApiManagementGatewayLogs"
_END = START + 500 * MS
_NOW = _END + 2_000 * MS


def lags(*, spans_ms: int = 1_000, expected: tuple[str, ...] = (SPAN_SOURCE, _ROWS)) -> SourceLags:
    """Return sources whose watermarks are so many milliseconds behind the request's end."""
    return SourceLags(
        by_source={
            SPAN_SOURCE: SourceLag(watermark_ns=_END + spans_ms * MS, p99_lag_ns=MS),
            _ROWS: SourceLag(watermark_ns=_END - 60_000 * MS, p99_lag_ns=60_000 * MS),
        },
        expected=expected,
    )


def left_by_caller() -> TraceBuilder:
    """Return a mesh whose caller went away after 500 ms, while the application worked on."""
    trace = TraceBuilder()
    edge = trace.edge(0, 500, "c0ffee0000000001", code=0, flags="DC")
    trace.span("pay", 3, 1_500, edge, "Server", attributes={"http.response.status_code": "200"})
    return trace


def told(records: list[GatewayRecord], trace: TraceBuilder, known: SourceLags) -> Timeline:
    """Return the timeline of now."""
    return stitch(records, trace.spans, now_ns=_NOW, lags=known)


def test_the_client_is_not_blamed_while_the_gateways_record_is_due() -> None:
    """To the mesh a gateway that timed out is a client that left: its record tells which it was."""
    verdict = told([], left_by_caller(), lags()).verdict
    assert (verdict.layer, verdict.is_provisional, verdict.settled_by) == ("client", True, (_ROWS,))
    assert verdict.confidence <= 0.6
    row = record(
        total=505,
        backend=500,
        status=504,
        is_error=True,
        error_reason="Timeout",
        trace_id=TraceBuilder().trace_id,
        outgoing_span_id="c0ffee0000000001",
        source=_ROWS,
    )
    settled = told([row], left_by_caller(), lags(expected=(SPAN_SOURCE,))).verdict
    assert (settled.layer, settled.class_) == ("gateway", "timeout")
    assert (settled.is_provisional, settled.settled_by) == (False, ())


def test_a_verdict_is_settled_once_nothing_is_due() -> None:
    """Without an expected record the client is blamed as before."""
    verdict = told([], left_by_caller(), lags(expected=(SPAN_SOURCE,))).verdict
    assert (verdict.layer, verdict.confidence, verdict.is_provisional) == ("client", 0.95, False)


def test_a_good_answer_is_provisional_until_the_gateway_has_spoken() -> None:
    """The mesh answered well; what the gateway made of it is not known yet."""
    trace = TraceBuilder()
    trace.edge(0, 500, "c0ffee0000000001")
    verdict = told([], trace, lags()).verdict
    assert (verdict.layer, verdict.is_provisional, verdict.settled_by) == ("none", True, (_ROWS,))
    assert 0.5 < verdict.confidence < 1


@pytest.mark.parametrize(
    ("facts", "is_provisional"),
    [
        ({"status": 500, "is_error": True, "backend_status": 500}, True),
        ({"status": 200}, False),
        ({"status": 401, "is_error": False, "attempts": 0, "error_section": "inbound"}, False),
        ({"status": 499, "error_source": "client"}, False),
    ],
    ids=["backend failed", "good", "refused", "client left"],
)
def test_spans_that_are_due_settle_what_failed_behind_the_gateway(
    facts: dict[str, Any], is_provisional: bool
) -> None:
    """Who failed behind it only spans can tell; what the gateway decided itself they cannot."""
    known = lags(spans_ms=-1_000, expected=(SPAN_SOURCE,))
    verdict = told([record(total=500, backend=490, **facts)], TraceBuilder(), known).verdict
    assert verdict.is_provisional is is_provisional
    assert verdict.settled_by == ((SPAN_SOURCE,) if is_provisional else ())


def test_the_last_spans_may_show_an_inner_failure() -> None:
    """Until the spans' watermark has passed the end, a deeper one may still come."""
    trace = TraceBuilder()
    trace.span("shop", 0, 500, None, "Server", status="Error")
    early = told([], trace, lags(spans_ms=-1_000, expected=())).verdict
    late = told([], trace, lags(expected=())).verdict
    assert (early.is_provisional, early.settled_by) == (True, (SPAN_SOURCE,))
    assert early.confidence < late.confidence
    assert not late.is_provisional
