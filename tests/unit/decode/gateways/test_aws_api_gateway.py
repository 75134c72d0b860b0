"""Access-log formats of API Gateway that people really have: presets, nested JSON, no ids."""

import json
from typing import Any

import pytest

from collector.decode.gateways import get_adapter
from collector.model import GatewayRecord

ADAPTER = get_adapter("aws-api-gateway")
ID, EXTENDED = "5b8f1c3e-2d4a-4f60-9a7b-1c2d3e4f5a6b", "Ab3dEfGhIjKlMn0="
TIME = "04/Mar/2026:05:06:07 +0000"
START_NS = 1_772_600_767_000_000_000


def _one(body: Any) -> GatewayRecord:
    text = body if isinstance(body, str) else json.dumps(body)
    decoded = ADAPTER.decode(text.encode())
    assert not decoded.rejected, decoded.rejected
    (record,) = decoded.records
    return record


@pytest.mark.parametrize(
    ("line", "route"),
    [
        (f'203.0.113.9 - - [{TIME}] "GET /tides/{{bay}} HTTP/1.1" 200 12 {ID}', "/tides/{bay}"),
        (f'203.0.113.9 - - [{TIME}]"GET /tides HTTP/1.1" 200 12 {ID} {EXTENDED}', "/tides"),
        (f'203.0.113.9 - - [{TIME}] "GET GET /tides HTTP/1.1" 200 12 {ID}', "/tides"),
        (f'203.0.113.9 - - [{TIME}] "GET $default HTTP/1.1" 200 12 {ID} 75 70', "$default"),
        (f"203.0.113.9,-,-,{TIME},GET,/tides,HTTP/1.1,200,12,{ID}", "/tides"),
        (f"203.0.113.9,-,-,{TIME},GET,/tides,HTTP/1.1,200,12,{ID},{EXTENDED}", "/tides"),
        (f"203.0.113.9,{TIME},GET,GET /tides,HTTP/1.1,200,12,{ID}", "/tides"),
        (
            f'<request id="{ID}"> <ip>203.0.113.9</ip> <caller>-</caller> <user>-</user> '
            f"<requestTime>{TIME}</requestTime> <httpMethod>GET</httpMethod> "
            "<resourcePath>/tides</resourcePath> <status>200</status> "
            "<protocol>HTTP/1.1</protocol> <responseLength>12</responseLength> </request>",
            "/tides",
        ),
        (
            f'<request id="{ID}"><ip>203.0.113.9</ip><requestTime>{TIME}</requestTime>'
            "<httpMethod>GET</httpMethod><routeKey>GET /tides</routeKey><status>200</status>"
            "<protocol>HTTP/1.1</protocol><responseLength>12</responseLength></request>",
            "/tides",
        ),
    ],
    ids=["clf", "clf-2", "http-clf", "more", "csv", "csv-2", "http-csv", "xml", "http-xml"],
)
def test_the_presets_of_rest_and_http_apis_are_read(line: str, route: str) -> None:
    """CLF, CSV and XML of the console, of both kinds of API."""
    record = _one(line)
    assert (record.method, record.route, record.status) == ("GET", route, 200)
    assert (record.client_address, record.response_bytes) == ("203.0.113.9", 12)
    assert record.start_ns == START_NS
    assert ID in {each.value for each in record.ids}


@pytest.mark.parametrize(
    "line",
    [
        f'203.0.113.9 - - [{TIME}] "MESSAGE sendTide Ab12Cd34EfGh" 200 {ID}',
        f"203.0.113.9,-,-,{TIME},MESSAGE,sendTide,Ab12Cd34EfGh,200,{ID}",
        f'<request id="{ID}"> <ip>203.0.113.9</ip> <requestTime>{TIME}</requestTime> '
        "<eventType>MESSAGE</eventType> <routeKey>sendTide</routeKey> <status>200</status> "
        "<connectionId>Ab12Cd34EfGh</connectionId> </request>",
        json.dumps(
            {
                "requestId": ID,
                "ip": "203.0.113.9",
                "requestTime": TIME,
                "eventType": "MESSAGE",
                "routeKey": "sendTide",
                "status": "200",
                "connectionId": "Ab12Cd34EfGh",
            }
        ),
    ],
    ids=["clf", "csv", "xml", "json"],
)
def test_the_presets_of_websocket_apis_are_read(line: str) -> None:
    """Event, route and connection stand where the others have method, path and protocol."""
    record = _one(line)
    assert (record.route, record.status, record.method) == ("sendTide", 200, "")
    assert record.attributes["aws.event_type"] == "MESSAGE"
    assert record.attributes["aws.connection_id"] == "Ab12Cd34EfGh"
    assert record.record_id == ID


def test_a_format_nested_like_the_variables_is_read() -> None:
    """`context.error.message` may be written as the object that its dots suggest."""
    record = _one(
        {
            "context": {
                "requestId": EXTENDED,
                "requestTime": TIME,
                "routeKey": "GET /tides",
                "httpMethod": "GET",
                "status": "500",
                "error": {"message": "Internal Server Error", "responseType": "DEFAULT_5XX"},
                "identity": {"sourceIp": "203.0.113.9", "userAgent": "buoy/1"},
                "integration": {"error": "timed out after 3 s", "status": "504", "latency": "3000"},
            }
        }
    )
    assert (record.status, record.error_message) == (500, "timed out after 3 s")
    assert (record.client_address, record.backend_status) == ("203.0.113.9", 504)
    assert record.backend_ns == 3_000_000_000
    assert record.attributes["user_agent.original"] == "buoy/1"


def test_a_line_without_an_id_is_kept_under_a_derived_one() -> None:
    """The same line always gives the same id, another line another."""
    row = {"requestTime": TIME, "status": "200", "path": "/tides"}
    first, again, other = _one(row), _one(row), _one({**row, "path": "/waves"})
    assert first.record_id == again.record_id != other.record_id
    assert first.record_id.startswith("~")


@pytest.mark.parametrize(
    "line",
    [
        f"({ID}) Method completed with status: 200",
        f"START RequestId: {ID} Version: $LATEST",
        f"REPORT RequestId: {ID}\tDuration: 7.12 ms",
    ],
)
def test_execution_logs_are_passed_over(line: str) -> None:
    """What CloudWatch holds beside access logs is no request of its own."""
    decoded = ADAPTER.decode(line.encode())
    assert [each.code for each in decoded.ignored] == ["event"]
    assert not decoded.rejected


@pytest.mark.parametrize(
    ("told", "attempts"),
    [
        ({"error.responseType": "INTEGRATION_TIMEOUT"}, None),
        ({"error.responseType": "INTEGRATION_FAILURE"}, None),
        ({"integrationErrorMessage": "Unable to connect"}, None),
        ({"error.responseType": "ACCESS_DENIED"}, 0),
        ({}, 0),
    ],
)
def test_an_empty_latency_after_a_failed_call_is_no_proof_that_there_was_none(
    told: dict[str, str], attempts: int | None
) -> None:
    """The backend's time stays empty when the integration is called and never answers."""
    line = {"requestId": ID, "requestTime": TIME, "httpMethod": "GET", "path": "/tides"}
    empty = {"integrationLatency": "-", "integrationStatus": "-"}
    record = _one({**line, **empty, "status": "504", "responseLatency": "29010", **told})
    assert (record.attempts, record.backend_ns, record.gateway_ns) == (attempts, None, None)
