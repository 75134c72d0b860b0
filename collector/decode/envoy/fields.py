"""
What Envoy's access logs call things: keys of JSON formats, and the default text formats.

Keys are their users' choice; these are the names that Envoy Gateway, Istio, Contour, kgateway,
Gloo, Emissary and Higress document. Case and punctuation make no difference (`upstreamHost`).

Source: Envoy substitution formatter and its default text format; envoyproxy/gateway
internal/xds/translator/accesslog.go; istio pilot/pkg/model/telemetry_logging.go, also of 1.4 to
1.8; Contour's, kgateway's, Gloo's and Higress' access log guides; Emissary's `envoy_log_format`.
"""

import re
from collections.abc import Mapping

NAMES: Mapping[str, tuple[str, ...]] = {
    "start_time": (
        "@timestamp",
        "timestamp",
        "system_time",
        "request_start_time",
        "time",
        "request_time",
    ),
    "method": (":method", "http_method", "request_method", "req_method", "http.request.method"),
    "path": (
        *("x-envoy-origin-path", "x-envoy-original-path", ":path", "request_path", "http_path"),
        *("original_path", "url.path", "http.target"),
    ),
    "protocol": ("http.protocol", "http_protocol", "request_protocol"),
    "authority": (
        *(":authority", "host", "http.host", "request_host", "server.address", "authority_for"),
    ),
    "scheme": (":scheme", "x-forwarded-proto"),
    "user_agent": ("user-agent", "http_user_agent", "user_agent.original"),
    "response_code": (
        *("status", "status_code", "response_status", "http_status", "http.status_code"),
        "http.response.status_code",
    ),
    "response_flags": ("response_flag",),
    "response_code_details": ("response_details",),
    "connection_termination_details": ("termination_details",),
    "upstream_transport_failure_reason": ("upstream_transport_failure",),
    "bytes_received": ("request_bytes", "request_size", "request_body_size", "received_bytes"),
    "bytes_sent": ("response_bytes", "response_size", "response_body_size", "sent_bytes"),
    "duration": (
        *("duration_ms", "total_duration", "total_duration_ms", "total_time", "client_duration"),
    ),
    "duration_ns": (),
    "upstream_service_time": (
        *("x-envoy-upstream-service-time", "resp_upstream_service_time", "upstream_time"),
        *("resp_x_envoy_upstream_service_time", "upstream_service_time_ms"),
        *("resp_backend_service_time", "backend_service_time"),
    ),
    "request_received": ("request_duration", "request_duration_ms"),
    "request_received_ns": ("time_to_last_rx_byte_ns",),
    "request_tx": ("request_tx_duration", "request_tx_duration_ms"),
    "request_tx_ns": ("time_to_last_upstream_tx_byte_ns",),
    "first_upstream_tx_ns": ("time_to_first_upstream_tx_byte_ns",),
    "response_first": ("response_duration", "response_duration_ms"),
    "response_first_ns": ("time_to_first_upstream_rx_byte_ns",),
    "last_upstream_rx_ns": ("time_to_last_upstream_rx_byte_ns",),
    "first_downstream_tx_ns": ("time_to_first_downstream_tx_byte_ns",),
    "response_tx": ("response_tx_duration", "response_tx_duration_ms"),
    "attempts": ("upstream_request_attempt_count", "x-envoy-attempt-count"),
    "request_id": ("x-request-id", "guid:x-request-id", "req_id"),
    "trace_id": ("trace.id",),
    "span_id": ("span.id",),
    "traceparent": (),
    "x_b3_traceid": ("b3_traceid",),
    "x_b3_spanid": (),
    "b3": (),
    "x_forwarded_for": ("xff", "forwarded_for"),
    "upstream_cluster": ("upstream_cluster_raw", "upstream_cluster.name"),
    # kgateway's and Gloo's names for these two; others' backends are called so as well
    "backend_cluster": ("upstream_name",),
    "backend_host": (),
    "upstream_host": ("upstream_address", "upstream_remote_address"),
    "client_address": (
        *("downstream_remote_address", "downstream_direct_remote_address", "downstream_address"),
        *("client_ip", "remote_address"),
    ),
    "requested_server_name": ("sni",),
    "route_name": (),
    "service": ("service_name", "service.name"),
    "node_id": ("node_name", "pod_name", "hostname"),
    "direction": (),
    "content_type": ("content-type",),
    "upgrade": (),
    "grpc_status": ("grpc_status_number", "grpc.status_code"),
    "grpc_message": (),
}
"""Each fact with its spellings, the best first."""

# Envoy's and Istio's default text formats; Istio's has three values more before the byte counts,
# and of old one or two quoted ones instead.
_LEFT = re.compile(
    r'\[(?P<start_time>[^\]"]{0,64})\] "(?P<method>\S*) (?P<path>\S*) (?P<protocol>[^"]*)" '
    r"(?P<response_code>\d+) (?P<response_flags>\S+) "
    r'(?:(?P<response_code_details>[^\s"]+) (?P<connection_termination_details>[^\s"]+) '
    r'(?="))?(?:"[^"]*" (?="))?(?:"(?P<upstream_transport_failure_reason>[^"]*)" )?'
    r"(?P<bytes_received>\d+|-) (?P<bytes_sent>\d+|-) (?P<duration>\d+|-) "
    r'(?P<upstream_service_time>\d+|-) "(?P<x_forwarded_for>[^"]*)" ',
    re.ASCII,
)
# The user agent is the client's own text and may hold quotes: it ends where all that follows fits,
# behind which users append more (%TRACE_ID%, %REQ(TRACEPARENT)%). An id that is none of Envoy's own
# is believed only where nothing is appended.
_USER_AGENT = r'"(?P<user_agent>.*?)" '
_FITTING = (
    r'"(?P<authority>[^"]*)" "(?P<upstream_host>[^"]*)"'
    r"(?: (?P<upstream_cluster>[^\s\"]+) (?P<upstream_local_address>[^\s\"]+)"
    r" (?P<downstream_local_address>[^\s\"]+) (?P<client_address>[^\s\"]+)"
    r" (?P<requested_server_name>[^\s\"]+)(?: (?P<route_name>[^\s\"]+))?)?"
)
_RIGHT = re.compile(
    _USER_AGENT + r'"(?P<request_id>[0-9A-Fa-f-]{8,64}|-)" ' + _FITTING + r"(?P<more> \S.*)?\s*",
    re.DOTALL,
)
_LOOSE_RIGHT = re.compile(_USER_AGENT + r'"(?P<request_id>[^"]*)" ' + _FITTING + r"\s*", re.DOTALL)
_TRACEPARENT = re.compile(r"(?<![\w-])00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?![\w-])", re.ASCII)
_TRACE_ID = re.compile(r"(?<![\w-])(?:[0-9a-f]{32}|[0-9a-f]{16})(?![\w-])", re.ASCII)
_LONGEST_LINE = 32_768


def is_line(line: str) -> bool:
    """Tell from its beginning whether *line* is in one of the default text formats."""
    return len(line) <= _LONGEST_LINE and _LEFT.match(line) is not None


def parse_line(line: str) -> dict[str, str] | None:
    """
    Return the facts of a line in a default text format under the names of `NAMES`, or `None`.

    What a user appended is looked through for a traceparent or a trace id.
    """
    left = _LEFT.match(line) if len(line) <= _LONGEST_LINE else None
    if left is None:
        return None
    right = _RIGHT.fullmatch(line, left.end()) or _LOOSE_RIGHT.fullmatch(line, left.end())
    if right is None:
        return None
    found = {**left.groupdict(), **right.groupdict()}
    if more := found.pop("more", None):
        if header := _TRACEPARENT.search(more):
            found["traceparent"] = header[0]
        elif trace_id := _TRACE_ID.search(more):
            found["trace_id"] = trace_id[0]
    return {name: value for name, value in found.items() if value is not None}
