"""
Access logs of ingress-nginx (and of any nginx that logs the same variables), JSON or text.

Source: kubernetes/ingress-nginx docs, log-format.md and configmap.md; nginx.org,
ngx_http_log_module and ngx_http_upstream_module.
Times: `$time_iso8601` and `$time_local` are the moment of logging, to the second: end stamped, the
start is computed (`$msec`, when logged, is exact to the ms). `$request_time` is the whole in
seconds with ms, from the client's first byte to the log's writing, so it holds the client's
sending and receiving. `$upstream_*` are lists with one value a try, separated by ", " and, after an
internal redirect, " : "; the backend's time is the sum of all tries. `$upstream_status` is nginx's
own 502 or 504 for a try that was not answered, which `$upstream_header_time` shows by "-".
"""

import re
from collections.abc import Sequence

from collector.decode.context import find_ids, read_context
from collector.decode.fields import (
    FieldError,
    Row,
    derive_record_id,
    read_int,
    read_ns_from_s,
    read_status,
    read_text,
    read_timestamp,
    require_timestamp,
    write_raw,
)
from collector.decode.gateways import Adapter
from collector.decode.outcome import note_grpc, settle
from collector.decode.quality import Profile, check
from collector.decode.reading import Reader
from collector.decode.urls import kind_of, split_target
from collector.model import GatewayRecord, Id

PROFILE = Profile(
    stamped="end",
    is_client_in_total=True,
    are_tries_included=True,
    is_body_upload_included=True,
)

_TEXT = re.compile(
    r'(?P<remote_addr>\S+) - (?P<remote_user>[^"\[]*) \[(?P<time_local>[^\]"]+)\] '
    r'"(?P<request>[^"]*)" (?P<status>\d{3}) (?P<bytes_sent>\d+|-) '
    r'"(?P<http_referer>[^"]*)" "(?P<http_user_agent>[^"]*)" '
    r"(?P<request_length>\d+|-) (?P<request_time>[\d.]+) "
    r"\[(?P<proxy_upstream_name>[^\]]*)\] \[(?P<proxy_alternative_upstream_name>[^\]]*)\] "
    r"(?P<upstream>.+)",
    re.ASCII,
)
_UPSTREAM = (
    "upstream_addr",
    "upstream_response_length",
    "upstream_response_time",
    "upstream_status",
    "req_id",
)
_TIME = "upstream_response_time"
_LIST = re.compile(r", | : |,")
_LONGEST_LINE = 32_768
_MARKS = frozenset(("request_time", "requestTime", "upstream_response_time", "upstream_addr"))
_REQUEST_TIME = ("request_time", "requestTime")
_GRPC_STATUS = ("sent_trailer_grpc_status", "sent_http_grpc_status", "grpc_status")
_ATTRIBUTES = {
    "nginx.namespace": ("namespace",),
    "nginx.upstream_name": ("proxy_upstream_name",),
    "nginx.upstream_connect_time": ("upstream_connect_time",),
    "nginx.upstream_header_time": ("upstream_header_time",),
    "url.query": ("request_query", "args", "query_string"),
    "user_agent.original": ("http_user_agent", "user_agent"),
    "x_forwarded_for": ("x_forwarded_for", "http_x_forwarded_for", "proxy_add_x_forwarded_for"),
}


def _is_row(row: Row) -> bool:
    return not _MARKS.isdisjoint(row)


def _is_line(line: str) -> bool:
    return len(line) <= _LONGEST_LINE and _TEXT.fullmatch(line) is not None


def _read_line(line: str) -> GatewayRecord:
    match = _TEXT.fullmatch(line) if len(line) <= _LONGEST_LINE else None
    if match is None:
        raise FieldError("", "expected JSON or ingress-nginx's default text format")
    row: dict[str, str] = match.groupdict()
    # the lists hold blanks: closing them up leaves one word for each variable
    words = row.pop("upstream").replace(", ", ",").replace(" : ", ",").split(" ")
    if len(words) != len(_UPSTREAM):
        raise FieldError("upstream_addr", f"expected {len(_UPSTREAM)} upstream values")
    row.update(zip(_UPSTREAM, words, strict=True))
    method, _, rest = row["request"].partition(" ")
    target, _, protocol = rest.rpartition(" ")
    row.update(method=method if rest else "", request_uri=target, request_proto=protocol)
    return _build(row, write_raw(line))


def _read(row: Row) -> GatewayRecord:
    return _build(row, write_raw(row))


def _build(row: Row, raw: str) -> GatewayRecord:
    duration_ns = read_ns_from_s(row, *_REQUEST_TIME)
    if duration_ns is None:
        raise FieldError("request_time", "is missing")
    status = read_status(row, "status")
    if status is None:
        raise FieldError("status", "is missing")
    # $msec first: the other notations stop at the second
    end = read_timestamp(row, "msec") or require_timestamp(
        row, "time", "time_iso8601", "time_local"
    )
    request_id = read_text(row, "req_id", "request_id", "x_request_id", "http_x_request_id")
    target = split_target(read_text(row, "request_uri", "path", "uri"))
    record = GatewayRecord(
        gateway="ingress-nginx",
        record_id=request_id or derive_record_id(raw),
        start_ns=end.ns - duration_ns,
        instance=read_text(row, "hostname", "pod_name"),
        duration_ns=duration_ns,
        kind=kind_of(read_text(row, "content_type", "http_content_type"), _upgrade(row)),
        method=read_text(row, "method", "request_method"),
        scheme=read_text(row, "scheme"),
        host=read_text(row, "vhost", "host", "http_host"),
        path=target.path,
        protocol=read_text(row, "request_proto", "server_protocol", "protocol"),
        status=status,
        api=read_text(row, "ingress_name", "service_name", "proxy_upstream_name"),
        operation=read_text(row, "location_path"),
        user=read_text(row, "remote_user"),
        client_address=read_text(row, "remote_addr", "client_ip"),
        request_bytes=read_int(row, "request_length"),
        response_bytes=read_int(row, "bytes_sent", "body_bytes_sent"),
        attributes=_attributes(row, target.query),
        raw=raw,
    )
    _read_upstream(record, row)
    _read_ids(record, row, request_id)
    note_grpc(record, read_text(row, *_GRPC_STATUS))
    settle(record)
    record.quality = check(record, PROFILE, start_resolution_ns=end.resolution_ns)
    return record


def _read_upstream(record: GatewayRecord, row: Row) -> None:
    addresses = _values(row, "upstream_addr")
    times = _values(row, _TIME)
    statuses = _values(row, "upstream_status")
    record.attempts = len(addresses or times) or None
    if record.attempts is None and "upstream_addr" in row:
        # the column is there and empty: nginx answered by itself
        record.attempts = 0
    tries_ns = [read_ns_from_s({_TIME: each}, _TIME) for each in times]
    if any(each is not None for each in tries_ns):
        record.backend_ns = sum(each for each in tries_ns if each is not None)
    last_status = statuses[-1] if statuses else ""
    if not _has_no_answer(row):
        record.backend_status = read_status({"upstream_status": last_status}, "upstream_status")
    record.backend_host = addresses[-1] if addresses and addresses[-1] != "-" else ""
    record.backend_id = read_text(row, "proxy_upstream_name", "service_name")
    cache = read_text(row, "upstream_cache_status").lower()
    record.cache = {"hit": "hit", "stale": "hit", "miss": "miss", "expired": "miss"}.get(cache, "")
    if record.status == 499:
        record.error_source = "client"
        record.error_reason = "client closed the connection first"
    elif record.status is not None and record.status >= 400:
        is_backend = record.backend_status == record.status
        record.error_source = "backend" if is_backend else "gateway"


def _has_no_answer(row: Row) -> bool:
    """Tell whether the last try brought no header: its status is then nginx's own."""
    heads = row.get("upstream_header_time")
    return isinstance(heads, str) and _LIST.split(heads)[-1].strip() == "-"


def _read_ids(record: GatewayRecord, row: Row, request_id: str) -> None:
    context = read_context(row)
    record.trace_id = context.trace_id
    record.trace_id_source = context.source
    record.outgoing_span_id = context.outgoing_span_id
    record.parent_span_id = context.parent_span_id
    record.is_sampled = context.is_sampled
    # $req_id is the client's X-Request-ID or 32 random hex digits: never a trace id
    ids = (Id("x_request_id", request_id),) if request_id else ()
    correlation_id = read_text(row, "http_x_correlation_id", "correlation_id")
    record.ids = (*ids, *find_ids({"x-correlation-id": correlation_id} if correlation_id else {}))


def _values(row: Row, name: str) -> Sequence[str]:
    text = read_text(row, name)
    return [part.strip() for part in _LIST.split(text) if part.strip()] if text else ()


def _upgrade(row: Row) -> str:
    return read_text(row, "http_upgrade") or ("websocket" if row.get("status") == 101 else "")


def _attributes(row: Row, query: str) -> dict[str, str]:
    attributes = {"url.query": query} if query else {}
    for name, keys in _ATTRIBUTES.items():
        if value := read_text(row, *keys):
            attributes.setdefault(name, value)
    if record_tries := read_text(row, "upstream_status"):
        attributes["nginx.upstream_status"] = record_tries
    return attributes


ADAPTER = Adapter(
    name="ingress-nginx",
    product="NGINX Ingress (ingress-nginx)",
    reader=Reader(is_row=_is_row, read_row=_read, is_line=_is_line, read_line=_read_line),
    source="https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/log-format/",
)
