"""
Access logs of Envoy-based gateways: Envoy Gateway, Istio's ingress gateway, Contour, plain Envoy.

Source: Envoy substitution formatter and its default text format; envoyproxy/gateway
internal/xds/translator/accesslog.go; istio pilot/pkg/model/telemetry_logging.go; Contour's default
JSON fields.
Times: `start_time` is the start of the request, to the ms. `duration` is the whole in ms, from
there to the last byte sent downstream, so it holds the client's sending and receiving.
`x-envoy-upstream-service-time` is from the request's last byte sent upstream (its upload is not in
it) to the first byte of the response, across all tries.
"""

from typing import Any

from collector.decode.aliases import Aliases
from collector.decode.context import find_logged_ids, read_context
from collector.decode.envoy import mesh_log
from collector.decode.envoy.fields import NAMES, is_line, parse_line
from collector.decode.envoy.response_flags import ResponseFlag, primary_flag, split_flags
from collector.decode.fields import (
    FieldError,
    NotARequest,
    Row,
    Timestamp,
    derive_record_id,
    is_missing,
    read_int,
    read_ns_from_ms,
    read_status,
    read_text,
    read_texts,
    require_timestamp,
    write_raw,
)
from collector.decode.gateways import Adapter
from collector.decode.outcome import note_grpc, settle
from collector.decode.quality import Profile, check
from collector.decode.reading import Reader
from collector.decode.urls import kind_of, split_target
from collector.model import GatewayRecord, Id

PROFILE = Profile(stamped="start", is_body_upload_included=False)

_MOST_ATTEMPTS = 10_000
_NO_TIME = Timestamp(0, 0)
# With these, formats that people post leave the time out: their envelope has it, or the arrival.
_TELLING = ("response_code", "path")
# Istio's names for what comes in to the proxy's own application.
_INBOUND = ("inbound|", "inbound-vip|", "InboundPassthroughCluster")
_FACTS = Aliases(NAMES)
# What nobody else's log has.
_MARKS = frozenset(("response_flags", "response_code", "upstream_cluster"))
_OWN = (
    *("response_flags", "response_code_details", "connection_termination_details"),
    *("upstream_cluster", "upstream_host", "upstream_service_time"),
)
# Nor two of these beside each other.
_PLAIN = ("plain_flags", "response_code", "path")
_PLAIN_FACTS = frozenset(
    (
        *("plain_flags", "plain_details", "plain_cluster", "plain_upstream"),
        *("plain_service_time", "plain_request_time"),
    )
)
# A number of ms below this is a duration, above it a moment.
_LEAST_MOMENT = 10**9
# Upstream's faults that Envoy knows before it asks a host.
_WITHOUT_HOST = ("UH", "UO", "LH")
_FLAVOURS = (
    ("x-envoy-origin-path", "Envoy Gateway"),
    ("@timestamp", "Contour"),
    ("request_id", "Istio"),
)
_ATTRIBUTES = {
    "envoy.response_flags": "response_flags",
    "envoy.response_code_details": "response_code_details",
    "envoy.connection_termination_details": "connection_termination_details",
    "envoy.upstream_cluster": "upstream_cluster",
    "envoy.route_name": "route_name",
    "user_agent.original": "user_agent",
    "x_forwarded_for": "x_forwarded_for",
}
_SENT_BY_CLIENTS = ("authority", "user_agent", "request_id", "traceparent", "x_forwarded_for")
_CONTINUED = "as logged: Envoy's own if it traces, else the client's"


def _is_row(row: Row) -> bool:
    if not _MARKS.isdisjoint(row) or _FACTS.has(row, *_OWN):
        return True
    keys = _FACTS.keys(row)
    return all(name in keys for name in _PLAIN) or mesh_log.is_entry(row)


def _read_line(line: str) -> GatewayRecord:
    row = parse_line(line)
    if row is None:
        raise FieldError("", "expected JSON or Envoy's default text format")
    flavour = "Istio" if "upstream_cluster" in row else "Envoy"
    facts = _FACTS.resolve(row)
    _take_plain(facts)
    return _build(facts, write_raw(line), flavour, row)


def _read(facts: dict[str, Any], row: Row) -> GatewayRecord:
    if "labels" in row and mesh_log.is_entry(row):
        facts = mesh_log.read_facts(row)
        return _build(facts, write_raw(row), "Cloud Service Mesh", facts)
    if not _is_row(row):
        raise FieldError("response_flags", "is missing, and nothing else marks this as Envoy's")
    for name in ("cluster", "host"):
        if f"backend_{name}" in facts:
            facts.setdefault(f"upstream_{name}", facts[f"backend_{name}"])
    _take_plain(facts)
    flavour = next((name for key, name in _FLAVOURS if key in row), "Envoy")
    return _build(facts, write_raw(row), flavour, row)


_read_row = _FACTS.reader(_read)


def _take_plain(facts: dict[str, Any]) -> None:
    """Take the names that are too plain to tell an Envoy, where the usual ones are missing."""
    if _PLAIN_FACTS.isdisjoint(facts):
        return
    upstream = facts.get("plain_upstream")
    is_address = isinstance(upstream, str) and upstream.rpartition(":")[2].isdecimal()
    plain = {
        "response_flags": facts.get("plain_flags"),
        "response_code_details": facts.get("plain_details"),
        "upstream_cluster": facts.get("plain_cluster"),
        "upstream_host" if is_address else "upstream_cluster": upstream,
        "upstream_service_time": facts.get("plain_service_time"),
    }
    request_time = facts.get("plain_request_time")
    plain["duration" if _is_short(request_time) else "start_time"] = request_time
    for name, value in plain.items():
        if value.__class__ in (str, int, float):
            facts.setdefault(name, value)


def _is_short(value: object) -> bool:
    try:
        return float(str(value)) < _LEAST_MOMENT
    except ValueError:
        return False


def _build(row: Row, raw: str, flavour: str, original: Row) -> GatewayRecord:
    _pass_over_others(row)
    cluster = read_text(row, "upstream_cluster")
    is_timeless = "start_time" not in row and not any(is_missing(row.get(n)) for n in _TELLING)
    start = _NO_TIME if is_timeless else require_timestamp(row, "start_time")
    request_id = read_text(row, "request_id")
    target = split_target(read_text(row, "path"))
    status = read_status(row, "response_code")
    record = GatewayRecord(
        gateway="envoy",
        record_id=request_id or derive_record_id(raw),
        start_ns=start.ns,
        instance=read_text(row, "node_id"),
        kind=_kind(row, status),
        duration_ns=read_ns_from_ms(row, "duration"),
        backend_ns=read_ns_from_ms(row, "upstream_service_time"),
        method=read_text(row, "method"),
        scheme=read_text(row, "scheme"),
        host=read_text(row, "authority"),
        path=target.path,
        protocol=read_text(row, "protocol"),
        status=status,
        route=read_text(row, "route_name"),
        api=_api(cluster),
        backend_host=read_text(row, "upstream_host"),
        backend_id=cluster,
        attempts=_attempts(row),
        client_address=_client(row),
        request_bytes=read_int(row, "bytes_received"),
        response_bytes=read_int(row, "bytes_sent"),
        attributes=_attributes(row, target.query, flavour),
        raw=raw,
    )
    record.operation = record.route
    _read_ids(record, original, request_id)
    _read_error(record, row)
    record.quality = check(record, PROFILE, start_resolution_ns=start.resolution_ns)
    return record


def _pass_over_others(row: Row) -> None:
    """
    Leave out what is no request at a gateway.

    Raises:
        NotARequest: it is a TCP connection, which has neither method nor path nor a status, or a
            request that a sidecar let in to its own application.
    """
    if read_text(row, "upstream_cluster").startswith(_INBOUND):
        raise NotARequest("sidecar", "an inbound line of a sidecar, not of a gateway")
    is_without_request = not read_text(row, "method") and not read_text(row, "path")
    if is_without_request and _has_connection_only(row):
        raise NotARequest("session", "a TCP connection, not a request")


def _has_connection_only(row: Row) -> bool:
    if read_status(row, "response_code") or read_text(row, "protocol"):
        return False
    # a format may leave method and path out, but not write them empty; where all that is empty is
    # left out (omit_empty_values), a request shows by what else its client sent
    is_logged = "method" in row or "path" in row
    return is_logged or (
        "response_code" in row and not any(read_text(row, name) for name in _SENT_BY_CLIENTS)
    )


def _kind(row: Row, status: int | None) -> str:
    upgrade = "websocket" if status == 101 else read_text(row, "upgrade")
    return kind_of(read_text(row, "content_type"), upgrade)


def _attempts(row: Row) -> int | None:
    attempts = read_int(row, "attempts")
    if attempts is not None and not 0 <= attempts <= _MOST_ATTEMPTS:
        raise FieldError("attempts", "is not a plausible number of attempts")
    return attempts


def _api(cluster: str) -> str:
    """Return the service or the route a cluster stands for: the nearest thing to an API's name."""
    parts = cluster.split("|")
    if len(parts) == 4:
        return parts[3]
    # Envoy Gateway: httproute/<namespace>/<name>/rule/<n>
    parts = cluster.split("/")
    return "/".join(parts[1:3]) if len(parts) >= 4 and parts[0].endswith("route") else cluster


def _client(row: Row) -> str:
    forwarded = read_text(row, "x_forwarded_for").partition(",")[0].strip()
    # the direct peer is an address with its port
    direct = read_text(row, "client_address")
    direct = direct.rpartition(":")[0] or direct
    return forwarded or direct.strip("[]")


def _read_ids(record: GatewayRecord, row: Row, request_id: str) -> None:
    context = read_context(row)
    record.trace_id = context.trace_id
    record.trace_id_source = context.source
    record.outgoing_span_id = context.outgoing_span_id
    record.parent_span_id = context.parent_span_id
    record.is_sampled = context.is_sampled
    ids = (Id("x_request_id", request_id),) if request_id else ()
    record.ids = (*ids, *find_logged_ids(row))


def _read_error(record: GatewayRecord, row: Row) -> None:
    written = read_text(row, "response_flags")
    flags = split_flags(written) if written else ()
    if flags and (short := ",".join(flags)) != written:
        record.attributes = {**record.attributes, "envoy.response_flags": short}
    flag = primary_flag(flags)
    status = record.status
    record.error_message = read_text(row, "upstream_transport_failure_reason")
    details = read_text(row, "response_code_details")
    is_upstreams_answer = details == "via_upstream" or (not details and flag is None)
    if is_upstreams_answer:
        record.backend_status = status or None
    if flag is not None and flag.side != "none":
        side = flag.side_of(status)
        record.error_reason = flag.name
        record.error_source = {"client": "client", "upstream": "backend"}.get(side, "gateway")
    elif status == 0:
        record.error_reason = details
        record.error_source = "client"
    elif status is not None and status >= 400:
        record.error_source = "backend" if is_upstreams_answer else "gateway"
        record.error_reason = "" if is_upstreams_answer else details
    if flag is not None and flag.flag == "RFCF":
        record.cache = "hit"
    if record.attempts is None and _answered_alone(row, flag, status):
        record.attempts = 0
    note_grpc(record, read_text(row, "grpc_status"), read_text(row, "grpc_message"))
    settle(record, is_failed=status is None)


def _answered_alone(row: Row, flag: ResponseFlag | None, status: int | None) -> bool:
    """Tell whether an empty column says that no host was asked: nobody waited for one either."""
    if "upstream_host" not in row or read_text(row, "upstream_host") or not status:
        return False
    return flag is None or flag.side in ("proxy", "none") or flag.flag in _WITHOUT_HOST


def _attributes(row: Row, query: str, flavour: str) -> dict[str, str]:
    attributes = {"url.query": query} if query else {}
    attributes |= read_texts(row, _ATTRIBUTES)
    attributes["envoy.flavour"] = flavour
    if row.get("traceparent"):
        attributes["reading.traceparent"] = _CONTINUED
    return attributes


ADAPTER = Adapter(
    name="envoy",
    product="Envoy Gateway, Istio ingress gateway, Contour",
    reader=Reader(is_row=_is_row, read_row=_read_row, is_line=is_line, read_line=_read_line),
    source="https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage",
)
