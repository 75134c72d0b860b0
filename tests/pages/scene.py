"""
The requests that the pages are tried on: a shop behind two gateways, sent by our own senders.

Everything is told relative to the moment of sending, so the pages' default hour holds it.
"""

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from tests.service import Service

MS = 1_000_000
SECOND = 1_000 * MS
MINUTE = 60 * SECOND
INTERNAL, SERVER, CLIENT = (
    Span.SPAN_KIND_INTERNAL,
    Span.SPAN_KIND_SERVER,
    Span.SPAN_KIND_CLIENT,
)
# Values that must be shown and never run, obeyed or hidden.
MARKUP = "<img src=x onerror=\"window.__ran='attribute'\">"
SCRIPT = "<script>window.__ran='script'</script>"
BIDI = "safe\u202egnp.exe\u202c"
CONTROL = "line\x00\x1b[31mred\x07\u200bend"
HUGE_KEY = "k" * 300
# The clock of these services' host is ahead by so much.
_SKEWS_MS = {"catalog": 90, "catalog.shop": 90}
STACK = """Traceback (most recent call last):
  File "/srv/orders/checkout.py", line 88, in reserve
    stock.take(item, count)
  File "/srv/orders/stock.py", line 31, in take
    raise OutOfStock(item)
orders.stock.OutOfStock: item 4711"""


@dataclass
class Call:
    """
    A span to be: *at_ms* after its parent's start, with the calls that it makes.

    *link_to* is a trace that it links to.
    """

    service: str
    name: str
    at_ms: float
    ms: float
    kind: int = INTERNAL
    attributes: dict[str, str] = field(default_factory=dict)
    inner: list["Call"] = field(default_factory=list)
    error: str = ""
    link_to: str = ""
    events: list[tuple[float, str, dict[str, str]]] = field(default_factory=list)


@dataclass
class Told:
    """One request: its trace, its start, and the gateway's row about it if there is one."""

    trace_id: str
    start_ns: int
    root: Call | None
    record: dict[str, Any] | None = None
    outgoing: str = ""

    @property
    def id(self) -> str:
        """The id that a list shows it by."""
        return str(self.record["CorrelationId"]) if self.record else self.trace_id


def visit(  # a hop as a mesh shows it has as many sides as this has values
    caller: str, service: str, route: str, at_ms: float, ms: float, *inner: Call, status: int = 200
) -> Call:
    """Return one hop: the caller's proxy, the service's proxy, its handler and what that calls."""
    code = {"http.status_code": str(status)}
    failed = "HTTP 503" if status >= 500 else ""
    app = Call(
        service,
        route,
        1,
        ms - 4,
        SERVER,
        {
            "http.request.method": route.partition(" ")[0],
            "http.route": route.partition(" ")[2],
            "http.response.status_code": str(status),
            "url.path": route.partition(" ")[2].replace("{id}", "4711"),
            "server.address": service,
        },
        list(inner),
        failed,
    )
    inbound = Call(
        f"{service}.shop",
        f"{service}.shop.svc.cluster.local:8080/*",
        0.6,
        ms - 1.4,
        SERVER,
        _proxy(service, "inbound|8080||") | code,
        [app],
        failed,
    )
    cluster = f"outbound|8080||{service}.shop.svc.cluster.local"
    kind = "router" if caller == "istio-ingressgateway" else "sidecar"
    return Call(
        f"{caller}.istio-system" if kind == "router" else f"{caller}.shop",
        f"{service}.shop.svc.cluster.local:8080/*",
        at_ms,
        ms,
        SERVER if kind == "router" else CLIENT,
        _proxy(caller, cluster, kind) | code,
        [inbound],
        failed,
    )


def query(
    service: str, statement: str, at_ms: float, ms: float, database: str = "stock-db"
) -> Call:
    """Return a database call of *service*."""
    return Call(
        service,
        statement,
        at_ms,
        ms,
        CLIENT,
        {
            "db.system.name": "postgresql",
            "db.namespace": "shop",
            "db.query.text": f"{statement} WHERE id = $1",
            "server.address": database,
        },
    )


def _proxy(name: str, cluster: str, kind: str = "sidecar") -> dict[str, str]:
    place = "istio-system" if kind == "router" else "shop"
    pod = f"{name}-7d9f6c5b84-h4n7l"
    return {
        "component": "proxy",
        "node_id": f"{kind}~10.244.1.7~{pod}.{place}~{place}.svc.cluster.local",
        "upstream_cluster": cluster,
        "upstream_cluster.name": cluster,
        "response_flags": "-",
        "istio.canonical_service": name,
        "istio.namespace": place,
    }


def ordinary(chance: random.Random, operation: str, slow_ms: float = 0) -> Call:
    """Return a request of the shop; *slow_ms* is what its database takes beside the usual."""
    base = chance.lognormvariate(2.6, 0.5)
    if operation == "list-items":
        inner = [visit("storefront", "catalog", "GET /items", 3, base + 14)]
        return visit("istio-ingressgateway", "storefront", "GET /shop/items", 0, base + 26, *inner)
    stock = query("inventory", "SELECT stock", 2, base + slow_ms)
    inventory = visit("orders", "inventory", "GET /stock/{id}", 4, base + slow_ms + 12, stock)
    work = Call("orders", "price order", base + slow_ms + 18, 6.5)
    orders = visit("storefront", "orders", "POST /orders", 3, base + slow_ms + 34, inventory, work)
    return visit(
        "istio-ingressgateway", "storefront", "POST /shop/orders", 0, base + slow_ms + 46, orders
    )


def slowest() -> Call:
    """Return the request with a story: a first try fails, the second waits for a slow query."""
    first = visit("orders", "inventory", "GET /stock/{id}", 6, 40, status=503)
    slow = query("inventory", "SELECT reservations FOR UPDATE", 3, 1_850)
    second = visit("orders", "inventory", "GET /stock/{id}", 70, 1_870, slow)
    charge = visit(
        "orders",
        "payments",
        "POST /charge",
        1_960,
        160,
        query("payments", "INSERT charge", 4, 90, "payments-db"),
    )
    work = Call(
        "orders",
        "reserve stock",
        4,
        2_130,
        inner=[first, second, charge],
        events=[
            (48.0, "retry", {"retry.attempt": "2", "retry.reason": "503 from inventory"}),
            (
                49.0,
                "exception",
                {
                    "exception.type": "orders.stock.OutOfStock",
                    "exception.message": "item 4711 is reserved by another order",
                    "exception.stacktrace": STACK,
                },
            ),
        ],
    )
    orders = visit("storefront", "orders", "POST /orders", 5, 2_160, work)
    return visit("istio-ingressgateway", "storefront", "POST /shop/orders", 0, 2_190, orders)


def wide(spans: int) -> Call:
    """Return a request of about *spans* spans over 25 services."""
    chance = random.Random(5)
    root = visit("istio-ingressgateway", "storefront", "GET /shop/export", 0, 9_000)
    app = root.inner[0].inner[0]
    made = 3
    queue = [app]
    number = 0
    while made < spans:
        parent = queue[chance.randrange(max(0, len(queue) - 60), len(queue))]
        number += 1
        room = parent.ms * 0.9
        at = room * chance.random() * 0.7
        is_call = number % 5 == 0
        child = Call(
            f"worker-{chance.randrange(24):02d}" if is_call else parent.service,
            f"{chance.choice(('load', 'map', 'merge', 'write'))} part {number % 50}",
            at,
            max(0.002, (room - at) * (0.3 + chance.random() * 0.7)),
            SERVER if is_call else INTERNAL,
            {"part.number": str(number), "code.function.name": "export.parts"},
            error="checksum differs" if number % 997 == 0 else "",
        )
        parent.inner.append(child)
        if child.ms > 0.05:
            queue.append(child)
        made += 1
    return root


def deep(levels: int) -> Call:
    """Return a request whose spans nest *levels* deep."""
    root = visit("istio-ingressgateway", "storefront", "GET /shop/tree", 0, 900)
    at = root.inner[0].inner[0]
    for level in range(levels):
        child = Call("storefront", f"descend {level}", 0.5, at.ms - 1.0)
        at.inner.append(child)
        at = child
    return root


def hostile() -> Call:
    """Return a request whose every text was written by an enemy."""
    evil = Call(
        MARKUP,
        SCRIPT,
        2,
        50,
        attributes={
            MARKUP: MARKUP,
            "bidi": BIDI,
            "control": CONTROL,
            HUGE_KEY: "v" * 5_000,
            "__proto__": "polluted",
            "constructor": "polluted",
            "javascript": "javascript:window.__ran='link'",
        },
        error=MARKUP,
        events=[(1.0, SCRIPT, {BIDI: CONTROL, "exception.stacktrace": MARKUP})],
    )
    return visit("istio-ingressgateway", "storefront", f"GET /shop/{BIDI}", 0, 80, evil)


def gateway_row(
    chance: random.Random,
    told_start_ns: int,
    backend_ms: float,
    operation: str,
    status: int,
    **given: Any,
) -> dict[str, Any]:
    """Return an API Management log row; *given* overrides its columns."""
    moment = datetime.fromtimestamp(told_start_ns / 1e9, UTC)
    number = chance.getrandbits(128)
    digits = f"{number:032x}"
    correlation = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
    path = {"list-items": "shop/items", "place-order": "shop/orders"}.get(operation, operation)
    return {
        "Type": "ApiManagementGatewayLogs",
        "TimeGenerated": moment.isoformat().replace("+00:00", "Z"),
        "CorrelationId": correlation,
        "TotalTime": round(backend_ms + 9),
        "BackendTime": round(backend_ms),
        "ClientTime": 2,
        "CacheTime": 0,
        "Cache": "none",
        "Method": "GET" if operation == "list-items" else "POST",
        "Url": f"https://api.shop.example/{path}",
        "ClientProtocol": "HTTP/1.1",
        "ResponseCode": status,
        "BackendResponseCode": status,
        "BackendMethod": "GET" if operation == "list-items" else "POST",
        "BackendUrl": f"http://ingress.shop.example/{path}",
        "BackendId": "mesh-ingress",
        "ApiId": "shop-api",
        "ApiRevision": "3",
        "OperationId": operation,
        "ProductId": "gold",
        "ApimSubscriptionId": f"team-{chance.randrange(4)}",
        "IsRequestSuccess": status < 400,
        "RequestSize": 412,
        "ResponseSize": 2_310,
        "CallerIpAddress": "192.0.2.20",
        "Region": "West Europe",
        **given,
    }


def with_record(
    chance: random.Random,
    start_ns: int,
    root: Call,
    operation: str,
    status: int = 200,
    **given: Any,
) -> Told:
    """Return a request that the gateway saw too, joined by the traceparent that it sent."""
    trace_id = f"{chance.getrandbits(128) | 1 << 124:032x}"
    outgoing = f"{chance.getrandbits(64) | 1 << 60:016x}"
    header = {"traceparent": f"00-{trace_id}-{outgoing}-01"}
    record = gateway_row(
        chance, start_ns, root.ms + 5, operation, status, BackendRequestHeaders=header, **given
    )
    return Told(trace_id, start_ns + 4 * MS, root, record, outgoing)


@dataclass
class Scene:
    """All that is told, and the requests that tests ask for by name."""

    ordinary: list[Told]
    slowest: Told
    failed: Told
    refused: Told
    unrecorded: Told
    wide: Told
    deep: Told
    hostile: Told

    def all(self) -> list[Told]:
        """Return every request."""
        named = [self.slowest, self.failed, self.refused, self.unrecorded]
        return [*self.ordinary, *named, self.wide, self.deep, self.hostile]


def build_scene(now_ns: int, requests: int = 120, wide_spans: int = 10_000) -> Scene:
    """
    Return the scene as of *now_ns*; the ordinary requests fill the last fifty minutes.

    Some of them are slow: all that one consumer sends. Half way a revision comes out.
    """
    chance = random.Random(20)
    told = []
    for number in range(requests):
        operation = "list-items" if number % 2 else "place-order"
        start_ns = now_ns - 50 * MINUTE + number * 48 * MINUTE // requests
        is_slow = operation == "place-order" and number % 6 == 0
        root = ordinary(chance, operation, 400.0 + chance.random() * 300 if is_slow else 0.0)
        given: dict[str, Any] = {"ApiRevision": "2" if number < requests // 2 else "3"}
        if is_slow:
            given["ApimSubscriptionId"] = "team-batch"
        told.append(with_record(chance, start_ns, root, operation, **given))
    failing = ordinary(chance, "place-order")
    _fail(failing)
    refused = gateway_row(
        chance, now_ns - 4 * MINUTE, 0, "place-order", 401, TotalTime=3, BackendTime=0,
        BackendResponseCode=None, BackendUrl=None, BackendMethod=None, IsRequestSuccess=False,
        LastErrorReason="TokenExpired", LastErrorSource="validate-jwt", LastErrorSection="inbound",
        LastErrorMessage="JWT validation failed: the token has expired.",
    )  # fmt: skip
    number = 1 << 124 | chance.getrandbits(120)
    return Scene(
        told,
        with_record(chance, now_ns - 7 * MINUTE, slowest(), "place-order"),
        with_record(
            chance, now_ns - 6 * MINUTE, failing, "place-order", 503, BackendResponseCode=503
        ),
        Told("", now_ns - 4 * MINUTE, None, refused),
        Told(f"{number:032x}", now_ns - 3 * MINUTE, ordinary(chance, "list-items")),
        with_record(chance, now_ns - 9 * MINUTE, wide(wide_spans), "export-orders"),
        with_record(chance, now_ns - 10 * MINUTE, deep(200), "browse-tree"),
        with_record(
            chance, now_ns - 5 * MINUTE, hostile(), "place-order",
            OperationId=MARKUP, ApimSubscriptionId=BIDI, Url=f"https://api.shop.example/{SCRIPT}",
        ),
    )  # fmt: skip


def _fail(call: Call) -> None:
    """Let the database fail, and everything that waits for it."""
    for inner in call.inner[:1]:
        _fail(inner)
    call.error = "no stock"
    if "http.status_code" in call.attributes:
        call.attributes["http.status_code"] = "503"
    if "http.response.status_code" in call.attributes:
        call.attributes["http.response.status_code"] = "503"


def send_scene(service: Service, scene: Scene) -> None:
    """Send all of it and wait until the last request can be asked for."""
    send_spans(service, scene.all())
    records = send_records(service, scene.all())
    service.wait_for(
        "/api/v1/apis",
        lambda status, body: (
            status == 200 and sum(api["requests"] for api in body["apis"]) == records
        ),
    )
    for told in (scene.wide, scene.hostile, scene.unrecorded):
        path = f"/api/page/timeline?id={told.id}&limit=10"
        service.wait_for(path, lambda status, body: status == 200 and body["spans"]["total"] > 3)


def send_spans(service: Service, told: list[Told]) -> None:
    """Send what the mesh and the applications saw."""
    for body in _trace_bodies(told):
        status, answer = service.post("/v1/traces", body, "application/x-protobuf")
        assert status == 200, answer


def send_records(service: Service, told: list[Told]) -> int:
    """Send what the gateway wrote, and return how many requests that were."""
    records = [each.record for each in told if each.record]
    status, answer = service.post("/v1/gateway/azure-apim", json.dumps(records).encode())
    assert (status, answer["accepted"]) == (200, len(records)), answer
    return len(records)


def _trace_bodies(told: list[Told]) -> Iterator[bytes]:
    request = ExportTraceServiceRequest()
    count = 0
    for each in told:
        if each.root is None:
            continue
        count += _add_spans(request, each)
        if count > 4_000:
            yield request.SerializeToString()
            request, count = ExportTraceServiceRequest(), 0
    yield request.SerializeToString()


def _add_spans(request: ExportTraceServiceRequest, told: Told) -> int:
    groups: dict[str, ResourceSpans] = {}
    assert told.root
    numbers = random.Random(told.trace_id)
    waiting = [(told.root, told.outgoing, told.start_ns)]
    count = 0
    while waiting:
        call, parent, above_ns = waiting.pop()
        start_ns = above_ns + int(call.at_ms * MS)
        stamp_ns = start_ns + _SKEWS_MS.get(call.service, 0) * MS
        span_id = f"{numbers.getrandbits(64) | 1:016x}"
        if call.service not in groups:
            groups[call.service] = _add_resource(request, call)
        span = (
            groups[call.service]
            .scope_spans[0]
            .spans.add(
                trace_id=bytes.fromhex(told.trace_id),
                span_id=bytes.fromhex(span_id),
                parent_span_id=bytes.fromhex(parent),
                name=call.name,
                kind=Span.SpanKind.ValueType(call.kind),
                start_time_unix_nano=stamp_ns,
                end_time_unix_nano=stamp_ns + max(1_000, int(call.ms * MS)),
                attributes=[_text(key, value) for key, value in call.attributes.items()],
            )
        )
        if call.error:
            span.status.code = Status.STATUS_CODE_ERROR
            span.status.message = call.error
        if call.link_to:
            span.links.add(
                trace_id=bytes.fromhex(call.link_to),
                span_id=numbers.getrandbits(64).to_bytes(8, "big"),
            )
        for at_ms, name, attributes in call.events:
            span.events.add(
                time_unix_nano=stamp_ns + int(at_ms * MS),
                name=name,
                attributes=[_text(key, value) for key, value in attributes.items()],
            )
        waiting += [(inner, span_id, start_ns) for inner in call.inner]
        count += 1
    return count


def _add_resource(request: ExportTraceServiceRequest, call: Call) -> ResourceSpans:
    name = call.service.partition(".")[0]
    values = {"service.name": call.service}
    if call.attributes.get("component") == "proxy":
        values |= {"telemetry.sdk.name": "envoy", "telemetry.sdk.language": "cpp"}
    else:
        values |= {
            "service.version": "1.14.2",
            "k8s.namespace.name": "shop",
            "k8s.pod.name": f"{name}-7d9f6c5b84-h4n7l",
            "k8s.deployment.name": name,
            "telemetry.sdk.language": "python",
        }
    group = request.resource_spans.add()
    group.resource.attributes.extend(_text(key, value) for key, value in values.items())
    group.scope_spans.add().scope.name = "envoy" if "telemetry.sdk.name" in values else "shop"
    return group


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def now_ns() -> int:
    """Return the moment that a scene is built for."""
    return time.time_ns()
