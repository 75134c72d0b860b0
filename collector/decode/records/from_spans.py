"""
Gateway records made from spans, for gateways that send spans and perhaps nothing else.

Rules say which span is a gateway's own view of a request. The built-in ones are certain from the
span alone (or from the child it must have); any other gateway is named in the settings by its
service. Istio's ingress gateway is no built-in: behind another gateway it is the mesh's edge, and
only its owner knows that it is the first.

    product                 its span                        recognised by
    Kong                    `kong`, SERVER                  `kong.request.id`, scope `kong-internal`
    Spring Cloud Gateway    `http get`, SERVER              a CLIENT child with
                                                            `spring.cloud.gateway.route.id`
    Envoy Gateway           SERVER of Envoy                 `upstream_cluster` of an HTTPRoute
    nginx, ingress-nginx    SERVER                          scope or service `nginx`
    Hopline                 SERVER of its export        `hopline.record_id`
    any other               SERVER, or CLIENT without       service named in HOPLINE_GATEWAY_SPANS
                            parent in that service

What another Hopline exported keeps the gateway and the id of the record that it was made of.
A record's id is the product's own request id where the span has it, so that the same request's log
record has the same identity; else it is the span's id, and the trace id brings the two together.

Source: Kong kong/observability/tracing; spring-cloud-gateway DefaultGatewayObservationConvention;
spring-framework reactive DefaultServerRequestObservationConvention (an aborted connection);
envoy source/common/tracing/tracer_impl.cc with envoyproxy/gateway cluster names;
opentelemetry-cpp-contrib instrumentation/nginx; OpenTelemetry HTTP semantic conventions, old and
new names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from collector.attributes import EXPORTED_FIELDS, EXPORTED_GATEWAY, EXPORTED_RECORD
from collector.decode.envoy.response_flags import primary_flag
from collector.decode.fields import write_raw
from collector.decode.outcome import note_grpc, settle
from collector.decode.probes import is_probe
from collector.decode.quality import Profile, check
from collector.decode.urls import is_event_stream, split_target
from collector.errors import ConfigError
from collector.identity.ids import request_id_key
from collector.model import GatewayRecord, Id, Span
from collector.timestamps import NS_PER_S

PROFILE = Profile(stamped="start")

SOURCE = "span"
"""The `source` of a record that was made of spans."""

_ROUTE_ID = "spring.cloud.gateway.route.id"
_ROUTE_URI = "spring.cloud.gateway.route.uri"
_ROUTES = ("httproute/", "grpcroute/")
# One process wrote both, but its log may know its start to the second only.
_SAME_CLOCK_NS = NS_PER_S
_ENTRY_KINDS = ("Server", "Client")
# Each fact under its attribute names: current semantic conventions, old ones, Spring's.
_METHOD = ("http.request.method", "http.method", "method")
_STATUS = ("http.response.status_code", "http.status_code", "status")
_URL = ("url.full", "http.url", "http.uri")
_TARGET = ("url.path", "http.target", "http.path")
_HOST = ("server.address", "http.host", "net.host.name")
_SCHEME = ("url.scheme", "http.scheme")
_ROUTE = ("http.route", "uri", _ROUTE_ID)
_ANSWERED_TYPE = "http.response.header.content-type"
_CLIENT = ("client.address", "http.client_ip", "net.peer.ip", "peer.address")
_AGENT = ("user_agent.original", "http.user_agent", "user_agent")
_PROTOCOL = ("network.protocol.version", "http.flavor", "http.protocol")
_REQUEST_BYTES = ("http.request.body.size", "http.request_content_length", "request_size")
_RESPONSE_BYTES = ("http.response.body.size", "http.response_content_length", "response_size")
_GRPC_STATUS = ("rpc.grpc.status_code", "grpc.status_code")
_GRPC_MESSAGE = ("rpc.grpc.message", "grpc.message")
_SIDES = {"client": "client", "upstream": "backend"}
_REQUEST_IDS = {
    "kong.request.id": "kong_request_id",
    "guid:x-request-id": "x_request_id",
    "http.request.header.x-request-id": "x_request_id",
}
_UNKNOWN = frozenset({"", "UNKNOWN", "none", "-"})


@dataclass(frozen=True, slots=True)
class ServiceRule:
    """Every entry span of *service* is a request at *gateway* (an adapter's name, or any other)."""

    service: str
    gateway: str


def parse_service_rules(text: str) -> tuple[ServiceRule, ...]:
    """
    Read `service=gateway` pairs separated by commas, as the setting has them.

    Raises:
        ConfigError: a part is no such pair.
    """
    rules = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        service, _, gateway = (side.strip() for side in part.rpartition("="))
        if not service or not gateway:
            msg = f"HOPLINE_GATEWAY_SPANS: {part!r} is not a service=gateway pair"
            raise ConfigError(msg, hint="for example edge-proxy=traefik,shop-gw=tyk")
        rules.append(ServiceRule(service, gateway))
    return tuple(rules)


class GatewayView(NamedTuple):
    """A gateway's view of one request in spans: the record made of them, and which they are."""

    record: GatewayRecord
    span_ids: frozenset[tuple[str, str]]  # trace id and span id


def views_from_spans(spans: Sequence[Span], rules: Sequence[ServiceRule] = ()) -> list[GatewayView]:
    """
    Return one view for each span that is a gateway's view of a request.

    The spans a gateway sent upstream give the backend's time, its address, the tries, and the span
    id that went out. Order: by start.
    """
    children: dict[tuple[str, str], list[Span]] = {}
    for span in spans:
        children.setdefault((span.trace_id, span.parent_span_id), []).append(span)
    parents = {(span.trace_id, span.span_id): span for span in spans}
    views = []
    for span in spans:
        parent = parents.get((span.trace_id, span.parent_span_id))
        if span.kind not in _ENTRY_KINDS or (parent and parent.service == span.service):
            continue
        own = _own(span, children)
        calls = _calls(own)
        gateway = _gateway_of(span, rules, calls)
        if gateway:
            span_ids = frozenset((each.trace_id, each.span_id) for each in own)
            views.append(GatewayView(_build(span, gateway, calls), span_ids))
    return sorted(views, key=lambda view: (view.record.start_ns, view.record.record_id))


def reconcile(record: GatewayRecord, logs: Sequence[GatewayRecord]) -> GatewayRecord:
    """
    Return *record*, made of spans, beside the records that the same gateway logged.

    If one of them is of the same request, what a log cannot know is left and takes its identity:
    the trace context and ids. Its times stay those of the log, which measure the whole. It is the
    same request with the same id, or in the same trace if the same span went upstream or the two
    meet in time with no fact against it. When several could be meant, none is.
    """
    mine = [log for log in logs if log.gateway == record.gateway]
    same = [log for log in mine if log.record_id == record.record_id]
    if not same:
        mine = [log for log in mine if log.trace_id == record.trace_id]
        sent = [log for log in mine if log.outgoing_span_id == record.outgoing_span_id]
        same = sent or [log for log in mine if _agree(log, record)]
    if len({log.record_id for log in same}) != 1:
        return record
    log = same[0]
    return GatewayRecord(
        gateway=log.gateway,
        record_id=log.record_id,
        start_ns=log.start_ns,
        source=record.source,
        ids=record.ids,
        trace_id=record.trace_id,
        trace_id_source=record.trace_id_source,
        parent_span_id=record.parent_span_id,
        outgoing_span_id=record.outgoing_span_id,
        is_sampled=record.is_sampled,
        resolution_ns=log.resolution_ns,
        weight=log.weight,
        raw=record.raw,
        received_ns=log.received_ns,
    )


def _gateway_of(span: Span, rules: Sequence[ServiceRule], calls: Sequence[Span]) -> str:
    """Return the gateway whose view of a request *span* is, or ""."""
    if span.kind not in _ENTRY_KINDS:
        return ""
    if span.attributes.get(EXPORTED_RECORD):
        return span.attributes.get(EXPORTED_GATEWAY, "")
    for rule in rules:
        if span.service == rule.service:
            return rule.gateway
    if span.kind != "Server":
        return ""
    attributes = span.attributes
    if "kong.request.id" in attributes or (span.scope == "kong-internal" and span.name == "kong"):
        return "kong"
    if any(_ROUTE_ID in call.attributes for call in calls):
        return "spring-cloud-gateway"
    cluster = attributes.get("upstream_cluster.name") or attributes.get("upstream_cluster", "")
    if attributes.get("component") == "proxy" and cluster.startswith(_ROUTES):
        return "envoy"
    if span.scope == "nginx" or span.service in ("nginx", "ingress-nginx"):
        return "ingress-nginx"
    return ""


def _own(span: Span, children: Mapping[tuple[str, str], Sequence[Span]]) -> list[Span]:
    """Return the entry span and all below it that the same service wrote without a break."""
    own = [span]
    seen = {span.span_id}
    for each in own:
        for child in children.get((each.trace_id, each.span_id), ()):
            if child.service == span.service and child.span_id not in seen:
                seen.add(child.span_id)
                own.append(child)
    return own


def _calls(own: Sequence[Span]) -> list[Span]:
    """
    Return the CLIENT spans through which the service passed the request on, in order of start.

    They may lie under INTERNAL spans of the same service (plugins, filters), at any depth.
    """
    found = []
    below: set[str] = set()
    for span in own[1:]:
        if span.parent_span_id in below:
            below.add(span.span_id)
        # Kong resolves names in CLIENT spans as well: only the balancer's leaves the gateway
        elif span.kind == "Client" and (
            span.scope != "kong-internal" or span.name == "kong.balancer"
        ):
            below.add(span.span_id)
            found.append(span)
    return sorted(found, key=lambda call: (call.start_ns, call.span_id))


def _agree(log: GatewayRecord, span: GatewayRecord) -> bool:
    """Tell whether a log record and a span's record can be of one request."""
    for mine, theirs in ((log.method, span.method), (log.path, span.path)):
        if mine and theirs and mine != theirs:
            return False
    if log.status is not None and span.status is not None and log.status != span.status:
        return False
    log_end_ns = log.start_ns + (log.duration_ns or 0)
    span_end_ns = span.start_ns + (span.duration_ns or 0)
    return (
        log.start_ns - _SAME_CLOCK_NS <= span_end_ns
        and span.start_ns - _SAME_CLOCK_NS <= log_end_ns
    )


def _build(span: Span, gateway: str, calls: Sequence[Span]) -> GatewayRecord:
    attributes = span.attributes
    request_ids = _request_ids(attributes)
    url = split_target(_first(attributes, _URL))
    target = split_target(_first(attributes, _TARGET))
    status = _status(attributes)
    record = GatewayRecord(
        gateway=gateway,
        record_id=attributes.get(EXPORTED_RECORD)
        or (request_ids[0].value if request_ids else span.span_id),
        start_ns=span.start_ns,
        instance=span.resource.get("service.instance.id", "") or span.service,
        source=SOURCE,
        ids=(*request_ids, Id("span_id", span.span_id)),
        trace_id=span.trace_id,
        trace_id_source="span",
        parent_span_id=span.parent_span_id,
        outgoing_span_id=calls[-1].span_id if calls else span.span_id,
        is_sampled=True,
        duration_ns=max(0, span.end_ns - span.start_ns),
        resolution_ns=1,
        method=_first(attributes, _METHOD),
        scheme=_first(attributes, _SCHEME) or url.scheme,
        host=_first(attributes, _HOST) or url.host,
        path=target.path or url.path,
        route=_first(attributes, _ROUTE),
        protocol=_first(attributes, _PROTOCOL),
        status=status,
        client_address=_first(attributes, _CLIENT),
        request_bytes=_whole(attributes, _REQUEST_BYTES),
        response_bytes=_whole(attributes, _RESPONSE_BYTES),
        error_message=span.status_message,
        attributes=_kept(span, url.query or target.query),
        raw=write_raw({"span_id": span.span_id, "name": span.name, "service": span.service}),
        received_ns=span.received_ns,
    )
    _read_end(record, span)
    _read_calls(record, calls)
    if EXPORTED_RECORD in attributes:
        _read_exported(record, attributes)
    is_streaming = is_event_stream(attributes.get(_ANSWERED_TYPE, ""))
    record.quality = check(record, PROFILE, is_streaming=is_streaming)
    record.is_probe = is_probe(record)
    return record


def _read_end(record: GatewayRecord, span: Span) -> None:
    attributes = span.attributes
    note_grpc(record, _first(attributes, _GRPC_STATUS), _first(attributes, _GRPC_MESSAGE))
    flag = primary_flag(attributes.get("response_flags", "").split(","))
    if flag is not None and flag.side != "none":
        record.error_reason = flag.name
        record.error_source = _SIDES.get(flag.side_of(record.status), "gateway")
    elif _was_left(span):
        record.error_source = "client"
        record.error_reason = "client closed the connection first"
    settle(record, is_failed=span.status == "Error")


def _was_left(span: Span) -> bool:
    """Tell whether a Spring gateway's client went away: both are UNKNOWN then, and only then."""
    said = (span.attributes.get("status"), span.attributes.get("outcome"))
    return said == ("UNKNOWN", "UNKNOWN") and span.status != "Error"


def _read_calls(record: GatewayRecord, calls: Sequence[Span]) -> None:
    if not calls:
        return
    last = calls[-1]
    url = split_target(_first(last.attributes, _URL))
    record.attempts = len(calls)
    record.backend_ns = _union_ns(calls)
    record.backend_method = _first(last.attributes, _METHOD)
    # Spring's `http.uri` names the gateway's own host; where it sends to is the route's
    route_host = split_target(last.attributes.get(_ROUTE_URI, "")).host
    record.backend_host = (
        route_host
        or url.host
        or _first(
            last.attributes,
            ("server.address", "net.peer.name", "net.peer.ip", "upstream_address"),
        )
    )
    record.backend_path = url.path
    record.backend_status = _status(last.attributes) or None
    record.backend_id = _first(last.attributes, (_ROUTE_ID, "upstream_cluster"))
    record.api = record.api or _first(last.attributes, (_ROUTE_ID,))
    record.route = record.route or _first(last.attributes, (_ROUTE_ID,))
    record.operation = _first(last.attributes, (_ROUTE_ID,)) or record.route
    if record.is_error and not record.error_source:
        is_backend = record.backend_status is not None and record.backend_status >= 500
        record.error_source = "backend" if is_backend else "gateway"


def _read_exported(record: GatewayRecord, attributes: Mapping[str, str]) -> None:
    for name, of_record in EXPORTED_FIELDS.items():
        value = attributes.get(name, "")
        if value and isinstance(getattr(record, of_record), str):
            setattr(record, of_record, value)
        elif value:
            setattr(record, of_record, _whole(attributes, (name,)))
    if "hopline.duration_unknown" in attributes:
        record.duration_ns = None
    record.backend_ns = _milliseconds(attributes, "hopline.backend.duration_ms")
    record.client_ns = _milliseconds(attributes, "hopline.client.duration_ms")


def _milliseconds(attributes: Mapping[str, str], name: str) -> int | None:
    """Return a time of up to a day in nanoseconds, `None` where there is none."""
    try:
        time_ms = float(attributes.get(name, ""))
    except ValueError:
        return None
    return round(time_ms * 1e6) if 0 <= time_ms <= 86_400_000 else None


def _union_ns(calls: Sequence[Span]) -> int:
    """Return the time in which at least one of *calls* (in order of start) was under way."""
    total_ns = 0
    until_ns = 0
    for call in calls:
        total_ns += max(0, call.end_ns - max(call.start_ns, until_ns))
        until_ns = max(until_ns, call.end_ns)
    return total_ns


def _request_ids(attributes: Mapping[str, str]) -> tuple[Id, ...]:
    return tuple(
        Id(kind, attributes[name])
        for name, kind in _REQUEST_IDS.items()
        if request_id_key(attributes.get(name, ""))
    )


def _kept(span: Span, query: str) -> dict[str, str]:
    kept = {
        "span.name": span.name,
        "service.name": span.service,
        "url.query": query or span.attributes.get("url.query", ""),
        "user_agent.original": _first(span.attributes, _AGENT),
        "envoy.response_flags": span.attributes.get("response_flags", ""),
        "exception": span.attributes.get("exception", ""),
    }
    return {name: value for name, value in kept.items() if value not in _UNKNOWN}


def _first(attributes: Mapping[str, str], names: Sequence[str]) -> str:
    return next(
        (value for name in names if (value := attributes.get(name, "")) not in _UNKNOWN), ""
    )


def _status(attributes: Mapping[str, str]) -> int | None:
    # Envoy writes 0 for "no response", Spring UNKNOWN
    return _whole(attributes, _STATUS)


def _whole(attributes: Mapping[str, str], names: Sequence[str]) -> int | None:
    text = _first(attributes, names).removesuffix(".0")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
