"""
Access logs of ingress-nginx (and of any nginx that logs the same variables), JSON or text.

Source: kubernetes/ingress-nginx docs, log-format.md and configmap.md; nginx.org,
ngx_http_log_module and ngx_http_upstream_module.
Times: `$time_iso8601` and `$time_local` are the moment of logging, to the second: end stamped, the
start is computed (`$msec`, when logged, is exact to the ms). `$request_time` is the whole in
seconds with ms, from the client's first byte to the log's writing, so it holds the client's
sending and receiving. `$upstream_*` are lists with one value a try, separated by ", " and, after an
internal redirect, " : "; the backend's time is the sum of all tries. `$upstream_status` is nginx's
own 502 or 504 for a try that was not answered, which `$upstream_header_time` shows by "-", and
`$upstream_response_length` by 0 beside the body of nginx's page.
"""

import re
from collections.abc import Sequence
from typing import Any

from collector.decode import combined_log
from collector.decode.aliases import Aliases, flatten
from collector.decode.context import find_logged_ids, read_context
from collector.decode.fields import (
    FieldError,
    NotARequest,
    Row,
    derive_record_id,
    read_int,
    read_ns_from_ms,
    read_ns_from_s,
    read_status,
    read_text,
    read_texts,
    require_timestamp,
    split_times,
    split_tries,
    write_raw,
)
from collector.decode.gateways import Adapter
from collector.decode.outcome import note_grpc, read_cache, settle
from collector.decode.quality import Profile, check
from collector.decode.reading import Reader
from collector.decode.urls import kind_of, split_target
from collector.model import GatewayRecord, Id

PROFILE = Profile(stamped="end")

_INGRESS = re.compile(
    r" (?P<request_length>\d+|-) (?P<request_time>[\d.]+) "
    r"\[(?P<proxy_upstream_name>[^\]]*)\](?: \[(?P<proxy_alternative_upstream_name>[^\]]*)\])? "
    r"(?P<upstream>\S.*)",
    re.ASCII,
)
_UPSTREAM = (
    "upstream_addr",
    "upstream_response_length",
    "upstream_response_time",
    "upstream_status",
    "request_id",
)
_CUT = re.compile(r" (?:\d+|-) [\d.]+ \[")
# What users append to the combined format: `rt=0.012 urt="0.010"`, or the bare times.
_PAIR = re.compile(r'(?:^|\s)([A-Za-z_]\w{0,40})[=:] ?(?:"([^"]*)"|([^\s"]+))', re.ASCII)
_TIMES = re.compile(r'(?:^|\s)"?(\d+\.\d{3})"?(?: +"?(\d+\.\d{3}(?:, \d+\.\d{3})*|-)"?)?(?=\s|$)')
_SEPARATORS = str.maketrans("[]|", "   ")
# The format of an answer that many copied: where a request went and how long that took.
_SENT_TO = re.compile(
    r"\[(?P<time_local>[^\]\"]{8,64})\] (?P<remote_addr>\S{1,255}) - (?P<remote_user>\S{1,255}) - "
    r"(?P<server_name>\S{1,255}) +to: (?P<upstream_addr>[^\s\"]+(?:, [^\s\"]+)*): "
    r"(?P<request>[A-Z]+ \S+ HTTP/[\d.]+)(?: (?P<status>\d{3}))?(?= )",
    re.ASCII,
)
_NAMED = re.compile(r"([a-z_]{4,40}) ([\d.]+(?:, [\d.]+)*|-)(?=\s|$)", re.ASCII)
_ADDRESS = re.compile(r"[\d.]{7,15}:\d|\[[\da-fA-F:]+\]:\d|unix:", re.ASCII)
_TRACEPARENT = re.compile(r"\b00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\b", re.ASCII)
# nginx's and ingress-nginx's own modules of OpenTelemetry have the two as variables.
_TRACE_AND_SPAN = re.compile(r'(?:^|[\s"])([0-9a-f]{32})"? "?([0-9a-f]{16})(?=["\s]|$)', re.ASCII)
# ingress-nginx writes TCP and UDP services by a format of their own.
_STREAM = re.compile(r"\[[^\]]{2,64}\] \[[^\]]{20,40}\] (?:TCP|UDP) \d{3} ", re.ASCII)
_REQUEST_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_LONGEST_LINE = 32_768
# What nginx writes as upstream's status where it is its own answer, and where the client left.
_NGINX_ERRORS = ("502", "504")
_CLIENT_LEFT = "499"
_MARKS = frozenset(("request_time", "upstream_response_time", "upstream_addr"))
_CLIENTS = frozenset(("remote_addr", "remote_address"))
_OWN = ("request_time", "upstream_response_time", "upstream_addr", "upstream_status")
_NESTED = ("httpRequest", "nginx", "http", "request", "upstream", "@fields")
# nginx's variables, and what users call them. All times of the log's writing are one fact; $msec is
# looked for first, for the others stop at the second.
_FACTS = Aliases(
    {
        "msec": (
            *("time_msec", "timestamp_in_ms", "ts_msec", "time_epoch", "ts", "@timestamp", "time"),
            *("time_iso8601", "time_iso", "iso8601", "timestamp", "time_str", "time_local", "date"),
        ),
        "request_time": ("http_request_time", "req_time", "reqtime", "rt", "http.request.time"),
        "request_time_ms": (),
        "upstream_response_time_ms": (),
        "duration": ("latency", "total_time", "response_time", "request_duration"),
        "status": (
            *("status_code", "response_status", "response_code", "http_status", "response.status"),
            *("http.response.status_code", "http.status_code"),
        ),
        "request": ("request_line",),
        "method": (
            *("request_method", "http_request_method", "http_method", "http.method", "verb"),
        ),
        "uri": (
            *("request_uri", "http_request_uri", "request_url", "path", "request_path", "url"),
            *("url.original", "url.path", "http.url"),
        ),
        "query": ("request_query", "args", "query_string", "http_request_args"),
        "host": ("vhost", "http_host", "server_host", "server_name", "request_host", "domain"),
        "scheme": (),
        "protocol": ("request_proto", "server_protocol", "http_request_protocol"),
        "upstream_addr": ("upstream_server", "upstream.ip", "upstream"),
        "upstream_response_time": (
            *("upstream_resp_time", "upsttime", "urt", "ut", "upstream.response.time"),
        ),
        "upstream_status": ("upstream.response.status_code", "upstream_status_code", "us"),
        "upstream_response_length": ("upstream_bytes_received", "upstream.response.length"),
        "upstream_connect_time": ("uct",),
        "upstream_header_time": ("uht",),
        "upstream_cache_status": ("cache_status", "cs"),
        "request_id": ("req_id", "x_request_id", "http_x_request_id", "http.request.id"),
        "client_address": (
            *("remote_addr", "client_ip", "client_addr", "remote_ip", "real_ip", "x_real_ip"),
            "remote_address",
            *("the_real_ip", "proxy_protocol_addr", "source.ip", "client", "network.client.ip"),
        ),
        "user": ("remote_user",),
        "request_length": ("http_request_length", "request_size", "http.request.length"),
        "bytes_sent": (
            *("body_bytes_sent", "response_size", "http_response_size", "bytes", "response_length"),
            *("http.response.body.bytes", "size"),
        ),
        "namespace": (),
        "ingress_name": ("ingress",),
        "service_name": ("service",),
        "proxy_upstream_name": ("upstream_name",),
        "location_path": (),
        "user_agent": ("http_user_agent", "agent", "user_agent.original", "http.useragent"),
        "x_forwarded_for": ("http_x_forwarded_for", "proxy_add_x_forwarded_for", "x-forward-for"),
        "content_type": ("http_content_type",),
        "upgrade": ("http_upgrade",),
        "instance": ("hostname", "pod_name", "nginx_hostname"),
        "grpc_status": ("sent_trailer_grpc_status", "sent_http_grpc_status"),
    },
    prefixes=(
        *("httpRequest.", "nginx.", "nginx.ingress_controller.", "nginx.access.", "request."),
        "@fields.",
    ),
)
_ATTRIBUTES = {
    "nginx.namespace": "namespace",
    "nginx.upstream_name": "proxy_upstream_name",
    "nginx.upstream_connect_time": "upstream_connect_time",
    "nginx.upstream_header_time": "upstream_header_time",
    "nginx.upstream_status": "upstream_status",
    "url.query": "query",
    "user_agent.original": "user_agent",
    "x_forwarded_for": "x_forwarded_for",
}


def _is_row(row: Row) -> bool:
    if not _MARKS.isdisjoint(row) or _FACTS.has(row, *_OWN):
        return True
    if not any(row.get(name).__class__ is dict for name in _NESTED):
        return False
    flat = flatten(row)
    return _FACTS.has(flat, *_OWN) and _FACTS.has(flat, "status")


def _is_line(line: str) -> bool:
    return len(line) <= _LONGEST_LINE and (
        combined_log.is_line(line)
        or _STREAM.match(line) is not None
        or _SENT_TO.match(line) is not None
    )


def _read_line(line: str) -> GatewayRecord:
    row: dict[str, Any]
    head = combined_log.parse_head(line)
    if head is None:
        if len(line) <= _LONGEST_LINE and (sent := _SENT_TO.match(line)):
            row = sent.groupdict() | dict(_NAMED.findall(line, sent.end()))
            return _build(_FACTS.resolve(row), write_raw(line), row, needs_status=False)
        if _STREAM.match(line):
            raise NotARequest("session", "a stream (TCP or UDP) session, not a request")
        raise FieldError("", "expected JSON or a text format that begins like nginx's combined one")
    row, more = head
    ingress = _INGRESS.fullmatch(more)
    if ingress is not None:
        row.update(ingress.groupdict())
        # the lists hold blanks: closing them up leaves one word for each variable
        words = row.pop("upstream").replace(", ", ",").replace(" : ", ",").split(" ")
        if len(words) < len(_UPSTREAM) - 1:
            raise FieldError("upstream_addr", f"expected {len(_UPSTREAM)} upstream values")
        row.update(zip(_UPSTREAM, words, strict=False))
        row.update(_read_more(" ".join(words[len(_UPSTREAM) :])))
    else:
        if "request_id" not in row and _REQUEST_ID.fullmatch(row["remote_user"]):
            # formats that people post have it in the user's place
            row["request_id"], row["remote_user"] = row["remote_user"], "-"
        if _CUT.match(more):
            raise FieldError("upstream_addr", "is missing: the line is cut off")
        row.update(_read_more(more))
    return _build(_FACTS.resolve(row), write_raw(line), row)


def _read_more(text: str) -> dict[str, str]:
    """Return what a user appended to the combined format, as far as it tells its name."""
    found = {name: quoted or bare for name, quoted, bare in _PAIR.findall(text)}
    if _ADDRESS.match(found.get("ua", "")):
        # others call their user agent so
        found.setdefault("upstream_addr", found["ua"])
    if context := _TRACEPARENT.search(text):
        found["traceparent"] = context[0]
    elif ids := _TRACE_AND_SPAN.search(text):
        found["trace_id"], found["span_id"] = ids.groups()
    if not _FACTS.has(found, "request_time") and (
        times := _TIMES.search(text.translate(_SEPARATORS))
    ):
        found["request_time"] = times[1]
        if times[2]:
            found["upstream_response_time"] = times[2]
    return found


def _read(facts: dict[str, Any], row: Row) -> GatewayRecord:
    if dict in map(type, row.values()):
        row = flatten(row)
        facts = _FACTS.resolve(row)
    return _build(facts, write_raw(row), row)


_read_row = _FACTS.reader(_read)


def _build(
    row: dict[str, Any], raw: str, original: Row, *, needs_status: bool = True
) -> GatewayRecord:
    signs = [name for name in _OWN if name in row]
    # others log a whole URL as their upstream's address
    is_url = signs == ["upstream_addr"] and "://" in str(row["upstream_addr"])
    if is_url or (not signs and _CLIENTS.isdisjoint(original)):
        raise FieldError("request_time", "is missing, and nothing else marks this as nginx's")
    duration_ns = _seconds(row, "request_time")
    if duration_ns is None:
        duration_ns = read_ns_from_ms(row, "request_time_ms")
    if duration_ns is None:
        duration_ns = _seconds(row, "duration")
    status = read_status(row, "status")
    if status is None and needs_status:
        raise FieldError("status", "is missing")
    end = require_timestamp(row, "msec")
    if request := read_text(row, "request"):
        method, target_text, protocol = combined_log.split_request(request)
        if target_text or protocol:
            row = {"method": method, "uri": target_text, "protocol": protocol, **row}
    request_id = read_text(row, "request_id")
    target = split_target(read_text(row, "uri"))
    record = GatewayRecord(
        gateway="ingress-nginx",
        record_id=request_id or derive_record_id(raw),
        start_ns=end.ns - (duration_ns or 0),
        instance=read_text(row, "instance"),
        duration_ns=duration_ns,
        kind=kind_of(read_text(row, "content_type"), _upgrade(row, status)),
        method=read_text(row, "method"),
        scheme=read_text(row, "scheme") or target.scheme,
        host=read_text(row, "host") or target.host,
        path=target.path,
        protocol=read_text(row, "protocol"),
        status=status,
        api=read_text(row, "ingress_name", "service_name", "proxy_upstream_name"),
        operation=read_text(row, "location_path"),
        user=read_text(row, "user"),
        client_address=read_text(row, "client_address"),
        request_bytes=read_int(row, "request_length"),
        response_bytes=read_int(row, "bytes_sent"),
        attributes=_attributes(row, target.query),
        raw=raw,
    )
    _read_upstream(record, row)
    _read_ids(record, row, original, request_id)
    note_grpc(record, read_text(row, "grpc_status"))
    settle(record)
    record.quality = check(record, PROFILE, start_resolution_ns=end.resolution_ns)
    return record


def _read_upstream(record: GatewayRecord, row: Row) -> None:
    addresses = _values(row, "upstream_addr")
    times = split_times(read_text(row, "upstream_response_time"))
    statuses = _values(row, "upstream_status")
    record.attempts = len(addresses or times) or None
    if record.attempts is None and "upstream_addr" in row:
        # the column is there and empty: nginx answered by itself
        record.attempts = 0
    record.backend_ns = _seconds(row, "upstream_response_time")
    if record.backend_ns is None:
        record.backend_ns = read_ns_from_ms(row, "upstream_response_time_ms")
    last_status = statuses[-1] if statuses else ""
    if not _has_no_answer(row, last_status, record.response_bytes):
        record.backend_status = read_status({"upstream_status": last_status}, "upstream_status")
    record.backend_host = addresses[-1] if addresses and addresses[-1] != "-" else ""
    record.backend_id = read_text(row, "proxy_upstream_name", "service_name")
    record.cache = read_cache(read_text(row, "upstream_cache_status"))
    if record.status == 499:
        record.error_source = "client"
        record.error_reason = "client closed the connection first"
    elif record.status is not None and record.status >= 400:
        is_backend = record.backend_status == record.status
        record.error_source = "backend" if is_backend else "gateway"


def _has_no_answer(row: Row, status: str, body_bytes: int | None) -> bool:
    """
    Tell whether the last try brought no header: its status is then nginx's own.

    The default format has no time of it. There nothing came from upstream, and nginx sent a page of
    its own all the same; a 499 is nobody else's.
    """
    heads = row.get("upstream_header_time")
    if isinstance(heads, str):
        return split_tries(heads)[-1:] == ["-"]
    if status not in _NGINX_ERRORS:
        return status == _CLIENT_LEFT
    return _values(row, "upstream_response_length")[-1:] == ["0"] and body_bytes != 0


def _read_ids(record: GatewayRecord, row: Row, original: Row, request_id: str) -> None:
    context = read_context(original)
    record.trace_id = context.trace_id
    record.trace_id_source = context.source
    record.outgoing_span_id = context.outgoing_span_id
    record.parent_span_id = context.parent_span_id
    record.is_sampled = context.is_sampled
    # $req_id is the client's X-Request-ID or 32 random hex digits: never a trace id
    ids = (Id("x_request_id", request_id),) if request_id else ()
    record.ids = (*ids, *find_logged_ids(original))


def _seconds(row: Row, name: str) -> int | None:
    """Return a time in seconds, and the sum where there is one for each try."""
    value = row.get(name)
    if value.__class__ is not str:
        return read_ns_from_s(row, name)
    tries_ns = [read_ns_from_s({name: each}, name) for each in split_times(value)]
    known = [each for each in tries_ns if each is not None]
    return sum(known) if known else None


def _values(row: Row, name: str) -> Sequence[str]:
    return split_tries(read_text(row, name))


def _upgrade(row: Row, status: int | None) -> str:
    return read_text(row, "upgrade") or ("websocket" if status == 101 else "")


def _attributes(row: Row, query: str) -> dict[str, str]:
    attributes = read_texts(row, _ATTRIBUTES)
    return attributes | {"url.query": query} if query else attributes


ADAPTER = Adapter(
    name="ingress-nginx",
    product="NGINX Ingress (ingress-nginx)",
    reader=Reader(is_row=_is_row, read_row=_read_row, is_line=_is_line, read_line=_read_line),
    source="https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/log-format/",
)
