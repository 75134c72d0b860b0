"""
What Envoy's access logs call things: keys of JSON formats, and the default text formats.

Keys are their users' choice; these are the names that Envoy Gateway, Istio, Contour, kgateway,
Gloo, Emissary and Higress document. Case and punctuation make no difference (`upstreamHost`).

Source: Envoy substitution formatter and its default text format; envoyproxy/gateway
internal/xds/translator/accesslog.go; istio pilot/pkg/model/telemetry_logging.go, also of 1.4 to
1.8; Contour's, kgateway's, Gloo's and Higress' access log guides; Emissary's `envoy_log_format`.
"""

import re
from collections.abc import Mapping, Sequence

NAMES: Mapping[str, tuple[str, ...]] = {
    "start_time": (
        "@timestamp",
        "timestamp",
        "system_time",
        "request_start_time",
        "time",
    ),
    "method": (":method", "http_method", "request_method", "req_method", "http.request.method"),
    "path": (
        *("x-envoy-origin-path", "x-envoy-original-path", ":path", "request_path", "http_path"),
        *("original_path", "url.path", "http.target", "request_uri"),
    ),
    "protocol": ("http.protocol", "http_protocol", "request_protocol", "server_protocol"),
    "authority": (
        *(":authority", "host", "http.host", "request_host", "server.address", "authority_for"),
        *("request_authority", "http_host"),
    ),
    "scheme": (":scheme", "x-forwarded-proto"),
    "user_agent": ("user-agent", "http_user_agent", "user_agent.original"),
    "response_code": (
        *("status", "status_code", "response_status", "http_status", "http.status_code"),
        *("http.response.status_code", "code"),
    ),
    "response_flags": ("response_flag", "response_flags_long"),
    "response_code_details": ("response_details",),
    "connection_termination_details": ("termination_details",),
    "upstream_transport_failure_reason": ("upstream_transport_failure",),
    "bytes_received": (
        *("request_bytes", "request_size", "request_body_size", "received_bytes", "bytes_in"),
        "request_length",
    ),
    "bytes_sent": (
        *("response_bytes", "response_size", "response_body_size", "sent_bytes", "bytes_out"),
        "body_bytes_sent",
    ),
    "duration": (
        *("duration_ms", "total_duration", "total_duration_ms", "total_time", "client_duration"),
        *("ms", "latency_ms", "response_time_ms"),
    ),
    "duration_ns": (),
    "upstream_service_time": (
        *("x-envoy-upstream-service-time", "resp_upstream_service_time", "upstream_time"),
        *("resp_x_envoy_upstream_service_time", "upstream_service_time_ms"),
        *("resp_backend_service_time", "backend_service_time", "upstream_ms", "upstream_time_ms"),
        *("upstream_duration", "upstream_duration_ms"),
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
    "attempts": (
        *("upstream_request_attempt_count", "x-envoy-attempt-count", "request_attempt_count"),
        *("attempt_count", "retry_attempts"),
    ),
    "request_id": ("x-request-id", "guid:x-request-id", "req_id"),
    "trace_id": ("trace.id",),
    "span_id": ("span.id",),
    "traceparent": (),
    "x_b3_traceid": ("b3_traceid",),
    "x_b3_spanid": (),
    "b3": (),
    "x_forwarded_for": ("xff", "forwarded_for", "http_x_forwarded_for"),
    "upstream_cluster": ("upstream_cluster_raw", "upstream_cluster.name"),
    # kgateway's and Gloo's names for these two; others' backends are called so as well
    "backend_cluster": ("upstream_name",),
    "backend_host": (),
    "upstream_host": ("upstream_address", "upstream_remote_address"),
    "client_address": (
        *("downstream_remote_address", "downstream_direct_remote_address", "downstream_address"),
        *("client_ip", "remote_address", "client.address", "source.address"),
        "remote_addr",
    ),
    # too plain to tell an Envoy by themselves
    "plain_flags": ("flags", "response.flags"),
    "plain_details": ("details",),
    "plain_cluster": ("cluster",),
    "plain_upstream": ("upstream",),
    # nginx's names, which people keep when they move to Envoy: with Envoy's own units
    "plain_service_time": ("upstream_response_time",),
    # a moment for some, a duration for others
    "plain_request_time": ("request_time",),
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

# What users make of the default format: values left out, put elsewhere, quoted, or named.
_HEAD = re.compile(
    r'(?:ACCESS )?\[(?P<start_time>\d{4}-\d\d-\d\dT[^\]"]{8,32})\] '
    r'"(?P<method>[A-Z]{3,16}|-) (?P<path>[^\s"]+)(?: (?P<protocol>HTTP/[\d.]+|-))?" '
    r"(?P<response_code>\d{1,3})(?= )",
    re.ASCII,
)
_VALUE = re.compile(r'(?:([A-Za-z_][\w.-]{0,40})=)?(?:"([^"]*)"|([^\s"]+))(?=\s|$)', re.ASCII)
_FLAGS = re.compile(r"-|[A-Z]{2,5}(?:,[A-Z]{2,5})*", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}|-", re.ASCII)
_NUMBERS = ("bytes_received", "bytes_sent", "duration", "upstream_service_time")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
# the values around the request id, which is the one that can be told
_AROUND_ID = {-2: "x_forwarded_for", -1: "user_agent", 0: "request_id", 1: "authority"}
_BEHIND_ID = ("upstream_host", "upstream_cluster")


def is_line(line: str) -> bool:
    """Tell from its beginning whether *line* is in one of the default text formats."""
    if len(line) > _LONGEST_LINE:
        return False
    return _LEFT.match(line) is not None or _HEAD.match(line) is not None


def parse_line(line: str) -> dict[str, str] | None:
    """
    Return the facts of a line in a default text format under the names of `NAMES`, or `None`.

    What a user appended is looked through for a traceparent or a trace id.
    """
    left = _LEFT.match(line) if len(line) <= _LONGEST_LINE else None
    right = None
    if left is not None:
        right = _RIGHT.fullmatch(line, left.end()) or _LOOSE_RIGHT.fullmatch(line, left.end())
    if left is None or right is None:
        return _parse_changed(line, is_default=left is not None)
    found = {**left.groupdict(), **right.groupdict()}
    if more := found.pop("more", None):
        if header := _TRACEPARENT.search(more):
            found["traceparent"] = header[0]
        elif trace_id := _TRACE_ID.search(more):
            found["trace_id"] = trace_id[0]
    return {name: value for name, value in found.items() if value is not None}


def _parse_changed(line: str, *, is_default: bool) -> dict[str, str] | None:
    """
    Return the facts of a line that begins like the default format and goes on differently.

    Named values are taken by their names. Of the others the flags, the numbers behind them, and
    what stands around the request id can be told by what they look like. A line that *is_default*
    up to there is cut off, unless named values follow.
    """
    head = _HEAD.match(line) if len(line) <= _LONGEST_LINE and line.count('"') % 2 == 0 else None
    if head is None:
        return None
    found = {name: value for name, value in head.groupdict().items() if value}
    values: list[str] = []
    named = 0
    for name, quoted, bare in _VALUE.findall(line[head.end() :]):
        if name:
            named += 1
            found.setdefault(name, quoted or bare)
        else:
            values.append(quoted or bare)
    if values and _FLAGS.fullmatch(values[0]):
        found.setdefault("response_flags", values.pop(0))
    numbers = _first_numbers(values)
    if len(numbers) >= len(_NUMBERS) - 1:
        found.update(zip(_NUMBERS, numbers, strict=False))
    place = next((at for at, value in enumerate(values) if _UUID.fullmatch(value)), None)
    if place is not None:
        behind = {2 + at: name for at, name in enumerate(_BEHIND_ID)}
        for offset, name in (_AROUND_ID | behind).items():
            if 0 <= place + offset < len(values):
                found.setdefault(name, values[place + offset])
    is_whole = named > 0 if is_default else named > 1 or place is not None
    return found if is_whole else None


def _first_numbers(values: Sequence[str]) -> Sequence[str]:
    """Return the first numbers that stand together, what stands before them left out."""
    start = next((at for at, value in enumerate(values) if value.isdecimal()), len(values))
    end = start
    while end < len(values) and end - start < len(_NUMBERS) and _NUMBER.fullmatch(values[end]):
        end += 1
    return values[start:end]
