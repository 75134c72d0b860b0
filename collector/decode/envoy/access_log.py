"""
Access logs of proxies as evidence: a stored log record to what the proxy saw of one request.

Read: the default text format of Envoy and of Istio, JSON bodies with the default keys of Istio and
Envoy Gateway, log attributes under the same names (also what `receive/als.py` writes), and
Linkerd's JSON access log. A log record without a proxy's handwriting is not an access log.

Source: Envoy substitution formatter; istio pilot/pkg/model/telemetry_logging.go; envoyproxy/gateway
internal/xds/translator/accesslog.go; linkerd2-proxy linkerd/http/access-log/src/lib.rs;
envoy/data/accesslog/v3/accesslog.proto.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from collector.decode.aliases import Aliases
from collector.decode.envoy.fields import NAMES, parse_line
from collector.decode.envoy.response_flags import RESPONSE_FLAGS as RESPONSE_FLAGS
from collector.decode.envoy.response_flags import split_flags
from collector.identity.ids import normalise_span_id, normalise_trace_id, trace_context_from_headers
from collector.model import LogRecord
from collector.timestamps import NS_PER_S

MS = 1_000_000
_FACTS = Aliases(NAMES)
_MISSING = frozenset({"", "-", "null", "none", "nil"})
# A longer line is a payload that someone logs, and what follows it could not be told apart.
_MAX_LINE = 16_384
_MAX_JSON = 262_144
_MAX_INT64 = (1 << 63) - 1
_WORKLOAD_KEYS = ("k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLogEntry:
    """
    One request as one proxy logged it.

    Ids are canonical ("" when there is none); `request_id` is as written. `status` 0 means that no
    response was sent. `duration_ns` is start to last byte sent downstream. Offsets from the start:
    `request_ns` last request byte received, `request_tx_ns` last request byte sent upstream,
    `response_ns` first response byte from upstream, and the finer ones of the gRPC access log
    service, `first_upstream_tx_ns`, `last_upstream_rx_ns` and `first_downstream_tx_ns`.
    `response_tx_ns` is a duration: first response byte from upstream to last byte sent downstream.
    `upstream_ns` is the upstream's own service time as Envoy measures it. `resolution_ns` is the
    step of all of these. `None` means not logged.

    `direction` is `inbound`, `outbound` or "". `service` is whoever the proxy belongs to, `peer`
    whom it called; both "" when the log does not tell. `instance` is its pod or node id.
    """

    proxy: str  # envoy or linkerd
    start_ns: int
    trace_id: str = ""
    span_id: str = ""
    request_id: str = ""
    direction: str = ""
    service: str = ""
    instance: str = ""
    peer: str = ""
    method: str = ""
    path: str = ""
    authority: str = ""
    protocol: str = ""
    user_agent: str = ""
    status: int | None = None
    grpc_status: str = ""
    flags: tuple[str, ...] = ()
    response_code_details: str = ""
    termination_details: str = ""
    transport_failure: str = ""
    route: str = ""
    upstream_cluster: str = ""
    upstream_host: str = ""
    client_address: str = ""
    attempts: int | None = None
    request_bytes: int | None = None
    response_bytes: int | None = None
    duration_ns: int | None = None
    request_ns: int | None = None
    request_tx_ns: int | None = None
    first_upstream_tx_ns: int | None = None
    response_ns: int | None = None
    last_upstream_rx_ns: int | None = None
    first_downstream_tx_ns: int | None = None
    response_tx_ns: int | None = None
    upstream_ns: int | None = None
    resolution_ns: int = MS


def entry_from_log(log: LogRecord) -> AccessLogEntry | None:
    """
    Read a stored log record as an access log entry.

    What the body says is overlaid by the record's attributes; the record's own trace and span id
    win over both. The service is, in this order: an attribute or label `service`, `service_name`,
    `service.name`, the resource's `service.name`, the workload in `node_id` or `node_name`, the
    workload in the resource's Kubernetes attributes, as shippers of logs add them, the resource's
    `cluster_name`, and for an inbound request the host of the TLS server name.

    Returns:
        `None` when nothing in it is specific to a proxy's access log.

    Source: formats in the module's docstring. Istio sends an empty resource and puts the default
    text into the body; Envoy Gateway and hand-made formats use JSON or attributes.
    """
    fields = _body_fields(log.body)
    fields.update(_known(log.attributes))
    if not _is_access_log(fields):
        return None
    if "processing_ns" in fields:
        return _linkerd_entry(log, fields)
    return _envoy_entry(log, fields)


def _envoy_entry(log: LogRecord, fields: Mapping[str, str]) -> AccessLogEntry:
    cluster = fields.get("upstream_cluster", "")
    trace_id, span_id = _trace_context(log, fields)
    return AccessLogEntry(
        proxy="envoy",
        start_ns=_moment_ns(fields.get("start_time", "")) or log.time_ns,
        trace_id=trace_id,
        span_id=span_id,
        request_id=fields.get("request_id", ""),
        direction=direction_of(cluster) or _logged_direction(fields),
        service=_service(log, fields, cluster),
        instance=instance_of_node(_node_id(log, fields)) or log.resource.get("k8s.pod.name", ""),
        peer=upstream_service(cluster),
        upstream_cluster=cluster,
        flags=_flags(fields.get("response_flags", "")),
        client_address=fields.get("client_address", ""),
        grpc_status=fields.get("grpc_status", ""),
        response_code_details=fields.get("response_code_details", ""),
        termination_details=fields.get("connection_termination_details", ""),
        transport_failure=fields.get("upstream_transport_failure_reason", ""),
        route=fields.get("route_name", ""),
        upstream_host=fields.get("upstream_host", ""),
        attempts=_integer(fields, "attempts"),
        request_tx_ns=_duration_ns(fields, "request_tx"),
        first_upstream_tx_ns=_duration_ns(fields, "first_upstream_tx"),
        request_ns=_duration_ns(fields, "request_received"),
        response_ns=_duration_ns(fields, "response_first"),
        last_upstream_rx_ns=_duration_ns(fields, "last_upstream_rx"),
        first_downstream_tx_ns=_duration_ns(fields, "first_downstream_tx"),
        response_tx_ns=_duration_ns(fields, "response_tx"),
        upstream_ns=_duration_ns(fields, "upstream_service_time"),
        resolution_ns=1 if "duration_ns" in fields else MS,
        **_request(fields),
    )


def _linkerd_entry(log: LogRecord, fields: Mapping[str, str]) -> AccessLogEntry:
    # Linkerd's `trace_id` is the first of x-b3-traceid, x-request-id and x-amzn-trace-id. A UUID
    # can only be a request id; bare hex can be either, so it is offered as both.
    written = fields.get("trace_id", "")
    is_uuid = written.count("-") == 4 and not written.lower().startswith("root=")
    trace_id, span_id = (log.trace_id, log.span_id) if is_uuid else _trace_context(log, fields)
    return AccessLogEntry(
        proxy="linkerd",
        start_ns=_moment_ns(fields.get("start_time", "")) or log.time_ns,
        trace_id=trace_id,
        span_id=span_id,
        request_id=fields.get("request_id", "") or written,
        service=_service(log, fields, ""),
        direction=_logged_direction(fields),
        client_address=fields.get("client_address", ""),
        resolution_ns=1,
        **_request(fields),
    )


def _request(fields: Mapping[str, str]) -> dict[str, Any]:
    return {
        "method": fields.get("method", ""),
        "path": _ORIGIN.sub("", fields.get("path", "")),
        "authority": fields.get("authority", ""),
        "protocol": fields.get("protocol", ""),
        "user_agent": fields.get("user_agent", ""),
        "status": _integer(fields, "response_code"),
        "request_bytes": _integer(fields, "bytes_received"),
        "response_bytes": _integer(fields, "bytes_sent"),
        "duration_ns": _duration_ns(fields, "duration"),
    }


def direction_of(cluster: str) -> str:
    """Return `inbound` or `outbound` for an Istio cluster name, "" for any other."""
    head = cluster.partition("|")[0].lower()
    if head in ("inbound", "inbound-vip") or head.startswith("inboundpassthroughcluster"):
        return "inbound"
    if head == "outbound" or head in ("passthroughcluster", "blackholecluster"):
        return "outbound"
    return ""


def upstream_service(cluster: str) -> str:
    """Return the host in an Istio cluster name (`outbound|9080|v1|host`), "" for any other."""
    parts = cluster.split("|")
    return parts[3] if len(parts) == 4 and parts[0].lower() in ("outbound", "inbound-vip") else ""


# Linkerd's names are so plain that they only count where its own `processing_ns` stands.
_LINKERD = {
    "client.addr": "client_address",
    "timestamp": "start_time",
    "method": "method",
    "uri": "path",
    "version": "protocol",
    "trace_id": "trace_id",
    "request_bytes": "bytes_received",
    "status": "response_code",
    "response_bytes": "bytes_sent",
    "total_ns": "duration_ns",
    "processing_ns": "processing_ns",
    "user_agent": "user_agent",
    "host": "authority",
}
_ORIGIN = re.compile(r"^[a-z][a-z0-9+.-]*://[^/?]*", re.ASCII | re.IGNORECASE)
_FLAG = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


def _body_fields(body: str) -> dict[str, str]:
    text = body.strip()
    if text.startswith("{") and len(text) <= _MAX_JSON:
        try:
            loaded = orjson.loads(text)
        except orjson.JSONDecodeError:
            return {}
        return _known(loaded) if isinstance(loaded, dict) else {}
    if not text.startswith("[") or len(text) > _MAX_LINE:
        return {}
    return _known(parse_line(text) or {})


def _known(values: Mapping[str, Any]) -> dict[str, str]:
    facts = _FACTS.resolve(values)
    if "processing_ns" in values:
        facts.update((name, values[key]) for key, name in _LINKERD.items() if key in values)
    found: dict[str, str] = {}
    for name, value in facts.items():
        if value is None or isinstance(value, dict | list):
            continue
        text = str(value).strip()
        # `-` in the flags means that none was set, which is worth knowing.
        if text.lower() not in _MISSING or name == "response_flags":
            found[name] = text
    return found


def _is_access_log(fields: Mapping[str, str]) -> bool:
    has_answer = "response_code" in fields or "duration" in fields or "duration_ns" in fields
    marks = ("response_flags", "upstream_cluster", "response_code_details", "processing_ns")
    return has_answer and any(mark in fields for mark in marks)


def _trace_context(log: LogRecord, fields: Mapping[str, str]) -> tuple[str, str]:
    if log.trace_id:
        return log.trace_id, log.span_id
    if trace_id := normalise_trace_id(fields.get("trace_id", "")):
        return trace_id, normalise_span_id(fields.get("span_id", ""))
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    context = trace_context_from_headers(headers)
    return (context.trace_id, context.span_id) if context else ("", "")


def _service(log: LogRecord, fields: Mapping[str, str], cluster: str) -> str:
    node = _node_id(log, fields)
    named = (
        fields.get("service", "")
        or log.service
        or log.resource.get("service.name", "")
        or _node_workload(node)
        or _kubernetes_workload(log.resource)
        or log.resource.get("cluster_name", "")
    )
    if named or direction_of(cluster) != "inbound":
        return named
    # Istio's client sidecar names the service it calls in the server name: outbound_.80_.v1_.host
    parts = fields.get("requested_server_name", "").split("_.", 3)
    return parts[3] if len(parts) == 4 else ""


def _node_id(log: LogRecord, fields: Mapping[str, str]) -> str:
    return fields.get("node_id", "") or log.resource.get("node_name", "")


def instance_of_node(node_id: str) -> str:
    """Return the pod of an Istio node id (`sidecar~ip~pod.namespace~domain`), others whole."""
    parts = node_id.split("~")
    return parts[2].partition(".")[0] if len(parts) == 4 else node_id


def _node_workload(node: str) -> str:
    parts = node.split("~")
    if len(parts) != 4:
        return ""
    pod, _, namespace = parts[2].partition(".")
    return _in_namespace(_workload_of_pod(pod), namespace)


def _kubernetes_workload(resource: Mapping[str, str]) -> str:
    named = next((resource[key] for key in _WORKLOAD_KEYS if resource.get(key)), "")
    workload = named or _workload_of_pod(resource.get("k8s.pod.name", ""))
    return _in_namespace(workload, resource.get("k8s.namespace.name", "")) if workload else ""


def _workload_of_pod(pod: str) -> str:
    # <workload>-<replica set hash>-<pod hash>
    return re.sub(r"(-[a-z0-9]{5,10})?-[a-z0-9]{5}$", "", pod) or pod


def _in_namespace(workload: str, namespace: str) -> str:
    return f"{workload}.{namespace}" if namespace else workload


def _logged_direction(fields: Mapping[str, str]) -> str:
    spoken = fields.get("direction", "").lower()
    return spoken if spoken in ("inbound", "outbound") else ""


def _flags(text: str) -> tuple[str, ...]:
    return tuple(flag for flag in split_flags(text) if _FLAG.fullmatch(flag))


def _integer(fields: Mapping[str, str], name: str) -> int | None:
    text = fields.get(name, "")
    if not text or len(text) > 24:
        return None
    try:
        value = int(text) if text.isdigit() else int(float(text))
    except (ValueError, OverflowError):
        return None
    return value if 0 <= value <= _MAX_INT64 else None


def _duration_ns(fields: Mapping[str, str], name: str) -> int | None:
    if (exact := _integer(fields, f"{name}_ns")) is not None:
        return exact
    text = fields.get(name, "")
    try:
        value_ns = round(float(text) * MS) if text and len(text) <= 24 else -1
    except (ValueError, OverflowError):
        return None
    return value_ns if 0 <= value_ns <= _MAX_INT64 else None


def _moment_ns(text: str) -> int:
    """Return Unix nanoseconds of an RFC 3339 moment, or 0; Python's own parser stops at µs."""
    match = re.fullmatch(
        r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|z|[+-]\d\d:?\d\d)",
        text,
        re.ASCII,
    )
    if not match:
        return 0
    try:
        whole = datetime.fromisoformat(match[1].upper() + match[3].upper())
    except ValueError:
        return 0
    return int(whole.timestamp()) * NS_PER_S + int((match[2] or "0").ljust(9, "0"))
