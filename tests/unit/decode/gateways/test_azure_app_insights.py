"""How telemetry of API Management becomes the same record that its gateway log becomes."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from collector.attributes import REQUEST_KEY
from collector.decode.gateways import get_adapter
from collector.stitch.join.merge import merge_records

MS = 1_000_000
OPERATION_ID = "0c1d" * 8
ADAPTER = get_adapter("azure-app-insights")
REQUEST_SPAN, DEPENDENCY_SPAN = "ab" * 8, "cd" * 8
PROPERTIES = {
    "Service Type": "API Management",
    "Request Id": "0BADCAFE-0000-4000-8000-000000000001",
}


def _request(**changes: Any) -> dict[str, Any]:
    return {
        "TimeGenerated": "2032-01-02T03:04:05.0070000Z",
        "Type": "AppRequests",
        "Id": REQUEST_SPAN,
        "OperationId": OPERATION_ID,
        "ParentId": "",
        "DurationMs": 100.5,
        "ResultCode": "200",
        "Success": True,
        "Properties": PROPERTIES,
    } | changes


def _dependency(**changes: Any) -> dict[str, Any]:
    return (
        _request(
            Type="AppDependencies",
            Id=DEPENDENCY_SPAN,
            ParentId=REQUEST_SPAN,
            DurationMs=80.25,
            TimeGenerated="2032-01-02T03:04:05.0100000Z",
        )
        | changes
    )


def test_request_and_dependency_of_two_tables_share_their_record_id() -> None:
    """Polled apart, they are merged by (gateway, record id) like any two sources."""
    (request,) = ADAPTER.decode_rows([_request()]).records
    (dependency,) = ADAPTER.decode_rows([_dependency()]).records
    assert request.record_id == dependency.record_id == PROPERTIES["Request Id"].lower()
    assert request.attributes[REQUEST_KEY] == dependency.attributes[REQUEST_KEY]
    assert request.gateway == dependency.gateway == "azure-apim"
    assert dependency.outgoing_span_id == DEPENDENCY_SPAN


def test_start_of_a_dependency_does_not_pass_for_the_start_of_the_request() -> None:
    """Merging takes the start of the finest resolution, which is the request's."""
    (request,) = ADAPTER.decode_rows([_request()]).records
    (dependency,) = ADAPTER.decode_rows([_dependency()]).records
    assert request.resolution_ns < dependency.resolution_ns


def test_backend_time_is_the_sum_of_all_dependencies() -> None:
    """Two calls to the backend add up, and the rest of the total is the gateway's."""
    rows = [_request(), _dependency(DurationMs=30.0), _dependency(DurationMs=40.0)]
    (record,) = ADAPTER.decode(json.dumps(rows).encode()).records
    assert (record.backend_ns, record.gateway_ns) == (70_000_000, None)
    assert record.attempts == 2


def test_dependencies_of_another_request_are_left_alone() -> None:
    """A dependency goes to the request whose span is its parent, within the same trace only."""
    other = _dependency(ParentId="12" * 8)
    same_span = _dependency(OperationId="ff" * 16)
    records = ADAPTER.decode(json.dumps([_request(), other, same_span]).encode()).records
    assert [record.backend_ns for record in records] == [None, 80_250_000, 80_250_000]


def test_item_count_is_the_weight() -> None:
    """A sampled request stands for as many as its ItemCount says."""
    (record,) = ADAPTER.decode(json.dumps(_request(ItemCount=25)).encode()).records
    assert record.weight == 25


def test_typed_rows_of_the_query_client_are_read() -> None:
    """Datetimes, fractional durations and Properties as JSON text, as the SDK returns them."""
    row = _request(
        TimeGenerated=datetime(2032, 1, 2, 3, 4, 5, 7001, UTC), Properties=json.dumps(PROPERTIES)
    )
    del row["Type"]
    (record,) = ADAPTER.decode_rows([row]).records
    assert record.start_ns == 1_956_625_445_007_001_000
    assert json.loads(record.raw)["Properties"] == PROPERTIES


def test_legacy_guid_is_no_trace_id() -> None:
    """A GUID as operation id was never sent as traceparent, so it is kept as a request id."""
    guid = "7f0e1d2c-3b4a-4596-8788-99aabbccddee"
    (record,) = ADAPTER.decode(json.dumps(_request(OperationId=guid)).encode()).records
    assert record.trace_id == ""
    assert ("request_id", guid) in [(each.kind, each.value) for each in record.ids]


def test_five_sources_of_one_request_are_merged_into_one_record() -> None:
    """Gateway log, request, dependency, policy event and LLM log: counted once, best of each."""
    correlation_id = PROPERTIES["Request Id"]
    log = {
        "TimeGenerated": "2032-01-02T03:04:05.0070000Z",
        "Category": "GatewayLogs",
        "CorrelationId": correlation_id.lower(),
        "TotalTime": 101,
        "ClientTime": 3,
        "BackendTime": 80,
        "CacheTime": 0,
        "ResponseCode": 200,
    }
    event = {
        "requestId": correlation_id.lower(),
        "startedAt": log["TimeGenerated"],
        "elapsedMs": 98.5,
    }
    usage = {
        "Type": "ApiManagementGatewayLlmLog",
        "TimeGenerated": log["TimeGenerated"],
        "CorrelationId": correlation_id.lower(),
        "TotalTokens": 12,
    }
    bodies = [
        (get_adapter("azure-apim").decode, log),
        (ADAPTER.decode, _request(ItemCount=4)),
        (ADAPTER.decode, _dependency(ItemCount=4)),
        (get_adapter("azure-apim").decode, event),
        (get_adapter("azure-apim").decode, usage),
    ]
    records = [
        record for read, body in bodies for record in read(json.dumps(body).encode()).records
    ]
    (merged,) = merge_records(records)
    assert merged.versions == 5
    record = merged.record
    assert (record.duration_ns, record.client_ns, record.gateway_ns) == (101 * MS, 3 * MS, 18 * MS)
    assert (record.trace_id, record.outgoing_span_id) == (OPERATION_ID, DEPENDENCY_SPAN)
    assert record.start_ns == 1_956_625_445_007_000_000
    assert (record.kind, record.weight) == ("llm", 4.0)
    assert record.attributes["gen_ai.usage.total_tokens"] == "12"


ENVELOPED: dict[str, Any] = {
    "name": "Microsoft.ApplicationInsights.Request",
    "time": "2032-01-02T03:04:05.0070000Z",
    "iKey": "made-up",
    "sampleRate": 25,
    "tags": {
        "ai.operation.id": OPERATION_ID,
        "ai.operation.parentId": "",
        "ai.operation.name": "cranes;rev=2 - lift",
        "ai.cloud.role": "shop.azure-api.net West Europe",
        "ai.internal.sdkVersion": "apim:1.0",
    },
    "data": {
        "baseType": "RequestData",
        "baseData": {
            "ver": 2,
            "id": REQUEST_SPAN,
            "name": "GET /cranes/4",
            "duration": "00:00:00.1005000",
            "responseCode": "200",
            "success": True,
            "url": "https://quay.example/cranes/4",
            "properties": PROPERTIES,
        },
    },
}
EXPORTED: dict[str, Any] = {
    "request": [
        {
            "id": REQUEST_SPAN,
            "name": "GET /cranes/4",
            "count": 1,
            "responseCode": 200,
            "success": True,
            "url": "https://quay.example/cranes/4",
            "durationMetric": {"value": 1005000.0, "count": 1.0},
        }
    ],
    "internal": {"data": {"id": "x", "documentVersion": "1.61"}},
    "context": {
        "data": {"eventTime": "2032-01-02T03:04:05.007Z", "samplingRate": 25.0},
        "device": {"roleName": "shop.azure-api.net West Europe"},
        "operation": {"id": OPERATION_ID, "parentId": "", "name": "cranes;rev=2 - lift"},
        "custom": {"dimensions": [{name: value} for name, value in PROPERTIES.items()]},
    },
}


@pytest.mark.parametrize("row", [ENVELOPED, EXPORTED], ids=["ingestion", "continuous-export"])
def test_every_shape_of_telemetry_says_what_the_tables_say(row: dict[str, Any]) -> None:
    """An SDK's envelope and a blob of continuous export become the record of a table's row."""
    (record,) = ADAPTER.decode(json.dumps(row).encode()).records
    assert record.record_id == PROPERTIES["Request Id"].lower()
    assert (record.trace_id, record.status) == (OPERATION_ID, 200)
    assert (record.duration_ns, record.weight) == (100_500_000, 4.0)
    assert (record.api, record.operation, record.path) == ("cranes", "lift", "/cranes/4")
    assert record.start_ns % 1_000_000_000 == 7 * MS


def test_dependencies_in_envelopes_are_merged_with_their_request() -> None:
    """The call to the backend comes as an envelope of its own, whose id is what was sent on."""
    dependency = {
        **ENVELOPED,
        "tags": {**ENVELOPED["tags"], "ai.operation.parentId": REQUEST_SPAN},
        "data": {
            "baseType": "RemoteDependencyData",
            "baseData": {
                "id": DEPENDENCY_SPAN,
                "name": "GET /berths",
                "duration": "00:00:00.0802500",
                "resultCode": "200",
                "success": True,
                "data": "https://mesh.quay.example/berths",
                "type": "HTTP",
                "properties": PROPERTIES,
            },
        },
    }
    (record,) = ADAPTER.decode(json.dumps([ENVELOPED, dependency]).encode()).records
    assert (record.outgoing_span_id, record.backend_ns) == (DEPENDENCY_SPAN, 80_250_000)


@pytest.mark.parametrize(
    "row",
    [
        {"name": "x", "time": "t", "data": {"baseType": "MessageData", "baseData": {}}},
        {"event": [{}], "internal": {}, "context": {}},
    ],
)
def test_other_telemetry_in_envelopes_is_passed_over(row: dict[str, Any]) -> None:
    """Traces, events and metrics are about no request."""
    decoded = ADAPTER.decode(json.dumps(row).encode())
    assert [each.code for each in decoded.ignored] == ["category"]


def test_a_sampling_rate_that_is_none_is_refused() -> None:
    """A weight made of it would count too much or nothing."""
    (error,) = ADAPTER.decode(json.dumps({**ENVELOPED, "sampleRate": 0}).encode()).rejected
    assert error.field == "sampleRate"


@pytest.mark.parametrize(
    ("name", "method", "path"),
    [("PUT /berths/4", "PUT", "/berths/4"), ("tools/call find_crane", "", ""), ("Harbour", "", "")],
)
def test_a_name_that_is_no_request_line_has_no_method(name: str, method: str, path: str) -> None:
    """Calls of MCP servers are named by the protocol's methods, which are not HTTP's."""
    base = {key: value for key, value in _request(Name=name).items() if key != "Url"}
    (record,) = ADAPTER.decode(json.dumps(base).encode()).records
    assert (record.method, record.path) == (method, path)
