"""What leaves API Management by other ways than its diagnostic settings: text, and policies."""

import json
from typing import Any

import pytest

from collector.decode.formats import decode_envelope
from collector.decode.gateways import get_adapter
from collector.decode.quality import TIME_OF_ARRIVAL
from collector.decode.records.codec import decode_records
from collector.model import Envelope, GatewayRecord, Stream

ADAPTER = get_adapter("azure-apim")
ID = "6c1f8b2e-3d4a-4f50-8a7b-9c0d1e2f3a4b"
START_NS = 1_772_600_767_089_000_000
MS = 1_000_000
TRACE, SPAN = "8f" * 16, "d0" * 8


def _one(body: Any) -> GatewayRecord:
    text = body if isinstance(body, str) else json.dumps(body)
    decoded = ADAPTER.decode(text.encode())
    assert not decoded.rejected, decoded.rejected
    (record,) = decoded.records
    return record


STDOUT = (
    f"[Info] 2026-03-04T05:06:07.089 [GatewayLogs], correlationId: {ID}, isRequestSuccess: true, "
    'totalTime: 267, category: "GatewayLogs", callerIpAddress: "10.9.0.1", timeGenerated: '
    f'2026-03-04T05:06:07.089, region: "north, dock 2", correlationId: "{ID}", method: "POST", '
    'url: "https://gw.example/cranes?x=1,2", responseCode: 200, responseSize: 46, cache: "none", '
    'backendTime: 265, apiId: "cranes", operationId: "lift", requestHeaders: '
    f'{{"traceparent": "00-{TRACE}-{SPAN}-01"}}, apiRevision: "1"'
)


def _twice(text: str) -> str:
    return json.dumps(json.dumps(text))


SYSLOG = (
    f"gatewayuser[3]: Timestamp=2026-03-04T05:06:07.089Z, isRequestSuccess=true, totalTime=267, "
    f"category={_twice('GatewayLogs')}, callerIpAddress={_twice('10.9.0.1')}, "
    f"timeGenerated=2026-03-04T05:06:07.089Z, region={_twice('north, dock 2')}, "
    f"correlationId={_twice(ID)}, method={_twice('POST')}, "
    f"url={_twice('https://gw.example/cranes?x=1,2')}, responseCode=200, responseSize=46, "
    f"cache={_twice('none')}, backendTime=265, apiId={_twice('cranes')}, "
    f"operationId={_twice('lift')}, apiRevision={_twice('1')}"
)


@pytest.mark.parametrize(
    "line",
    [
        STDOUT,
        "\x1b[32m[Info]\x1b[0m" + STDOUT.removeprefix("[Info]"),
        SYSLOG,
        f"<134>Mar  4 05:06:07 node-1 {SYSLOG}",
        f"Mar  4 05:06:07 node-1 {SYSLOG}",
        json.dumps({"log": STDOUT + "\n", "stream": "stdout"}),
        f"2026-03-04T05:06:07.1Z stdout F {STDOUT}",
    ],
    ids=["stdout", "colour", "syslog", "syslog-header", "syslog-file", "docker", "cri"],
)
def test_text_of_a_self_hosted_gateway_is_read(line: str) -> None:
    """Its default on stdout and its local syslog say what its JSON says."""
    record = _one(line)
    assert (record.record_id, record.start_ns) == (ID, START_NS)
    assert (record.status, record.method, record.path) == (200, "POST", "/cranes")
    assert (record.duration_ns, record.backend_ns) == (267 * MS, 265 * MS)
    assert (record.api, record.operation, record.api_revision) == ("cranes", "lift", "1")
    assert (record.client_address, record.region) == ("10.9.0.1", "north, dock 2")


def test_headers_in_a_text_give_the_trace() -> None:
    """A header map stands in the text as the object it is."""
    assert _one(STDOUT).trace_id == TRACE


@pytest.mark.parametrize(
    "line",
    [
        f"[Info] 2026-03-04T05:06:07.089 [ResponseReceivedInFull], correlationId: {ID}, x: 1",
        "[Warn] 2026-03-04T05:06:07.089 [HeartbeatFailed], message: lost",
        json.dumps(
            {"level": "Informational", "timestamp": "2026-03-04T05:06:07Z", "eventType": "X"}
        ),
        json.dumps(
            {
                "level": "Error",
                "eventType": "X",
                "correlationId": ID,
                "timestamp": "2026-03-04T05:06:07Z",
            }
        ),
    ],
)
def test_events_of_a_self_hosted_gateway_are_passed_over(line: str) -> None:
    """Also those that carry the correlation id of a request."""
    decoded = ADAPTER.decode(line.encode())
    assert [each.code for each in decoded.ignored] == ["event"]
    assert not decoded.rejected


@pytest.mark.parametrize(
    ("time", "start_ns"),
    [
        ("03/04/2026 05:06:07", 1_772_600_767_000_000_000),
        ("3/4/2026 5:06:07 AM", 1_772_600_767_000_000_000),
        ("3/4/2026 5:06:07 PM", 1_772_643_967_000_000_000),
        ("12/31/2026 12:00:00 AM", 1_798_675_200_000_000_000),
        ("25/12/2026 12:00:00", 1_798_200_000_000_000_000),
        ("2026-03-04T05:06:07.0890000Z", START_NS),
    ],
)
def test_the_five_values_of_the_documented_policy_are_read(time: str, start_ns: int) -> None:
    """Time, service, request id, address and operation, however .NET writes the time."""
    record = _one(f"{time},shop-apim.azure-api.net,{ID},203.0.113.4,Lift a crane")
    assert (record.record_id, record.start_ns) == (ID, start_ns)
    assert (record.instance, record.operation) == ("shop-apim", "Lift a crane")
    assert record.client_address == "203.0.113.4"
    assert (record.status, record.duration_ns) == (None, None)


def test_values_in_another_order_are_known_by_what_they_are() -> None:
    """A GUID, a verb, a URL and an address tell themselves apart; a number does not."""
    record = _one(f'shop,{ID},"POST",https://gw.example/cranes?x=1,2026-03-04T05:06:07.089Z,200,9')
    assert (record.method, record.path, record.host) == ("POST", "/cranes", "gw.example")
    assert (record.instance, record.status, record.duration_ns) == ("shop", None, None)


OBJECTS: dict[str, dict[str, Any]] = {
    "article": {
        "EventTime": "3/4/2026 5:06:07 AM",
        "ServiceName": "shop",
        "RequestId": ID,
        "RequestIp": "203.0.113.4",
        "OperationName": "lift",
        "StatusCode": 200,
        "Elapsed": 123,
    },
    "snake": {
        "ts": "2026-03-04T05:06:07Z",
        "service_name": "shop",
        "request_id": ID,
        "ip_address": "203.0.113.4",
        "operation_name": "lift",
        "status_code": "200",
        "duration_ms": "123",
    },
    "nested": {
        "context": {
            "RequestId": ID,
            "Elapsed": "00:00:00.1230000",
            "Deployment": {"ServiceName": "shop"},
            "Operation": {"Name": "lift"},
            "Request": {"IpAddress": "203.0.113.4"},
            "Response": {"StatusCode": 200},
        },
        "time": "2026-03-04T05:06:07Z",
    },
    "sides": {
        "messageId": ID,
        "datetime": "2026-03-04T05:06:07+00:00",
        "service": "shop",
        "operation": "lift",
        "request": {"ipAddress": "203.0.113.4"},
        "response": {"statusCode": 200},
        "elapsedMilliseconds": 123.0,
    },
}


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_of_one_s_own_are_read_by_their_names(name: str) -> None:
    """Case, punctuation and nesting make no difference; the time is when the policy ran."""
    record = _one(OBJECTS[name])
    assert (record.record_id, record.source) == (ID, "policy-event")
    assert (record.instance, record.operation, record.status) == ("shop", "lift", 200)
    assert (record.client_address, record.duration_ns) == ("203.0.113.4", 123 * MS)
    assert record.start_ns == 1_772_600_767_000_000_000 - 123 * MS


def test_the_start_that_a_policy_names_is_the_start() -> None:
    """`context.Timestamp` is when the request came in: nothing is taken off."""
    row = {"timestamp": "2026-03-04T05:06:07.089Z", "RequestId": ID, "Elapsed": 123, "ApiName": "a"}
    assert _one(row).start_ns == START_NS


REQUEST = (
    f"request:{ID}\nPOST /cranes?x=1 HTTP/1.1\r\nHost: gw.example\r\nUser-Agent: hook/2\r\n"
    f'traceparent: 00-{TRACE}-{SPAN}-01\r\n\r\n{{"n": 1}}'
)
RESPONSE = f"response:{ID}\nHTTP/1.1 503 Service Unavailable\r\nDate: now\r\n\r\noops"


def test_http_messages_of_a_policy_are_two_halves_of_a_request() -> None:
    """Request and response come apart, under one id and without any time."""
    asked, answered = _one(REQUEST), _one(RESPONSE)
    assert asked.record_id == answered.record_id == ID
    assert (asked.method, asked.path, asked.host) == ("POST", "/cranes", "gw.example")
    assert (asked.trace_id, asked.outgoing_span_id) == (TRACE, SPAN)
    assert asked.status is None
    assert answered.status == 503


def test_a_record_without_a_time_gets_that_of_its_arrival() -> None:
    """It is said that it did, and the time is as vague as the way is long."""
    result = decode_envelope(
        Envelope(Stream.RECORD, "gateway", REQUEST.encode(), START_NS, "test", adapter="azure-apim")
    )
    (record,) = decode_records(result.message)
    assert record.start_ns == START_NS
    assert record.resolution_ns >= 60_000_000_000
    assert TIME_OF_ARRIVAL in record.quality
    assert result.is_timeless


@pytest.mark.parametrize("is_table", [True, False])
def test_a_call_of_an_mcp_server_adds_to_its_request(*, is_table: bool) -> None:
    """Its method is the protocol's, not HTTP's; the request's own row has status and times."""
    told = {"Method": "tools/call", "ToolName": "find_crane", "ErrorType": "timeout"}
    row: dict[str, object] = {"TimeGenerated": "2026-03-04T05:06:07.089Z", "CorrelationId": ID}
    if is_table:
        row = {**row, **told, "Type": "ApiManagementGatewayMCPLog"}
    else:
        row = {"time": row["TimeGenerated"], "correlationId": ID, "category": "GatewayMCPLogs"}
        row["properties"] = {name[0].lower() + name[1:]: text for name, text in told.items()}
    record = _one(row)
    assert (record.record_id, record.source) == (ID, "mcp-log")
    assert (record.method, record.status) == ("", None)
    assert record.attributes == {
        "mcp.method.name": "tools/call",
        "gen_ai.tool.name": "find_crane",
        "error.type": "timeout",
    }
