"""How a request ended: the same words for every gateway, whatever it writes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from collector.decode.gateways import find_adapters
from collector.decode.outcome import (
    describe_grpc,
    has_client_left,
    note_grpc,
    read_grpc_status,
    settle,
)
from collector.model import GatewayRecord


def ended(*, is_failed: bool = False, grpc: str = "", **fields: Any) -> GatewayRecord:
    record = GatewayRecord(gateway="toy", record_id="1", start_ns=1, **fields)
    note_grpc(record, grpc)
    settle(record, is_failed=is_failed)
    return record


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0", 0),
        ("14", 14),
        ("Unavailable", 14),
        ("UNAVAILABLE", 14),
        ("DeadlineExceeded", 4),
        ("DEADLINE_EXCEEDED", 4),
        ("Canceled", 1),
        ("Cancelled", 1),
        ("99", 99),
        ("", None),
        ("-", None),
        ("soon", None),
        ("-1", None),
        ("\u0661", None),
    ],
)
def test_a_grpc_status_is_read_by_name_and_by_number(text: str, code: int | None) -> None:
    """Proxies write it in three spellings; what is none of them is no status."""
    assert read_grpc_status(text) == code


def test_a_grpc_status_is_described_with_its_name() -> None:
    """A number means nothing to most people; one without a name stays a number."""
    assert describe_grpc(14) == "gRPC status 14 (UNAVAILABLE)"
    assert describe_grpc(77) == "gRPC status 77"


@pytest.mark.parametrize("status", [200, 302, 401, 404, 408, 429])
def test_an_answer_below_500_is_no_error(status: int) -> None:
    """A refusal is an answer, whoever gave it."""
    assert not ended(status=status).is_error
    assert ended(status=status, is_failed=True).is_error == (status < 400)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_answer_of_500_and_more_is_an_error(status: int) -> None:
    """So it is for every gateway."""
    assert ended(status=status).is_error


@pytest.mark.parametrize(("grpc", "is_error"), [("0", False), ("1", False), ("5", True)])
def test_a_grpc_failure_counts_whatever_the_http_status(grpc: str, is_error: bool) -> None:
    """A call that failed is answered with 200 and says so in its trailers."""
    record = ended(status=200, grpc=grpc)
    assert record.is_error == is_error
    assert (record.kind, record.attributes["rpc.grpc.status_code"]) == ("grpc", grpc)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": 0},
        {"status": 499},
        {"status": 499, "error_source": "gateway"},
        {"status": 200, "error_reason": "ClientConnectionFailure"},
        {"status": None, "error_reason": "DownstreamConnectionTermination"},
        {"status": None, "error_reason": "downstream_remote_disconnect"},
        {"status": 101, "error_source": "client", "error_message": "closed"},
    ],
)
def test_a_client_that_went_away_is_nobodys_error(fields: dict[str, Any]) -> None:
    """Status 0, nginx's 499, or the gateway's own words."""
    record = ended(**fields, is_failed=True)
    assert has_client_left(record)
    assert not record.is_error


@pytest.mark.parametrize(
    "fields",
    [
        {"status": 0, "error_reason": "BackendConnectionFailure"},
        {"status": 0, "error_source": "backend"},
        {"status": None, "error_message": "no answer"},
        {"status": 400, "error_source": "client", "error_reason": "InvalidEnvoyRequestHeaders"},
    ],
)
def test_a_client_is_not_gone_where_somebody_else_is_blamed(fields: dict[str, Any]) -> None:
    """No status alone does not make it the client's doing."""
    record = ended(**fields)
    assert not has_client_left(record)
    assert record.is_error == (record.status is None)


def test_no_status_and_no_blame_is_unknown() -> None:
    """Formats without a status column say nothing of failures."""
    record = ended(status=None)
    assert not has_client_left(record)
    assert not record.is_error


def kong(status: int, **more: Any) -> Any:
    request = {"id": "d" * 32, "method": "GET", "uri": "/p", "url": "https://h.example/p"}
    latencies = {"request": 20, "kong": 3, "proxy": 15, "receive": 1}
    answer = {"status": status, "size": 5, "headers": more.get("headers", {})}
    row = {"request": request, "response": answer, "latencies": latencies}
    return {**row, "started_at": 1_930_000_000_000, "upstream_status": str(status)}


def apim(status: int, **more: Any) -> Any:
    return {
        "TimeGenerated": "2031-03-05T08:15:30Z",
        "CorrelationId": "7f1d2c3b-0000-4000-8000-0000000000aa",
        "IsRequestSuccess": 0 < status < 400,
        "TotalTime": 20,
        "ResponseCode": status,
        "BackendResponseCode": status,
        "ResponseHeaders": more.get("headers", {}),
    }


def app_request(status: int, **more: Any) -> Any:
    headers = {f"Response-{name}": value for name, value in more.get("headers", {}).items()}
    return {
        "TimeGenerated": "2031-03-05T08:15:30Z",
        "Type": "AppRequests",
        "OperationId": "c" * 32,
        "Id": "e" * 16,
        "ResultCode": str(status),
        "Success": 0 < status < 400,
        "DurationMs": 20.0,
        "Properties": {"Service Type": "API Management", **headers},
    }


def envoy(status: int, **more: Any) -> Any:
    row = {"start_time": "2031-03-05T08:15:30Z", "duration": 20, "method": "GET", "path": "/p"}
    grpc = more.get("headers", {}).get("grpc-status")
    return {**row, "response_code": status, "response_flags": "-", "grpc_status": grpc}


def nginx(status: int, **more: Any) -> Any:
    row = {"msec": "1930000000.123", "request_time": "0.020", "status": status, "method": "GET"}
    grpc = more.get("headers", {}).get("grpc-status")
    return {**row, "upstream_status": str(status), "sent_http_grpc_status": grpc}


def app_gateway(status: int, **more: Any) -> Any:
    row = {"transactionId": "b" * 32, "httpStatus": status, "timeTaken": 0.02, "serverRouted": "x"}
    return {"time": "2031-03-05T08:15:30Z", "properties": {**row, "serverStatus": str(status)}}


def agc(status: int, **more: Any) -> Any:
    row = {"trackingId": "a" * 32, "httpStatusCode": str(status), "timeTaken": "20"}
    return {"time": "2031-03-05T08:15:30Z", "properties": row}


def front_door(status: int, **more: Any) -> Any:
    # 0 alone is an origin's silence there
    error = "NoError" if status else "ClientDisconnected"
    row = {"trackingReference": "d" * 32, "httpStatusCode": str(status), "timeTaken": "0.02"}
    return {"time": "2031-03-05T08:15:30Z", "properties": {**row, "errorInfo": error}}


def aws(status: int, **more: Any) -> Any:
    row = {
        "requestId": "5d0c1b2a-0000-4000-8000-0000000000bb",
        "requestTimeEpoch": 1_930_000_000_000,
    }
    return {**row, "status": str(status), "responseLatency": "20", "integrationStatus": str(status)}


def apigee(status: int, **more: Any) -> Any:
    row = {"messageid": "m-1", "client.received.start.timestamp": 1_930_000_000_000}
    grpc = more.get("headers", {}).get("grpc-status")
    return {**row, "response.status.code": status, "response.header.grpc-status": grpc}


def netty(status: int, **more: Any) -> Any:
    line = '198.51.100.4 - - [05/Mar/2031:08:15:30 +0000] "GET /p HTTP/1.1"'
    return {"message": f"{line} {status:03} 5 20"}


def traefik(status: int, **more: Any) -> Any:
    row = {"StartUTC": "2031-03-05T08:15:30Z", "Duration": 20_000_000, "RequestMethod": "GET"}
    return {**row, "RequestPath": "/p", "DownstreamStatus": status, "OriginStatus": status}


ROWS: dict[str, Callable[..., Any]] = {
    "kong": kong,
    "azure-apim": apim,
    "azure-app-insights": app_request,
    "envoy": envoy,
    "ingress-nginx": nginx,
    "azure-application-gateway": app_gateway,
    "azure-agc": agc,
    "azure-front-door": front_door,
    "aws-api-gateway": aws,
    "apigee": apigee,
    "spring-cloud-gateway": netty,
    "traefik": traefik,
}
# Mappings are read by the same code: one stands for all.
NAMES = [name for name, each in find_adapters().items() if not each.is_mapped or name == "traefik"]


def decoded(adapter: str, status: int, **more: Any) -> GatewayRecord:
    body = json.dumps(ROWS[adapter](status, **more)).encode()
    [record] = find_adapters()[adapter].decode(body).records
    return record


@pytest.mark.parametrize("adapter", NAMES)
@pytest.mark.parametrize(
    ("status", "is_error"), [(200, False), (404, False), (429, False), (500, True), (503, True)]
)
def test_errors_are_the_same_statuses_in_every_adapter(
    adapter: str, status: int, is_error: bool
) -> None:
    """One count of errors means one thing, though one product calls every 404 no success."""
    assert decoded(adapter, status).is_error == is_error


@pytest.mark.parametrize("adapter", NAMES)
def test_a_client_that_left_is_known_in_every_adapter(adapter: str) -> None:
    """Status 0 is no status, and nobody's error."""
    record = decoded(adapter, 0)
    assert (record.status, record.error_source) == (None, "client")
    assert has_client_left(record)
    assert not record.is_error


@pytest.mark.parametrize(
    "adapter", ["kong", "azure-apim", "azure-app-insights", "envoy", "ingress-nginx", "apigee"]
)
@pytest.mark.parametrize(("written", "code"), [("13", "13"), ("0", "0")])
def test_a_grpc_status_is_found_in_every_adapter_that_has_one(
    adapter: str, written: str, code: str
) -> None:
    """In a header that was logged, or in a field of its own."""
    record = decoded(adapter, 200, headers={"grpc-status": written})
    assert record.attributes["rpc.grpc.status_code"] == code
    assert record.is_error == (code != "0")
    assert record.kind == "grpc"


@pytest.mark.parametrize(
    "facts",
    [
        {"cache": "hit", "status": 200},
        {"status": 401, "error_section": "inbound", "backend_ns": 0},
        {"status": 200, "backend_ns": 0},
        {"status": 429, "error_source": "gateway", "error_reason": "RateLimited"},
    ],
    ids=["cached", "refused by policy", "mocked", "limited"],
)
def test_what_was_answered_at_the_gateway_made_no_try(facts: dict[str, Any]) -> None:
    """Where the facts show that no backend was called, the tries are none and not unknown."""
    record = ended(**facts)
    assert record.attempts == 0
    assert record.has_stayed_at_gateway


@pytest.mark.parametrize(
    "facts",
    [
        {"status": 200},
        {"status": 404, "error_source": "gateway"},
        {"status": 504, "error_source": "gateway", "error_reason": "Timeout"},
        {"status": 403, "error_source": "gateway", "error_reason": "x", "backend_status": 403},
        {"status": 401, "error_section": "inbound", "backend_host": "orders.shop"},
        {"status": 500, "error_section": "inbound"},
        {"cache": "miss", "status": 200},
        {"attempts": 2, "status": 401, "error_section": "inbound"},
    ],
)
def test_a_backend_that_is_not_logged_may_have_been_called(facts: dict[str, Any]) -> None:
    """That a product does not log its backend says nothing of it."""
    record = ended(**facts)
    assert record.attempts == facts.get("attempts")
    assert not record.has_stayed_at_gateway
