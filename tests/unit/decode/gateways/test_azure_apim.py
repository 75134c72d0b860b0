"""What API Management's shapes have in common, and what only typed rows or large batches show."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from collector.decode.gateways import get_adapter
from collector.model import Decoded, Id

ADAPTER = get_adapter("azure-apim")

TABLE = "ApiManagementGatewayLogs"
TRACE_ID, SPAN_ID = "3c" * 16, "9d" * 8


def decode_rows(table: str, rows: Sequence[dict[str, Any]]) -> Decoded:
    return ADAPTER.decode_rows({**row, "Type": table} for row in rows)


def _row(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "TimeGenerated": "2032-01-02T03:04:05.0070000Z",
        "CorrelationId": f"0badcafe-0000-4000-8000-{number:012d}",
        "Category": "GatewayLogs",
        "Url": "https://quay.example/cranes/4",
        "ResponseCode": 200,
        "IsRequestSuccess": True,
        "TotalTime": 50,
        "BackendTime": 30,
        "ClientTime": 5,
        "CacheTime": 0,
    } | changes


def test_one_request_reads_the_same_from_every_path() -> None:
    """Log Analytics, AzureDiagnostics and the envelope give the same times, status and ids."""
    row = _row()
    diagnostics = {
        "TimeGenerated": row["TimeGenerated"],
        "ResourceProvider": "MICROSOFT.APIMANAGEMENT",
        "Category": "GatewayLogs",
        "CorrelationId": row["CorrelationId"],
        "DurationMs": 50,
        "url_s": row["Url"],
        "responseCode_d": 200.0,
        "isRequestSuccess_b": True,
        "backendTime_d": 30.0,
        "clientTime_d": 5.0,
        "cacheTime_d": 0.0,
    }
    envelope = {
        "records": [
            {
                "time": row["TimeGenerated"],
                "category": "GatewayLogs",
                "correlationId": row["CorrelationId"],
                "durationMs": 50,
                "isRequestSuccess": True,
                "properties": {
                    "url": row["Url"],
                    "responseCode": 200,
                    "backendTime": 30,
                    "clientTime": 5,
                    "cacheTime": 0,
                },
            }
        ]
    }
    read = [
        ADAPTER.decode(json.dumps(body).encode()).records[0]
        for body in (row, diagnostics, envelope)
    ]
    for record in read:
        record.raw = record.source = ""
    assert read[0] == read[1] == read[2]
    assert read[0].gateway_ns == 15_000_000


def test_typed_rows_of_the_query_client_are_read() -> None:
    """Datetimes stay exact to the microsecond, dynamic columns are JSON text, "None" is no guid."""
    row = _row(
        TimeGenerated=datetime(2032, 1, 2, 3, 4, 5, 7001, UTC),
        BackendRequestHeaders=f'{{"traceparent":"00-{TRACE_ID}-{SPAN_ID}-01"}}',
        UserId="None",
        LastErrorReason="",
        Errors=None,
    )
    (record,) = decode_rows(TABLE, [row]).records
    assert record.start_ns == 1_956_625_445_007_001_000
    assert (record.trace_id, record.outgoing_span_id) == (TRACE_ID, SPAN_ID)
    assert (record.user, record.is_error) == ("", False)


def test_raw_shows_header_maps_as_objects_and_no_nulls() -> None:
    """JSON text inside JSON text would hide a header's name from redaction."""
    row = _row(RequestHeaders='{"Authorization":"Bearer abc"}', ProductId=None, UserId="")
    (record,) = decode_rows(TABLE, [row]).records
    raw = json.loads(record.raw)
    assert raw["RequestHeaders"] == {"Authorization": "Bearer abc"}
    assert "ProductId" not in raw
    assert "UserId" not in raw


def test_raw_of_an_envelope_shows_nested_header_maps_as_objects() -> None:
    """Header maps stay readable two levels deep, in 2017's JSON text as well."""
    properties = {"requestHeaders": '{"Cookie":"a=b"}', "method": "GET"}
    body = {"time": "2032-01-02T03:04:05Z", "correlationId": "x", "properties": properties}
    for shape in (body, body | {"properties": json.dumps(properties)}):
        (record,) = ADAPTER.decode(json.dumps({"records": [shape]}).encode()).records
        assert json.loads(record.raw)["properties"]["requestHeaders"] == {"Cookie": "a=b"}


def test_one_bad_record_of_ten_thousand_costs_one() -> None:
    """The others are accepted, and the bad one is named by its index and field."""
    rows = [_row(number) for number in range(10_000)]
    rows[6_502]["BackendTime"] = "a while"
    decoded = ADAPTER.decode(json.dumps({"records": rows}).encode())
    assert len(decoded.records) == 9_999
    (error,) = decoded.rejected
    assert (error.index, error.field) == (6_502, "BackendTime")


def test_index_counts_over_several_envelopes() -> None:
    """An index is the place among all records of the body, whatever envelope they came in."""
    envelopes = [{"records": [_row(1), _row(2)]}, {"records": [_row(3), _row(4, TotalTime=[])]}]
    body = "\n".join(json.dumps(envelope) for envelope in envelopes)
    decoded = ADAPTER.decode(body.encode())
    assert [error.index for error in decoded.rejected] == [3]
    assert len(decoded.records) == 3


def test_request_ids_of_all_header_maps_are_kept() -> None:
    """The id the client sent, the one the gateway sent on and the answer's are all findable."""
    row = _row(
        RequestHeaders={"x-request-id": "from-client"},
        BackendRequestHeaders={"X-Request-Id": "sent-on", "x-correlation-id": "corr-5"},
        ResponseHeaders={"x-request-id": "from-client"},
    )
    (record,) = ADAPTER.decode(json.dumps(row).encode()).records
    assert set(record.ids) == {
        Id("apim_correlation_id", row["CorrelationId"]),
        Id("x_request_id", "from-client"),
        Id("x_request_id", "sent-on"),
        Id("correlation_id", "corr-5"),
    }
    assert len(record.ids) == 4


def test_header_passed_through_unchanged_is_parent_on_both_sides() -> None:
    """Without Application Insights the client's span is what the mesh has as its parent."""
    header = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
    row = _row(RequestHeaders=header, BackendRequestHeaders=header)
    (record,) = ADAPTER.decode(json.dumps(row).encode()).records
    assert record.parent_span_id == record.outgoing_span_id == SPAN_ID


def test_llm_log_keeps_no_prompt() -> None:
    """What people said to a model is neither in the attributes nor in the original kept."""
    row = {
        "TimeGenerated": "2032-01-02T03:04:05Z",
        "CorrelationId": "c-1",
        "ModelName": "m",
        "RequestMessages": '[{"content":"my secret plan"}]',
        "ResponseMessages": [{"content": "a secret answer"}],
    }
    (record,) = decode_rows("ApiManagementGatewayLlmLog", [row]).records
    assert "secret" not in record.raw
    assert record.attributes == {"gen_ai.request.model": "m"}


def test_long_websocket_keeps_its_beginning_and_its_end() -> None:
    """Of many events the first and the last are kept; the times span all of them."""
    rows = [
        {
            "TimeGenerated": f"2032-01-02T03:{number // 60:02}:{number % 60:02}Z",
            "CorrelationId": "ws-1",
            "EventName": f"message {number}",
        }
        for number in range(120)
    ]
    (record,) = decode_rows("ApiManagementWebSocketConnectionLogs", rows).records
    events = json.loads(record.attributes["websocket.events"])
    assert (events[0]["event"], events[-1]["event"]) == ("message 0", "message 119")
    assert len(events) == 50
    assert record.duration_ns == 119 * 1_000_000_000
    assert record.quality == ("STREAMING",)


@pytest.mark.parametrize(
    ("body", "name", "kind"),
    [
        ("query Cranes { a }", "Cranes", "query"),
        ("{ a }", "", "query"),
        ("mutation { a }", "", "mutation"),
        (
            '{"operationName":"Lift","query":"subscription Lift($x: Int) { a }"}',
            "Lift",
            "subscription",
        ),
        ('{"operationName":"Only"}', "Only", ""),
        ('{"query":7}', "", ""),
        ("[1]", "", ""),
    ],
)
def test_graphql_operation_is_named(body: str, name: str, kind: str) -> None:
    """Name and type come from the logged body, in whatever form it was sent."""
    row = _row(Url="https://quay.example/graphql", RequestBody=body)
    (record,) = ADAPTER.decode(json.dumps(row).encode()).records
    assert record.kind == "graphql"
    assert record.attributes.get("graphql.operation.name", "") == name
    assert record.attributes.get("graphql.operation.type", "") == kind


def test_a_grpc_status_of_the_backend_counts_where_only_that_is_logged() -> None:
    """The caller's headers say more; without them nobody says that the gateway changed it."""
    failed = _row(BackendResponseHeaders={"grpc-status": "14"})
    [record] = decode_rows("ApiManagementGatewayLogs", [failed]).records
    assert (record.kind, record.is_error) == ("grpc", True)
    mended = _row(BackendResponseHeaders={"grpc-status": "14"}, ResponseHeaders={"via": "shop"})
    [record] = decode_rows("ApiManagementGatewayLogs", [mended]).records
    assert not record.is_error
