"""Each gateway's records and the mesh's spans come back as one timeline with the right phases."""

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.service import Service

MS = 10**6
APPGW_HEADER = "http.request.header.x-appgw-trace-id"


class Call(NamedTuple):
    """One request: its ids and when the gateway received it."""

    trace_id: str
    client_span: str
    gateway_span: str
    request_id: str
    start_ms: int

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.gateway_span}-01"

    @property
    def transaction_id(self) -> str:
        """The id that only Application Gateway makes up."""
        return self.trace_id[::-1]

    def moment(self, after_ms: int = 0) -> str:
        """Return the start, or a moment after it, in RFC 3339 with ms."""
        moment = datetime.fromtimestamp((self.start_ms + after_ms) / 1000, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Gateway(NamedTuple):
    """
    What one product logs of a call of 100 ms of which 80 ms are the backend's.

    Where it logs neither its client's time nor the sizes of the bodies, the rest is unexplained.
    """

    adapter: str
    body: Callable[[Call], object]
    tier: int
    phases: dict[str, float]
    is_parent_known: bool = True

    @property
    def product(self) -> str:
        """The gateway's name; Application Insights is another path out of API Management."""
        return self.adapter.replace("azure-app-insights", "azure-apim")


def _kong(call: Call) -> object:
    return {
        "started_at": call.start_ms,
        "latencies": {"request": 100, "kong": 12, "proxy": 76, "receive": 4},
        "request": {
            "id": secrets.token_hex(16),
            "method": "GET",
            "uri": "/orders/7",
            "size": 200,
            "headers": {"host": "shop.test", "traceparent": call.traceparent},
        },
        "response": {"status": 200, "size": 300, "headers": {}},
        "upstream_status": "200",
        "tries": [{"ip": "10.0.0.1", "port": 80}],
        "trace_id": {"w3c": call.trace_id},
        "source": "upstream",
    }


def _aws_line(call: Call) -> dict[str, str]:
    return {
        "requestId": call.request_id,
        "extendedRequestId": secrets.token_urlsafe(12),
        "requestTimeEpoch": str(call.start_ms),
        "httpMethod": "GET",
        "resourcePath": "/orders/{id}",
        "path": "/orders/7",
        "status": "200",
        "responseLatency": "100",
        "integrationLatency": "80",
        "integrationStatus": "200",
    }


def _aws(call: Call) -> object:
    trace = f"1-{call.trace_id[:8]}-{call.trace_id[8:]}"
    return {**_aws_line(call), "xrayTraceId": trace}


def _apigee(call: Call) -> object:
    names = {
        "client.received.start": 0,
        "client.received.end": 3,
        "target.sent.start": 10,
        "target.sent.end": 11,
        "target.received.start": 80,
        "target.received.end": 90,
        "client.sent.start": 95,
        "client.sent.end": 100,
    }
    moments = {f"{name}.timestamp": call.start_ms + after for name, after in names.items()}
    return {
        "messageid": f"rrt-{secrets.token_hex(8)}",
        "request.verb": "GET",
        "request.url": "https://shop.test/orders/7",
        "response.status.code": "200",
        "request.header.traceparent": call.traceparent,
        **moments,
    }


def _spring(call: Call) -> object:
    return f'10.0.0.9 - - [{call.moment()}] "GET /orders/7 HTTP/1.1" 200 99 100 {call.traceparent}'


def _nginx(call: Call) -> object:
    return {
        "msec": f"{(call.start_ms + 100) / 1000:.3f}",
        "request_id": secrets.token_hex(16),
        "traceparent": call.traceparent,
        "method": "GET",
        "path": "/orders/7",
        "status": 200,
        "request_time": 0.1,
        "request_length": 420,
        "bytes_sent": 350,
        "upstream_addr": "10.0.0.1:80",
        "upstream_status": "200",
        "upstream_response_time": "0.080",
    }


def _envoy(call: Call) -> object:
    return {
        "start_time": call.moment(),
        "method": "GET",
        "path": "/orders/7",
        "response_code": 200,
        "response_flags": "-",
        "response_code_details": "via_upstream",
        "duration": 100,
        "bytes_received": 0,
        "bytes_sent": 350,
        "upstream_service_time": "80",
        "request_id": call.request_id,
        "trace_id": call.trace_id,
        "authority": "shop.test",
        "upstream_cluster": "httproute/shop/orders/rule/0",
    }


def _containers(call: Call) -> object:
    properties = {
        "trackingId": call.request_id,
        "httpMethod": "GET",
        "httpStatusCode": "200",
        "hostName": "shop.test",
        "requestUri": "/orders/7",
        "timeTaken": "100",
        "backendTimeTaken": "80",
        "backendHost": "10.0.0.1:80",
    }
    record = {
        "category": "TrafficControllerAccessLog",
        "time": call.moment(100),
        "properties": properties,
    }
    return {"records": [record]}


def _apim(call: Call) -> object:
    return [
        {
            "TimeGenerated": call.moment(),
            "CorrelationId": call.request_id,
            "TotalTime": 100,
            "BackendTime": 80,
            "ClientTime": 8,
            "CacheTime": 0,
            "Cache": "none",
            "Method": "GET",
            "Url": "https://shop.test/orders/7",
            "ResponseCode": 200,
            "BackendResponseCode": 200,
            "ApiId": "orders",
            "OperationId": "get-order",
            "IsRequestSuccess": True,
            "BackendRequestHeaders": {"traceparent": call.traceparent},
        }
    ]


def _app_insights(call: Call) -> object:
    request_span = secrets.token_hex(8)
    shared = {
        "OperationId": call.trace_id,
        "ResultCode": "200",
        "Success": True,
        "Properties": {
            "API Name": "orders",
            "Request Id": call.request_id,
            "Service Type": "API Management",
        },
    }
    request = {
        "TimeGenerated": call.moment(),
        "Type": "AppRequests",
        "Id": request_span,
        "Url": "https://shop.test/orders/7",
        "DurationMs": 100,
    }
    dependency = {
        "TimeGenerated": call.moment(10),
        "Type": "AppDependencies",
        "Id": call.gateway_span,
        "ParentId": request_span,
        "Data": "https://mesh.test/orders/7",
        "DependencyType": "HTTP",
        "DurationMs": 80,
    }
    return [request | shared, dependency | shared]


def _application_gateway(call: Call) -> object:
    properties = {
        "transactionId": call.transaction_id,
        "httpMethod": "GET",
        "requestUri": "/orders/7",
        "httpStatus": 200,
        "timeTaken": 0.1,
        "serverResponseLatency": "0.080",
        "serverStatus": "200",
        "serverRouted": "10.0.0.1:80",
    }
    category = "ApplicationGatewayAccessLog"
    return {"records": [{"time": call.moment(100), "category": category, "properties": properties}]}


def _mapped(call: Call) -> object:
    """Return what the example of a mapping file tells of, as a container runtime wraps it."""
    headers = {"traceparent": call.traceparent}
    entry = {
        "type": "access",
        "ts": call.start_ms / 1000,
        "took": "100ms",
        "upstream": {"connect": 1, "wait": 79.0},
        "request": {"method": "GET", "path": "/orders/7", "headers": headers},
        "code": "200",
        "route": "orders",
    }
    return {"log": json.dumps(entry) + "\n", "stream": "stdout"}


GATEWAYS = {
    "mapping file": Gateway("edge", _mapped, 0, {}),
    "azure-apim": Gateway("azure-apim", _apim, 0, {"gateway": 12.0, "client": 8.0}),
    "azure-app-insights": Gateway("azure-app-insights", _app_insights, 0, {"unexplained": 20.0}),
    "kong": Gateway("kong", _kong, 0, {"gateway": 12.0, "client": 8.0}),
    "aws-rest": Gateway("aws-api-gateway", _aws, 1, {"gateway": 20.0}, False),
    "aws-http": Gateway("aws-api-gateway", _aws_line, 3, {"gateway": 20.0}, False),
    "apigee": Gateway("apigee", _apigee, 0, {"gateway": 12.0, "client": 8.0}),
    "spring-cloud-gateway": Gateway("spring-cloud-gateway", _spring, 0, {}),
    "ingress-nginx": Gateway("ingress-nginx", _nginx, 0, {"gateway": 20.0}),
    "envoy": Gateway("envoy", _envoy, 1, {"gateway": 20.0}, False),
    "azure-agc": Gateway("azure-agc", _containers, 3, {"unexplained": 20.0}, False),
    "azure-application-gateway": Gateway(
        "azure-application-gateway", _application_gateway, 3, {"unexplained": 20.0}, False
    ),
}


def _call(ago_ms: int = 5000) -> Call:
    return Call(
        trace_id=secrets.token_hex(16),
        client_span=secrets.token_hex(8),
        gateway_span=secrets.token_hex(8),
        request_id=f"{secrets.token_hex(4)}-1111-4222-8333-{secrets.token_hex(6)}",
        start_ms=int(time.time() * 1000) - ago_ms,
    )


def _send_spans(
    service: Service, call: Call, parent: str, header: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Send the mesh's side: an edge proxy for 70 ms, the application for 50 of them."""
    edge, app = secrets.token_bytes(8), secrets.token_bytes(8)
    request = ExportTraceServiceRequest()
    for name, span_id, parent_id, begin, length, attributes in (
        ("edge", edge, bytes.fromhex(parent), 15, 70, {"component": "proxy"}),
        ("orders", app, edge, 25, 50, {}),
    ):
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = name
        span = resource.scope_spans.add().spans.add(
            trace_id=bytes.fromhex(call.trace_id),
            span_id=span_id,
            parent_span_id=parent_id,
            name="GET /orders/{id}",
            kind=Span.SPAN_KIND_SERVER,
            start_time_unix_nano=(call.start_ms + begin) * MS,
            end_time_unix_nano=(call.start_ms + begin + length) * MS,
        )
        values = {"http.method": "GET", "http.status_code": "200", **attributes}
        if name == "edge":
            values |= {"guid:x-request-id": call.request_id, APPGW_HEADER: call.transaction_id}
            values |= header
        for key, value in values.items():
            span.attributes.add(key=key).value.string_value = value
    body = request.SerializeToString()
    status, _ = service.post("/v1/traces", body, "application/x-protobuf")
    assert status == 200


def _push(service: Service, adapter: str, body: object, **headers: str) -> Any:
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    status, answer = service.post(f"/v1/gateway/{adapter}", data, **headers)
    assert status == 200, answer
    return answer


@pytest.mark.parametrize("name", GATEWAYS)
def test_record_and_spans_become_one_timeline(service: Service, name: str) -> None:
    """The record is joined to its spans by the best key it has, and its parts are the phases."""
    gateway, call = GATEWAYS[name], _call()
    _send_spans(service, call, call.gateway_span if gateway.is_parent_known else "")
    answer = _push(service, gateway.adapter, gateway.body(call))
    assert (answer["accepted"], answer["rejected"]) == (1, 0)
    timeline = service.wait_for(
        f"/api/v1/requests/{call.trace_id}",
        lambda s, t: s == 200 and len(t["gateway_records"]) == 1 and len(t["spans"]) >= 3,
    )
    assert timeline["gateway_records"][0]["gateway"] == gateway.product
    assert timeline["duration_ms"] == 100.0
    assert [link["tier"] for link in timeline["links"]][0] == gateway.tier
    assert [hop["service"] for hop in timeline["hops"]][-1] == "orders"
    assert sum(phase["duration_ms"] for phase in timeline["phases"]) == pytest.approx(100.0)
    found = {phase["name"]: phase["duration_ms"] for phase in timeline["phases"]}
    for phase, expected_ms in gateway.phases.items():
        assert found[phase] == pytest.approx(expected_ms, abs=1.0), found
    assert found["app"] == pytest.approx(50.0)


@pytest.mark.parametrize("name", GATEWAYS)
def test_every_id_of_the_record_finds_it(service: Service, name: str) -> None:
    """Whatever id of the gateway a person holds leads to the request."""
    gateway, call = GATEWAYS[name], _call()
    _send_spans(service, call, "")
    _push(service, gateway.adapter, gateway.body(call))
    timeline = service.wait_for(
        f"/api/v1/requests/{call.trace_id}",
        lambda s, t: s == 200 and len(t["gateway_records"]) == 1,
    )
    ids = [each["value"] for each in timeline["ids"] if each["kind"] != "span_id"]
    for value in ids:
        status, found = service.get(f"/api/v1/requests/{value}")
        assert status == 200, value
        assert found["trace_id"] == call.trace_id


def _send_gateway_spans(
    service: Service, call: Call, scope: str, outer: dict[str, str], inner: dict[str, str]
) -> None:
    """Send the spans of a gateway: its SERVER span of 100 ms and its call of 80 ms."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "edge-gateway"
    scoped = resource.scope_spans.add()
    scoped.scope.name = scope
    server_id = secrets.token_bytes(8)
    for kind, span_id, parent, begin, length, values in (
        (Span.SPAN_KIND_SERVER, server_id, b"", 0, 100, outer),
        (Span.SPAN_KIND_CLIENT, bytes.fromhex(call.gateway_span), server_id, 10, 80, inner),
    ):
        span = scoped.spans.add(
            trace_id=bytes.fromhex(call.trace_id),
            span_id=span_id,
            parent_span_id=parent,
            name=values["name"],
            kind=kind,
            start_time_unix_nano=(call.start_ms + begin) * MS,
            end_time_unix_nano=(call.start_ms + begin + length) * MS,
        )
        for key, value in values.items():
            span.attributes.add(key=key).value.string_value = value
    body = request.SerializeToString()
    status, _ = service.post("/v1/traces", body, "application/x-protobuf")
    assert status == 200


def _kong_spans(service: Service, call: Call, request_id: str) -> None:
    outer = {"name": "kong", "kong.request.id": request_id, "http.status_code": "200"}
    _send_gateway_spans(service, call, "kong-internal", outer, {"name": "kong.balancer"})


@pytest.mark.parametrize("gateway", ["kong", "spring-cloud-gateway"])
def test_a_gateway_that_sends_spans_only_has_its_record(service: Service, gateway: str) -> None:
    """Its spans make the record: the gateway's time is its own, and the spans are its inside."""
    call = _call()
    if gateway == "kong":
        _kong_spans(service, call, secrets.token_hex(16))
    else:
        inner = {"name": "HTTP GET", "spring.cloud.gateway.route.id": "orders"}
        outer = {"name": "http get", "status": "200", "method": "GET"}
        _send_gateway_spans(service, call, "org.springframework.boot", outer, inner)
    _send_spans(service, call, call.gateway_span)
    timeline = service.wait_for(
        f"/api/v1/requests/{call.trace_id}", lambda s, t: s == 200 and len(t["spans"]) >= 5
    )
    (record,) = timeline["gateway_records"]
    assert record["gateway"] == gateway
    assert timeline["duration_ms"] == 100.0
    found = {phase["name"]: phase["duration_ms"] for phase in timeline["phases"]}
    assert found["gateway"] == pytest.approx(20.0)
    assert found["app"] == pytest.approx(50.0)
    assert sum(found.values()) == pytest.approx(100.0)
    service.wait_for(
        f"/api/v1/requests?gateway={gateway}&joined=true&start=-1h",
        lambda s, f: s == 200 and record["record_id"] in [each["id"] for each in f["requests"]],
    )


def test_log_record_and_spans_of_one_gateway_are_one(service: Service) -> None:
    """Kong logs the request and sends its spans: one record, with the log's split of the time."""
    call = _call()
    entry = json.loads(json.dumps(_kong(call)))
    _kong_spans(service, call, entry["request"]["id"])
    _send_spans(service, call, call.gateway_span)
    _push(service, "kong", entry)
    timeline = service.wait_for(
        f"/api/v1/requests/{call.trace_id}",
        lambda s, t: s == 200 and len(t["spans"]) >= 5 and "kong" in str(t["gateway_records"]),
    )
    assert len(timeline["gateway_records"]) == 1
    assert timeline["gateway_records"][0]["record_id"] == entry["request"]["id"]
    assert [hop["role"] for hop in timeline["hops"]].count("gateway") == 1
    assert sum(phase["duration_ms"] for phase in timeline["phases"]) == pytest.approx(100.0)


@pytest.mark.parametrize("is_header_kept", [True, False])
def test_application_gateway_is_joined_by_the_header_that_it_sends(
    service: Service, *, is_header_kept: bool
) -> None:
    """It knows no trace: x-appgw-trace-id on a span joins it, without that it stands alone."""
    call = _call()
    _send_spans(service, call, "", {} if is_header_kept else {APPGW_HEADER: ""})
    _push(service, "azure-application-gateway", _application_gateway(call))
    timeline = service.wait_for(
        f"/api/v1/requests/{call.transaction_id}",
        lambda s, t: s == 200 and len(t["spans"]) >= (3 if is_header_kept else 1),
    )
    assert timeline["gateway_records"][0]["gateway"] == "azure-application-gateway"
    assert timeline["trace_id"] == (call.trace_id if is_header_kept else None)
    assert sum(phase["duration_ms"] for phase in timeline["phases"]) == pytest.approx(100.0)


def test_a_firehose_delivery_is_answered_in_its_own_shape_and_taken_once(service: Service) -> None:
    """The same delivery sent again, with another time in it, is the same delivery."""
    call = _call()
    data = base64.b64encode((json.dumps(_aws(call)) * 2).encode()).decode()
    delivery = secrets.token_hex(16)
    for attempt in (1, 2):
        body = {"requestId": delivery, "timestamp": attempt, "records": [{"data": data}]}
        answer = _push(
            service,
            "aws-api-gateway",
            body,
            **{"X-Amz-Firehose-Request-Id": delivery, "X-Amz-Firehose-Protocol-Version": "1.0"},
        )
        assert answer["requestId"] == delivery
        assert set(answer) == {"requestId", "timestamp"}
    stored = service.wait_for(f"/api/v1/requests/{call.request_id}/spans", lambda s, _: s == 200)
    assert len({json.dumps(record["record_id"]) for record in stored["records"]}) == 1


def test_a_body_of_another_gateway_is_refused_with_its_fields(service: Service) -> None:
    """Kong's entries sent to AWS's door are listed as rejected, nothing is stored."""
    status, answer = service.post(
        "/v1/gateway/aws-api-gateway", json.dumps(_kong(_call())).encode()
    )
    assert status in (200, 400)
    if status == 200:
        assert (answer["accepted"], answer["rejected"]) == (0, 1)
        assert answer["errors"][0]["reason"]


@pytest.mark.parametrize("name", GATEWAYS)
def test_apis_show_each_gateway_with_its_join_coverage(service: Service, name: str) -> None:
    """Of two requests one has spans: the row of their API says one half."""
    gateway = GATEWAYS[name]
    # a minute that no other test writes to
    ago_ms = 60_000 * (20 + list(GATEWAYS).index(name))
    joined, lonely = _call(ago_ms), _call(ago_ms)
    _send_spans(service, joined, joined.gateway_span if gateway.is_parent_known else "")
    for call in (joined, lonely):
        _push(service, gateway.adapter, gateway.body(call))
    start_s = joined.start_ms // 1000
    (row,) = service.wait_for(
        f"/api/v1/apis?start={start_s - 20}&end={start_s + 20}",
        # the records may be there before the trace is stitched to one of them
        lambda s, a: (
            s == 200 and [(e["requests"], e["join_coverage"]) for e in a["apis"]] == [(2, 0.5)]
        ),
    )["apis"]
    assert row["errors"] == 0
    assert (row["gateway"], row["p99_ms"]) == (gateway.product, 100.0)
