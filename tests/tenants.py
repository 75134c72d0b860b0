"""Two tenants of one service: what each sends, and what one may ask to hear of the other."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import grpc
import httpx

from collector.receive.als import METHOD as ALS_METHOD
from tests.ingest import make_log, make_metric, make_request, make_span, text
from tests.jaeger_messages import proto_request, thrift_batch, written
from tests.mesh_doors import POST_SPANS, access_log

# both tenants send these, as a broken or a hostile one would
SHARED_TRACE = "5d1c0b7e93a24f6882d0e4b19a7cf350"
SHARED_RECORD = "0f3b7c52-91d4-4a68-b2e7-6c80d5a1f934"
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF = "application/x-protobuf"
TRACE_DOORS = ("otlp-http", "otlp-grpc", "zipkin", "jaeger-http", "jaeger-grpc")


@dataclass(frozen=True)
class Tenant:
    """One who sends and asks. Every word of theirs has their name in it."""

    name: str
    token: str
    number: int

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def trace_id(self) -> str:
        return f"{self.number:032x}"

    @property
    def record_id(self) -> str:
        return f"{self.number:08x}-91d4-4a68-b2e7-6c80d5a1f934"

    def word(self, what: str) -> str:
        return f"{self.name}-{what}"


def send_all(tenant: Tenant, ports: Mapping[str, int], client: httpx.Client) -> None:
    """Send something of *tenant* through every door of *ports*, and expect success of each."""
    for url, body, media in _http_requests(tenant, ports):
        answer = client.post(url, content=body, headers=tenant.headers | {"content-type": media})
        assert answer.status_code in (200, 201, 202), (url, answer.status_code, answer.text)
    metadata = (("authorization", f"Bearer {tenant.token}"),)
    with grpc.insecure_channel(f"127.0.0.1:{ports['otlp_grpc']}") as channel:
        export: Any = channel.unary_unary(EXPORT, None, None)
        export(_spans(tenant, "otlp-grpc", 2), metadata=metadata, timeout=30)
        stream: Any = channel.stream_unary(ALS_METHOD, None, None)
        log = access_log(f"/{tenant.word('path')}", tenant.word("als"))
        stream(iter([log]), metadata=metadata, timeout=30)
    with grpc.insecure_channel(f"127.0.0.1:{ports['jaeger_grpc']}") as channel:
        post: Any = channel.unary_unary(POST_SPANS, None, None)
        spans = proto_request(
            {"serviceName": tenant.word("jaeger-grpc")}, [_jaeger_span(tenant, 5)]
        )
        post(spans.SerializeToString(), metadata=metadata, timeout=30)


def _http_requests(tenant: Tenant, ports: Mapping[str, int]) -> Iterator[tuple[str, bytes, str]]:
    ingest, api, zipkin, jaeger = (
        f"http://127.0.0.1:{ports[name]}" for name in ("ingest", "api", "zipkin", "jaeger_http")
    )
    yield f"{ingest}/v1/traces", _spans(tenant, "otlp-http", 1), PROTOBUF
    note = text("note", tenant.word("note"))
    now_ns = time.time_ns()
    log = make_log(time_unix_nano=now_ns, attributes=[note])
    yield f"{ingest}/v1/logs", make_request(log, service=tenant.word("logs")), PROTOBUF
    metric = make_metric(time_unix_nano=now_ns, attributes=[note])
    yield f"{ingest}/v1/metrics", make_request(metric, service=tenant.word("metrics")), PROTOBUF
    rows = [_row(tenant, tenant.record_id, tenant.trace_id), _row(tenant, SHARED_RECORD)]
    gateway = f"{ingest}/v1/gateway/azure-apim"
    yield gateway, json.dumps(rows).encode(), "application/json"
    change = {"service": tenant.word("otlp-http"), "value": tenant.word("release")}
    yield f"{api}/api/v1/changes", json.dumps(change).encode(), "application/json"
    span = {
        "traceId": tenant.trace_id,
        "id": f"{3:016x}",
        "name": tenant.word("operation"),
        "kind": "SERVER",
        "timestamp": now_ns // 1000,
        "duration": 1000,
        "localEndpoint": {"serviceName": tenant.word("zipkin")},
    }
    yield f"{zipkin}/api/v2/spans", json.dumps([span]).encode(), "application/json"
    batch = thrift_batch({"serviceName": tenant.word("jaeger-http")}, [_jaeger_span(tenant, 4)])
    yield f"{jaeger}/api/traces", written(batch, "binary"), "application/x-thrift"


def _spans(tenant: Tenant, door: str, number: int) -> bytes:
    now_ns = time.time_ns()
    spans = [
        make_span(
            trace_id=bytes.fromhex(trace_id),
            span_id=number.to_bytes(8),
            name=tenant.word("operation"),
            start_time_unix_nano=now_ns - 90_000_000,
            end_time_unix_nano=now_ns - 1_000_000,
            attributes=[text(key, tenant.word(key)) for key in ("note", "http.route")],
        )
        for trace_id in (tenant.trace_id, SHARED_TRACE)
    ]
    return make_request(*spans, service=tenant.word(door))


def _jaeger_span(tenant: Tenant, number: int) -> dict[str, Any]:
    return {
        "traceId": tenant.trace_id,
        "spanId": f"{number:016x}",
        "operationName": tenant.word("operation"),
        "startTime": time.time_ns() // 1000,
        "duration": 900,
        "tags": {"span.kind": "server", "note": tenant.word("note")},
    }


def _row(tenant: Tenant, record_id: str, trace_id: str = SHARED_TRACE) -> dict[str, Any]:
    return {
        "TimeGenerated": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "CorrelationId": record_id,
        "TotalTime": 240 if record_id == SHARED_RECORD else 120,  # so that one is the slow one
        "BackendTime": 90,
        "Method": "GET",
        "Url": f"https://{tenant.word('host')}.test/{tenant.word('path')}",
        "ResponseCode": 504,
        "BackendResponseCode": 504,
        "ApiId": tenant.word("api"),
        "OperationId": tenant.word("apioperation"),
        "IsRequestSuccess": False,
        "BackendRequestHeaders": json.dumps({"traceparent": f"00-{trace_id}-{'1' * 16}-01"}),
    }


# What stands for a value of *tenant* in a parameter, by the parameter's name.
_VALUES = {
    "api": "api", "service": "otlp-http", "operation": "operation", "route": "http.route",
    "host": "host", "q": "path", "consumer": "consumer",
}  # fmt: skip
# Every path that answers with data, by the template of its route, and its parameters.
PATHS: Mapping[str, tuple[str, ...]] = {
    "/api/v1/apis": ("api", "operation", "host", "group_by"),
    "/api/v1/budget": ("api", "service"),
    "/api/v1/changes": ("service", "api"),
    "/api/v1/clocks": (),
    "/api/v1/compare": ("a",),
    "/api/v1/doctor": ("api",),
    "/api/v1/edges": ("service", "api", "operations"),
    "/api/v1/explain": ("api", "service", "q"),
    "/api/v1/joins": ("api",),
    "/api/v1/outcomes": ("api",),
    "/api/v1/requests": ("api", "service", "operation", "host", "route", "q", "order"),
    "/api/v1/requests/{id:path}": ("raw",),
    "/api/v1/requests/{id:path}/explain": ("format",),
    "/api/v1/requests/{id:path}/spans": (),
    "/api/v1/services": ("service", "api"),
    "/api/v1/slow": ("api", "service"),
    "/api/v1/sources": (),
    "/api/v1/storage": (),
    "/api/services": (),
    "/api/services/{service:path}/operations": (),
    "/api/operations": ("service",),
    "/api/dependencies": ("endTs",),
    "/api/traces": ("service", "traceID"),
    "/api/traces/{trace_id:path}": ("raw",),
    "/api/v3/services": (),
    "/api/v3/operations": ("service",),
    "/api/v3/traces": ("query.service_name",),
    "/api/v3/trace-summaries": ("query.service_name",),
    "/api/v3/traces/{trace_id:path}": (),
    "/tempo/api/v2/traces/{trace_id}": (),
    "/tempo/api/traces/{trace_id}": (),
    "/tempo/api/search": ("traceql",),
    "/tempo/api/v2/search/tags": (),
    "/tempo/api/search/tags": (),
    "/tempo/api/v2/search/tag/{name:path}/values": (),
    "/tempo/api/search/tag/{name:path}/values": (),
    "/tempo/api/echo": (),
    "/tempo/ready": (),
    "/tempo/api/status/buildinfo": (),
    "/tempo/api/metrics/query": ("traceql_metric",),
    "/tempo/api/metrics/query_range": ("traceql_metric",),
    "/api/page/timeline": ("page_id",),
    "/api/page/doors": (),
    "/api/page/heat": ("api",),
    "/api/page/series": ("api", "group_by"),
    "/api/page/span": ("id",),
    "/api/page/bundle": ("page_id",),
}


_NAMES = {"page_id": "id", "traceql": "q", "traceql_metric": "q"}
_BESIDE = {
    "endTs": {"lookback": "3600000"},
    "a": {"b": SHARED_TRACE},
    "id": {"span": f"{1:016x}"},
}


def questions_about(tenant: Tenant) -> Iterator[tuple[str, str]]:
    """Yield template and address of every question whose answer may hold something of *tenant*."""
    ids = (tenant.trace_id, tenant.record_id, SHARED_TRACE)
    for template, names in PATHS.items():
        paths = list(_fill(template, tenant, ids))
        yield from ((template, path) for path in paths)
        for path in paths[:1]:
            for name in names:
                for value in _values(name, tenant, ids):
                    given = {_NAMES.get(name, name): value} | _companions(name)
                    yield template, f"{path}?{urlencode(given)}"


def _fill(template: str, tenant: Tenant, ids: tuple[str, ...]) -> Iterator[str]:
    for hole in ("{id:path}", "{trace_id:path}", "{trace_id}"):
        if hole in template:
            yield from (template.replace(hole, quote(each)) for each in ids)
            return
    path = template.replace("{service:path}", quote(tenant.word("otlp-http")))
    yield path.replace("{name:path}", "name" if "v2" not in path else "span.note")


def _values(name: str, tenant: Tenant, ids: tuple[str, ...]) -> Iterator[str]:
    if name in ("id", "page_id", "a", "traceID"):
        yield from ids
    elif name in _VALUES:
        yield tenant.word(_VALUES[name])
    elif name == "traceql":
        yield f'{{ resource.service.name = "{tenant.word("otlp-http")}" }}'
    elif name == "traceql_metric":
        yield "{} | count_over_time() by(resource.service.name)"
    elif name == "query.service_name":
        yield tenant.word("otlp-http")
    else:
        fixed = {"group_by": "api", "operations": "true", "order": "newest", "raw": "true"}
        given = {"format": "markdown", "endTs": str(int(time.time() * 1000))}
        yield (fixed | given)[name]


def _companions(name: str) -> dict[str, str]:
    if name in _BESIDE:
        return _BESIDE[name]
    if name == "query.service_name":
        now = time.time()
        ends = {"start_time_min": now - 3600, "start_time_max": now + 60}
        return {
            f"query.{end}": datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
            for end, at in ends.items()
        }
    return {}
