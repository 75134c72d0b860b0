"""
Envoy's gRPC access log service to the canonical OTLP logs message.

One log record per entry, stamped with the start of the request. The attributes carry the names that
Envoy's JSON access logs have (`method`, `path`, `response_code`, `response_flags`,
`upstream_cluster` ...), times since the start as the proto calls them with `_ns` behind
(`time_to_first_upstream_tx_byte_ns`, `duration_ns`), custom tags as configured and headers as
`http.request.header.<name>`. The resource carries what Envoy's OTLP logger would write
(`log_name`, `node_name`, `cluster_name`, `zone_name`) and `service.name`, the node's cluster.
`decode.envoy.access_log` reads all of it back.

Source: envoy/service/accesslog/v3/als.proto, envoy/data/accesslog/v3/accesslog.proto; the order in
which flags are rendered: Envoy stream_info/utility.cc.
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.decode.otlp.protobuf import LOGS, canonicalise
from collector.decode.protobuf.split import PIECE_BYTES
from collector.decode.result import DecodeResult, Tally
from collector.errors import TooLarge, Undecodable
from collector.identity.ids import normalise_span_id, normalise_trace_id, trace_context_from_headers
from collector.timestamps import NS_PER_S
from collector.wire import envoy_als_pb2 as wire

EVENT_NAME = "envoy.access_log"
_IDENTIFIER_TAG = b"\x0a"
# Addresses and times alone make an entry larger; less is no access log but a way to keep us busy.
_MIN_ENTRY_BYTES = 64
_METHODS = (
    "",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
)
_PROTOCOLS = ("", "HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3")
_FLAGS = {
    "failed_local_healthcheck": "LH",
    "no_healthy_upstream": "UH",
    "upstream_request_timeout": "UT",
    "local_reset": "LR",
    "upstream_remote_reset": "UR",
    "upstream_connection_failure": "UF",
    "upstream_connection_termination": "UC",
    "upstream_overflow": "UO",
    "no_route_found": "NR",
    "delay_injected": "DI",
    "fault_injected": "FI",
    "rate_limited": "RL",
    "unauthorized_details": "UAEX",
    "rate_limit_service_error": "RLSE",
    "downstream_connection_termination": "DC",
    "upstream_retry_limit_exceeded": "URX",
    "stream_idle_timeout": "SI",
    "invalid_envoy_request_headers": "IH",
    "downstream_protocol_error": "DPE",
    "upstream_max_stream_duration_reached": "UMSDR",
    "response_from_cache_filter": "RFCF",
    "no_filter_config_found": "NFCF",
    "duration_timeout": "DT",
    "upstream_protocol_error": "UPE",
    "no_cluster_found": "NC",
    "overload_manager": "OM",
    "dns_resolution_failure": "DF",
    "downstream_remote_reset": "DR",
}
_TIMES = (
    "time_to_last_rx_byte",
    "time_to_first_upstream_tx_byte",
    "time_to_last_upstream_tx_byte",
    "time_to_first_upstream_rx_byte",
    "time_to_last_upstream_rx_byte",
    "time_to_first_downstream_tx_byte",
    "time_to_last_downstream_tx_byte",
)
_TEXTS = (
    "upstream_cluster",
    "upstream_transport_failure_reason",
    "route_name",
    "connection_termination_details",
    "stream_id",
    "downstream_transport_failure_reason",
)
_ADDRESSES = (
    ("upstream_host", "upstream_remote_address"),
    ("upstream_local_address", "upstream_local_address"),
    ("downstream_local_address", "downstream_local_address"),
    ("downstream_remote_address", "downstream_remote_address"),
    ("downstream_direct_remote_address", "downstream_direct_remote_address"),
)
_WIRE_BYTES = (
    "downstream_wire_bytes_sent",
    "downstream_wire_bytes_received",
    "upstream_wire_bytes_sent",
    "upstream_wire_bytes_received",
)
_TRACE_HEADERS = ("traceparent", "b3", "x-b3-traceid", "x-b3-spanid", "x-amzn-trace-id")
_Facts = dict[str, str | int]


def decode_access_logs(body: bytes, received_ns: int) -> DecodeResult:
    """
    Decode one `StreamAccessLogsMessage` that begins with the stream's identifier.

    Rejected are entries without a start; Envoy writes one in each.

    Raises:
        TooLarge: above 2 MiB; Envoy's own buffer is 16 KiB unless configured. Never retried.
        Undecodable: the bytes are not that message. Never retried.
    """
    if len(body) > PIECE_BYTES:
        msg = f"the access log message has {len(body):,} bytes, and {PIECE_BYTES:,} are allowed"
        raise TooLarge(msg, hint="lower buffer_size_bytes in Envoy's access log configuration")
    try:
        message = wire.StreamAccessLogsMessage.FromString(body)
    except DecodeError as exc:
        msg = f"not an Envoy StreamAccessLogsMessage: {exc}"
        raise Undecodable(msg) from exc
    count = len(message.http_logs.log_entry) + len(message.tcp_logs.log_entry)
    if count > len(body) // _MIN_ENTRY_BYTES + 16:
        msg = f"{count} access log entries in {len(body)} bytes: too many to hold anything"
        raise Undecodable(msg)
    entries: list[Any] = [*message.http_logs.log_entry, *message.tcp_logs.log_entry]
    tally = Tally("log records")
    reader = _Reader(tally)
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    _put(group.resource.attributes, _resource(reader, message.identifier))
    records = group.scope_logs.add().log_records
    rejected = 0
    for index, entry in enumerate(entries):
        reader.index = index
        if not entry.common_properties.start_time.seconds:
            tally.reject("time_missing", index)
            rejected += 1
            continue
        _fill(records.add(), reader, entry, received_ns)
    canonical = canonicalise(LOGS, request, request.ByteSize(), tally, received_ns)
    tally.seen += rejected
    return tally.finish([canonical])


def read_identifier(body: bytes) -> bytes:
    """
    Return the identifier that a message begins with, as the bytes of its field; b"" without one.

    Istio's node metadata, tens of kilobytes of it, is left out.
    """
    if not body.startswith(_IDENTIFIER_TAG) or len(body) > PIECE_BYTES:
        return b""
    try:
        identifier = wire.StreamAccessLogsMessage.FromString(body).identifier
    except DecodeError:
        return b""
    identifier.DiscardUnknownFields()
    return wire.StreamAccessLogsMessage(identifier=identifier).SerializeToString()


class _Reader:
    """Turns received bytes into text and counts what had to be repaired."""

    def __init__(self, tally: Tally) -> None:
        self.index = 0
        self._tally = tally

    def text(self, value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            self._tally.repair("text", self.index)
            return value.decode("utf-8", "replace")


def _resource(reader: _Reader, identifier: wire.Identifier) -> _Facts:
    node = identifier.node
    return {
        "service.name": reader.text(node.cluster),
        "log_name": reader.text(identifier.log_name),
        "node_name": reader.text(node.id),
        "cluster_name": reader.text(node.cluster),
        "zone_name": reader.text(node.locality.zone),
    }


def _fill(record: LogRecord, reader: _Reader, entry: Any, received_ns: int) -> None:
    common = entry.common_properties
    facts: _Facts = {}
    if isinstance(entry, wire.HttpAccessLogEntry):
        facts.update(_http(reader, entry))
        record.body.string_value = _line(facts)
    else:
        facts["protocol"] = "TCP"
        facts["bytes_received"] = entry.connection_properties.received_bytes
        facts["bytes_sent"] = entry.connection_properties.sent_bytes
    facts["response_flags"] = _flags(common.response_flags)
    facts.update(_connection(reader, common))
    facts.update(_times(common))
    for tag in common.custom_tags:
        key = reader.text(tag.key)
        facts[f"custom_tag.{key}" if facts.get(key) else key] = reader.text(tag.value)
    start = common.start_time
    record.time_unix_nano = _unsigned(start.seconds * NS_PER_S + start.nanos)
    record.observed_time_unix_nano = received_ns
    record.event_name = EVENT_NAME
    trace_id, span_id = _trace(facts)
    record.trace_id, record.span_id = bytes.fromhex(trace_id), bytes.fromhex(span_id)
    _put(record.attributes, facts)


def _http(reader: _Reader, entry: wire.HttpAccessLogEntry) -> _Facts:
    request, response = entry.request, entry.response
    facts: _Facts = {
        "method": _named(_METHODS, request.request_method),
        "path": reader.text(request.path),
        "protocol": _named(_PROTOCOLS, entry.protocol_version),
        "scheme": reader.text(request.scheme),
        "authority": reader.text(request.authority),
        "user_agent": reader.text(request.user_agent),
        "referer": reader.text(request.referer),
        "x_forwarded_for": reader.text(request.forwarded_for),
        "request_id": reader.text(request.request_id),
        "x_envoy_original_path": reader.text(request.original_path),
        "bytes_received": request.request_body_bytes,
        "bytes_sent": response.response_body_bytes,
        "request_headers_bytes": request.request_headers_bytes,
        "response_headers_bytes": response.response_headers_bytes,
        "response_code": response.response_code.value,
        "response_code_details": reader.text(response.response_code_details),
    }
    headers = (
        ("http.request.header.", request.request_headers),
        ("http.response.header.", response.response_headers),
        ("http.response.trailer.", response.response_trailers),
    )
    for prefix, entries in headers:
        for header in entries:
            facts[prefix + reader.text(header.key).lower()] = reader.text(header.value)
    return facts


def _connection(reader: _Reader, common: wire.AccessLogCommon) -> _Facts:
    facts: _Facts = {name: reader.text(getattr(common, name)) for name in _TEXTS}
    facts["requested_server_name"] = reader.text(common.tls_properties.tls_sni_hostname)
    for name, source in _ADDRESSES:
        facts[name] = _address(reader, getattr(common, source))
    for name in _WIRE_BYTES:
        if value := getattr(common, name):
            facts[name] = value
    if common.upstream_request_attempt_count:
        facts["upstream_request_attempt_count"] = common.upstream_request_attempt_count
    if common.intermediate_log_entry:
        facts["intermediate_log_entry"] = "true"
    return facts


def _times(common: wire.AccessLogCommon) -> _Facts:
    facts: _Facts = {
        f"{name}_ns": _duration_ns(getattr(common, name))
        for name in _TIMES
        if common.HasField(name)
    }
    if common.HasField("duration"):
        facts["duration_ns"] = _duration_ns(common.duration)
    elif "time_to_last_downstream_tx_byte_ns" in facts:
        facts["duration_ns"] = facts["time_to_last_downstream_tx_byte_ns"]
    return facts


def _flags(flags: wire.ResponseFlags) -> str:
    present = (
        flag
        for field, flag in _FLAGS.items()
        if (flags.HasField("unauthorized_details") if flag == "UAEX" else getattr(flags, field))
    )
    return ",".join(present) or "-"


def _address(reader: _Reader, address: wire.Address) -> str:
    kind = address.WhichOneof("address")
    if kind == "socket_address":
        host = reader.text(address.socket_address.address)
        port = address.socket_address.port_value
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if kind == "pipe":
        return reader.text(address.pipe.path)
    if kind == "envoy_internal_address":
        internal = address.envoy_internal_address
        return f"envoy://{reader.text(internal.server_listener_name)}/{reader.text(internal.endpoint_id)}"
    return ""


def _trace(facts: _Facts) -> tuple[str, str]:
    named = normalise_trace_id(str(facts.get("trace_id", "")))
    if named:
        return named, normalise_span_id(str(facts.get("span_id", "")))
    headers = {
        name: str(facts.get(f"http.request.header.{name}") or facts.get(name) or "")
        for name in _TRACE_HEADERS
    }
    context = trace_context_from_headers({name: value for name, value in headers.items() if value})
    return (context.trace_id, context.span_id) if context else ("", "")


def _line(facts: _Facts) -> str:
    asked = f"{facts['method']} {facts['path']} {facts['protocol']}".strip()
    return f"{asked} {facts['response_code']}"


def _put(attributes: Any, facts: _Facts) -> None:
    items: Iterable[KeyValue] = (_key_value(key, value) for key, value in facts.items())
    attributes.extend(item for item in items if item.value.WhichOneof("value"))


def _key_value(key: str, value: str | int) -> KeyValue:
    item = KeyValue(key=key)
    if isinstance(value, int):
        item.value.int_value = min(value, (1 << 63) - 1)
    elif value:
        item.value.string_value = value
    return item


def _named(names: tuple[str, ...], number: int) -> str:
    return names[number] if 0 < number < len(names) else ""


def _duration_ns(duration: Duration) -> int:
    return max(duration.seconds * NS_PER_S + duration.nanos, 0)


def _unsigned(time_ns: int) -> int:
    return min(max(time_ns, 0), (1 << 64) - 1)
