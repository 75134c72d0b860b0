"""
Unique OTLP trace requests, fast enough not to be what a benchmark measures.

A few template requests are built with the protobuf classes; each request is then a template whose
ids, times and unique values are overwritten in place by numpy. Every value that is unique in
production is unique here, because repeated data compresses to half of its honest size.

Shape: 10 spans a trace, 20 services in resource groups, 12 attributes a span, 8 a resource,
about 520 bytes a span. 0.7-1 M spans/s on one core.
"""

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

SPANS_PER_TRACE = 10
_REQUEST_ID_DIGITS = 32
_TEMPLATES = 8
_SERVICES = tuple(
    f"{area}-{part}"
    for area in ("order", "cart", "stock", "price", "ship")
    for part in ("api", "worker", "store", "cache")
)
_ROUTES = ("/orders/{id}", "/carts/{id}/items", "/stock/{sku}", "/quotes/{id}", "/parcels/{id}")
_AGENTS = ("okhttp/4.12.0", "python-httpx/0.28.1", "Go-http-client/2.0", "axios/1.7.9")
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_Bytes = npt.NDArray[np.uint8]
_Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Template:
    """The bytes of one request and where in them each span's unique parts lie, in span order."""

    content: _Bytes
    trace_ids: _Places  # (spans, 16)
    span_ids: _Places  # (spans, 8)
    parent_ids: _Places  # (spans, 8), roots excluded
    starts: _Places  # (spans, 8)
    ends: _Places  # (spans, 8)
    texts: _Places  # (spans, 44): request id and path id


def unique_requests(
    n_requests: int,
    spans_per_request: int,
    seed: int = 1,
    start_ns: int = 1_760_000_000_000_000_000,
) -> list[bytes]:
    """
    Build *n_requests* serialized ExportTraceServiceRequests that share no id.

    Shape: traces start 1 ms apart from *start_ns* on; a trace never spans two requests.
    """
    rng = np.random.default_rng(seed)
    templates = [_build_template(spans_per_request, seed * 1000 + i) for i in range(_TEMPLATES)]
    traces = -(-spans_per_request // SPANS_PER_TRACE)
    return [
        _fill(templates[i % _TEMPLATES], rng, start_ns + i * traces * 1_000_000)
        for i in range(n_requests)
    ]


def _fill(template: _Template, rng: np.random.Generator, base_ns: int) -> bytes:
    out = template.content.copy()
    count = len(template.span_ids)
    trace = np.arange(count) // SPANS_PER_TRACE
    depth = np.arange(count) % SPANS_PER_TRACE
    trace_ids = rng.integers(1, 256, (trace[-1] + 1, 16), np.uint8)
    span_ids = rng.integers(1, 256, (count, 8), np.uint8)
    out[template.trace_ids] = trace_ids[trace]
    out[template.span_ids] = span_ids
    out[template.parent_ids] = span_ids[np.flatnonzero(depth) - 1]
    # a chain of calls: each level starts a little later and ends a little earlier than its parent
    steps = rng.integers(20_000, 900_000, (2, count))
    steps[:, depth == 0] = 0
    lead = np.cumsum(steps, axis=1)
    first = np.flatnonzero(depth == 0)
    lead -= lead[:, first][:, trace]
    total = rng.integers(20_000_000, 400_000_000, trace[-1] + 1)
    opened = base_ns + trace * 1_000_000
    out[template.starts] = _little_endian(opened + lead[0])
    out[template.ends] = _little_endian(opened + total[trace] - lead[1])
    digits = rng.integers(0, 16, template.texts.shape, np.uint8)
    # one request id a trace, as proxies keep it along the calls; every path has an id of its own
    digits[:, :_REQUEST_ID_DIGITS] = digits[first[trace], :_REQUEST_ID_DIGITS]
    out[template.texts] = _HEX[digits]
    return out.tobytes()


def _little_endian(moments: npt.NDArray[np.int64]) -> _Bytes:
    return moments.astype("<u8").view(np.uint8).reshape(-1, 8)


def _build_template(spans: int, seed: int) -> _Template:
    rng = random.Random(seed)
    request = ExportTraceServiceRequest()
    groups: dict[str, ResourceSpans] = {}
    marks = []
    for index in range(spans):
        service = rng.choice(_SERVICES)
        if service not in groups:
            groups[service] = _add_resource(request, service, rng)
        mark = rng.randbytes(8)
        marks.append(mark)
        _add_span(groups[service], mark, index % SPANS_PER_TRACE > 0, service, rng)
    content = request.SerializeToString()
    # every span was written with a random id of its own; what is unique lies behind it at offsets
    # that the fixed sizes of the fields before give
    starts = [content.index(b"\x12\x08" + mark) for mark in marks]
    return _locate(content, starts)


def _locate(content: bytes, starts: list[int]) -> _Template:
    span_at = np.array(starts) + 2
    has_parent = np.arange(len(starts)) % SPANS_PER_TRACE > 0
    times, texts = [], []
    for start in starts:
        begin = content.index(b"\x39\x01\x02\x03\x04\x05\x06\x07\x08\x41", start) + 1
        request_id = content.index(b"ffffffff-ffff-4fff-8fff-ffffffffffff", begin)
        path_id = content.index(b"/eeeeeeee", begin) + 1
        places = [at for at in range(36) if at not in (8, 13, 18, 23)]
        times.append(begin)
        texts.append([request_id + at for at in places] + [path_id + at for at in range(8)])
    starts_at = np.array(times)
    return _Template(
        content=np.frombuffer(content, np.uint8),
        trace_ids=(span_at - 18)[:, None] + np.arange(16),
        span_ids=span_at[:, None] + np.arange(8),
        parent_ids=(span_at[has_parent] + 10)[:, None] + np.arange(8),
        starts=starts_at[:, None] + np.arange(8),
        ends=(starts_at + 9)[:, None] + np.arange(8),
        texts=np.array(texts),
    )


def _add_resource(
    request: ExportTraceServiceRequest, service: str, rng: random.Random
) -> ResourceSpans:
    group = request.resource_spans.add()
    pod = f"{service}-{rng.randrange(16**9):09x}-{rng.randrange(16**5):05x}"
    values = {
        "service.name": service,
        "service.namespace": "shop",
        "service.version": f"1.{rng.randrange(40)}.{rng.randrange(9)}",
        "service.instance.id": pod,
        "k8s.namespace.name": "shop-prod",
        "k8s.pod.name": pod,
        "k8s.node.name": f"aks-pool1-{rng.randrange(10**8):08d}-vmss{rng.randrange(99):06d}",
        "telemetry.sdk.language": rng.choice(("java", "go", "python", "nodejs")),
    }
    group.resource.attributes.extend(_text(key, value) for key, value in values.items())
    scope = group.scope_spans.add()
    scope.scope.name = "io.opentelemetry.http-server"
    scope.scope.version = "2.11.0"
    return group


def _add_span(
    group: ResourceSpans, mark: bytes, has_parent: bool, service: str, rng: random.Random
) -> None:
    route = rng.choice(_ROUTES)
    method = rng.choice(("GET", "GET", "GET", "POST", "PUT"))
    span = group.scope_spans[0].spans.add(
        trace_id=bytes(16),
        span_id=mark,
        parent_span_id=bytes(8) if has_parent else b"",
        name=f"{method} {route}",
        kind=rng.choice((Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)),
        start_time_unix_nano=0x0807060504030201,
        end_time_unix_nano=0x0807060504030201,
        flags=0x101,
    )
    failed = rng.random() < 0.03
    if failed:
        span.status.code = Status.STATUS_CODE_ERROR
    span.attributes.extend(
        (
            _text("http.request.method", method),
            _text("http.route", route),
            _text("url.path", route.split("{")[0] + "eeeeeeee"),
            _text("url.scheme", "http"),
            _text("server.address", f"{service}.shop-prod.svc"),
            _number("server.port", 8080),
            _number("http.response.status_code", rng.choice((500, 503)) if failed else 200),
            _text("network.protocol.version", "1.1"),
            _text("user_agent.original", rng.choice(_AGENTS)),
            _text("client.address", f"10.{rng.randrange(256)}.{rng.randrange(256)}.7"),
            _text("guid:x-request-id", "ffffffff-ffff-4fff-8fff-ffffffffffff"),
            _number("http.response.body.size", rng.randrange(200, 16000)),
        )
    )


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def _number(key: str, value: int) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(int_value=value))
