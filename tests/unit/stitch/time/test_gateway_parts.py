"""What a gateway's record did not measure is not the gateway's: intervals instead of blame."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.decode.gateways import find_adapters
from collector.model import GatewayRecord
from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import LONG_AFTER, MS, TRACE, TraceBuilder, record, stitch

SENT = "c0ffee0000000001"
UNSAID = ("CLIENT_TIME_MISSING",)


def phases(timeline: Timeline) -> dict[str, Any]:
    """Return value, lower and upper bound of each phase in ms."""
    return {
        phase.name: (phase.duration_ns / MS, phase.lower_ns / MS, phase.upper_ns / MS)
        for phase in timeline.phases
    }


def alone(**fields: Any) -> dict[str, Any]:
    """Return the phases of a request of which only the record is known."""
    return phases(stitch([record(**fields)], [], now_ns=LONG_AFTER))


def test_without_the_backends_time_nothing_is_surely_the_gateways() -> None:
    """A format without backend columns: all of it may be the backend's."""
    found = alone(total=300)
    assert found == {"gateway": (0, 0, 300), "unexplained": (300, 0, 300)}


def test_without_the_clients_time_the_client_may_have_the_rest() -> None:
    """A slow download looks like a slow gateway: the rest is shared, none of it is surely its."""
    found = alone(total=9_000, backend=150, quality=UNSAID, response_bytes=40_000_000)
    assert found["gateway"] == (0, 0, 8_850)
    assert found["client"] == (0, 0, 8_850)
    assert found["unexplained"] == (9_000, 149.5, 9_000.5)


def test_small_bodies_leave_the_rest_to_the_gateway_but_not_surely() -> None:
    """What fits into one flight keeps no client busy; how it was asked for still may have."""
    sizes = {"request_bytes": 14_600, "response_bytes": 900}
    found = alone(total=400, backend=150, quality=UNSAID, **sizes)
    assert found["gateway"] == (250, 0, 250)
    assert found["client"] == (0, 0, 250)
    larger = alone(total=400, backend=150, quality=UNSAID, **{**sizes, "response_bytes": 14_601})
    assert larger["gateway"] == (0, 0, 250)


def test_all_times_known_leave_the_gateway_its_own() -> None:
    """Total, client and backend are given: the rest is the gateway's, within the rounding."""
    found = alone(total=500, backend=470, client=10)
    assert found["gateway"] == (20, 18.5, 21.5)
    assert found["client"] == (10, 9.5, 10.5)
    assert found["unexplained"] == (470, 469.5, 470.5)


@pytest.mark.parametrize(
    "fields",
    [
        {"attempts": 0},
        {"cache": "hit"},
        {"backend": 0},
        {"error_section": "inbound", "status": 500},
        {"error_source": "gateway", "status": 403},
    ],
)
def test_a_gateway_that_called_nobody_had_the_time_itself(fields: dict[str, Any]) -> None:
    """An empty column, a cache, or a refusal of its own says that there was no backend."""
    [(name, (value, lower, upper))] = alone(total=80, **fields).items()
    assert (name, value) == ("gateway", 80)
    assert 79 <= lower <= upper <= 81


@pytest.mark.parametrize("fields", [{"status": 404}, {"error_source": "backend", "status": 404}])
def test_a_refusal_whose_maker_is_not_told_is_nobodys(fields: dict[str, Any]) -> None:
    """A 404 may be the gateway's or the backend's; its record does not say."""
    assert alone(total=80, **fields)["gateway"] == (0, 0, 80)


def test_the_gateways_own_word_is_taken_where_the_rest_is_not_known() -> None:
    """Kong measures itself; the remainder stays with nobody."""
    found = alone(total=80, gateway_ns=30 * MS)
    assert found == {"gateway": (30, 29.5, 30.5), "unexplained": (50, 0, 50)}


def test_spans_below_are_taken_off_what_nobody_measured() -> None:
    """With spans but without a backend's time the rest is the way to them, or the gateway."""
    trace = TraceBuilder()
    trace.span("orders", 20, 70, SENT, "Server")
    known = record(total=100, trace_id=TRACE, outgoing_span_id=SENT)
    found = phases(stitch([known], trace.spans, now_ns=LONG_AFTER))
    assert found == {"app": (70, 70, 70), "gateway": (0, 0, 30), "unexplained": (30, 0, 30)}


def test_an_upload_in_the_backends_time_may_be_the_clients() -> None:
    """The backend's clock ran while the client was still sending its body."""
    trace = TraceBuilder()
    trace.span("orders", 760, 30, SENT, "Server")
    flags = ("BODY_UPLOAD_INCLUDED",)
    known = record(
        total=800, backend=790, quality=flags, trace_id=TRACE, outgoing_span_id=SENT, client=0
    )
    found = phases(stitch([known], trace.spans, now_ns=LONG_AFTER))
    assert found["client"][2] >= 760
    assert "network" not in found
    assert found["unexplained"][0] == 760


def test_a_policys_own_call_is_no_part_of_the_backends_time() -> None:
    """send-request asks auth, forward-request calls orders: nothing contradicts, gaps are right."""
    trace = TraceBuilder()
    trace.span("auth", 5, 30, SENT, "Server", attributes={"url.path": "/check"})
    trace.span("orders", 45, 50, SENT, "Server", attributes={"url.path": "/orders/1"})
    known = record(total=100, backend=52, client=0, trace_id=TRACE, outgoing_span_id=SENT)
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    found = phases(timeline)
    assert (found["app"][0], found["network"][0], found["gateway"][0]) == (80, 2, 18)
    assert "TIMES_CONTRADICT" not in {finding.rule for finding in timeline.findings}


def test_a_backend_shorter_than_its_only_call_contradicts() -> None:
    """One call of 80 ms in a backend's time of 52 cannot be true."""
    trace = TraceBuilder()
    trace.span("orders", 10, 80, SENT, "Server")
    known = record(total=100, backend=52, client=0, trace_id=TRACE, outgoing_span_id=SENT)
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    assert "TIMES_CONTRADICT" in {finding.rule for finding in timeline.findings}


def test_an_inner_gateways_unmeasured_client_is_the_network() -> None:
    """What the inner of two gateways calls its client is the outer one."""
    outer = record(
        gateway="kong", record_id="outer", total=500, backend=450, client=5, trace_id=TRACE
    )
    inner = record(
        total=400, at=20, backend=300, quality=UNSAID, trace_id=TRACE, response_bytes=10**6
    )
    found = phases(stitch([outer, inner], [], now_ns=LONG_AFTER, subject="outer"))
    assert found["client"][0] == 5
    assert found["network"][2] >= 100


amounts = st.one_of(st.none(), st.integers(0, 400).map(lambda ms: ms * MS))


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        dict.fromkeys(("client_ns", "cache_ns", "backend_ns", "gateway_ns"), amounts),
        optional={
            "attempts": st.sampled_from([0, 1]),
            "quality": st.sampled_from([UNSAID, (*UNSAID, "BODY_UPLOAD_INCLUDED")]),
            "status": st.sampled_from([200, 404, 504]),
        },
    ),
    st.integers(1, 400),
    st.one_of(st.none(), st.integers(1, 300)),
)
def test_parts_sum_and_bounds_hold_for_any_record(
    fields: dict[str, Any], total: int, callee: int | None
) -> None:
    """The phases sum to the whole, and no bound is outside of what can be."""
    trace = TraceBuilder()
    if callee is not None:
        trace.span("orders", 1, callee, SENT, "Server")
    known = record(total=total, trace_id=TRACE, outgoing_span_id=SENT, **fields)
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    assert sum(phase.duration_ns for phase in timeline.phases) == timeline.duration_ns
    for phase in timeline.phases:
        assert 0 <= phase.lower_ns <= phase.duration_ns <= phase.upper_ns


LINES: dict[str, dict[str, Any]] = {
    "ingress-nginx": {"msec": "1930000000.5", "request_time": "0.640", "status": 200},
    "envoy": {
        "start_time": "2031-03-05T08:15:30.000Z",
        "duration": 640,
        "response_code": 200,
        "response_flags": "-",
    },
    "spring-cloud-gateway": {
        "message": '198.51.100.4 - - [05/Mar/2031:08:15:30 +0000] "GET /p HTTP/1.1" 200 5 640'
    },
    "azure-app-insights": {
        "TimeGenerated": "2031-03-05T08:15:30Z",
        "Type": "AppRequests",
        "OperationId": "c" * 32,
        "Id": "e" * 16,
        "ResultCode": "200",
        "Success": True,
        "DurationMs": 640.0,
        "Properties": {"Service Type": "API Management"},
    },
    "apigee": {
        "messageid": "m-1",
        "client.received.start.timestamp": 1_930_000_000_000,
        "client.sent.end.timestamp": 1_930_000_000_640,
        "response.status.code": 200,
    },
    "aws-api-gateway": {
        "requestId": "5d0c1b2a-0000-4000-8000-0000000000bb",
        "requestTimeEpoch": 1_930_000_000_000,
        "status": "200",
        "responseLatency": "640",
    },
    "azure-agc": {
        "time": "2031-03-05T08:15:30Z",
        "properties": {"trackingId": "a" * 32, "httpStatusCode": "200", "timeTaken": "640"},
    },
    "azure-front-door": {
        "time": "2031-03-05T08:15:30Z",
        "properties": {"trackingReference": "c" * 32, "httpStatusCode": "200", "timeTaken": "0.64"},
    },
    "azure-application-gateway": {
        "time": "2031-03-05T08:15:30Z",
        "properties": {"transactionId": "b" * 32, "httpStatus": 200, "timeTaken": 0.64},
    },
    "kong": {
        "request": {"id": "d" * 32, "method": "GET", "uri": "/p", "url": "https://h.example/p"},
        "response": {"status": 200, "size": 5},
        "latencies": {"request": 640},
        "started_at": 1_930_000_000_000,
    },
    "traefik": {
        "StartUTC": "2031-03-05T08:15:30Z",
        "Duration": 640_000_000,
        "RequestMethod": "GET",
        "RequestPath": "/p",
        "DownstreamStatus": 200,
    },
    "azure-apim": {
        "TimeGenerated": "2031-03-05T08:15:30Z",
        "CorrelationId": "7f1d2c3b-0000-4000-8000-0000000000aa",
        "TotalTime": 640,
        "ResponseCode": 200,
    },
}


def read_line(adapter: str) -> GatewayRecord:
    [found] = find_adapters()[adapter].decode(json.dumps(LINES[adapter]).encode()).records
    return found


@pytest.mark.parametrize("adapter", sorted(LINES))
def test_a_line_that_knows_its_total_only_blames_nobody(adapter: str) -> None:
    """The shortest record of every product: 640 ms, and no word of who had them."""
    timeline = stitch([read_line(adapter)], [], now_ns=LONG_AFTER)
    found = phases(timeline)
    assert found["gateway"][:2] == (0, 0)
    assert found["unexplained"][1:] == (0, pytest.approx(640))


def test_every_adapter_has_such_a_line() -> None:
    """A new adapter says here what its shortest record leaves open; one mapping stands for all."""
    adapters = find_adapters()
    assert LINES.keys() >= {name for name, each in adapters.items() if not each.is_mapped}
