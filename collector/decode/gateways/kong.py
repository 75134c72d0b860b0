"""
Kong log entries, as http-log, file-log, tcp-log, udp-log and syslog write them, and the lines of
the nginx inside, which a container's output holds as well and which have no times but their own.
Also the same entries as attributes of OTLP log records, as the plugin `opentelemetry` sends them to
its `access_logs_endpoint`.

Source: Kong 3.x log serializer (kong/pdk/log.lua); developer.konghq.com, plugins, log format;
kong/templates/nginx_kong.lua (`log_format kong_log_format`); developer.konghq.com, how-to, collect
metrics, logs and traces with the OpenTelemetry plugin (access log of 3.14).
Times: whole milliseconds. `started_at` is the start. `latencies.request` is the whole, from the
first byte read to the last byte sent, so it holds the client's sending and receiving.
`latencies.kong` is Kong's own time up to proxying, with all failed tries in it; `latencies.proxy`
is from the start of sending upstream to the response headers, with the upload of the request body
in it, and -1 when no response came; `latencies.receive` is reading the upstream's body. Waiting in
tries that failed is the backend's: it is moved there, from `tries[].balancer_start` on.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from collector.decode import combined_log
from collector.decode.context import (
    LoggedContext,
    context_from_headers,
    distinct,
    find_ids,
    read_context,
)
from collector.decode.fields import (
    FieldError,
    NotARequest,
    Row,
    derive_record_id,
    read_headers,
    read_int,
    read_list,
    read_ns_from_ms,
    read_object,
    read_status,
    read_text,
    read_timestamp,
    require_timestamp,
    write_raw,
)
from collector.decode.gateways import Adapter
from collector.decode.outcome import note_grpc, read_cache, settle
from collector.decode.quality import Profile, check
from collector.decode.reading import Reader
from collector.decode.urls import is_event_stream, kind_of, split_target
from collector.identity.ids import hex_from_decimal, normalise_trace_id
from collector.model import GatewayRecord, Id

PROFILE = Profile(stamped="start")

_PROFILE_OF_LINES = replace(PROFILE, stamped="end")
NGINX_LOG = "nginx-log"
ACCESS_LOG_MARK = "kong.request.id"
_REQUEST_ID = re.compile(r'(?: kong_request_id: "([0-9a-f]{8,64}|-)")?\s*', re.ASCII)
# `session` stands for `request` in the entries of streams
_MARKS = frozenset(("latencies", "upstream_uri", "session", "started_at"))
_NO_CONTEXT = LoggedContext("")
# Formats of the `trace_id` object, the unambiguous ones first. `datadog` is decimal, 64 bits.
_TRACE_FORMATS = ("w3c", "b3", "b3-single", "jaeger", "ot", "aws", "gcp")


def _is_row(row: Row) -> bool:
    return not _MARKS.isdisjoint(row)


def _read(row: Row) -> GatewayRecord:
    request = read_object(row, "request")
    latencies = read_object(row, "latencies")
    if not request or not latencies:
        if "session" in row:
            raise NotARequest("session", "a stream (L4) session, not a request")
        raise FieldError("request" if not request else "latencies", "is missing")
    start = require_timestamp(row, "started_at")
    response = read_object(row, "response")
    headers = read_headers(request, "headers", within="request.")
    # of these only three are looked at, so their values are not all read
    logged = response.get("headers")
    if logged.__class__ is not dict:
        logged = read_headers(response, "headers", within="response.")
    answer_headers = {name.lower(): value for name, value in logged.items()}
    raw = write_raw(row)
    target = split_target(read_text(request, "url", "uri", within="request."))
    content_type = headers.get("content-type", "")
    record = GatewayRecord(
        gateway="kong",
        record_id=_record_id(row, request, answer_headers) or derive_record_id(raw),
        start_ns=start.ns,
        kind=kind_of(content_type, headers.get("upgrade", "")),
        method=read_text(request, "method", within="request."),
        scheme=target.scheme,
        host=headers.get("host", "") or target.host,
        path=target.path,
        status=read_status(response, "status", within="response."),
        consumer=_name(row, "consumer", "username", "custom_id"),
        user=_name(row, "authenticated_entity", "id"),
        client_address=read_text(row, "client_ip"),
        request_bytes=read_int(request, "size", within="request."),
        response_bytes=read_int(response, "size", within="response."),
        attributes=_attributes(row, headers, answer_headers, target.query),
        raw=raw,
    )
    _read_route(record, row)
    _read_times(record, latencies, read_list(row, "tries"))
    _read_upstream(record, row)
    _read_ids(record, row, request, headers)
    note_grpc(
        record, _header(answer_headers, "grpc-status"), _header(answer_headers, "grpc-message")
    )
    if record.backend_ns is None and not record.attempts:
        # else the header is the backend's, of a cache of its own
        record.cache = read_cache(_header(answer_headers, "x-cache-status"))
    _read_error(record, row)
    is_streaming = is_event_stream(_header(answer_headers, "content-type"))
    record.quality = check(record, PROFILE, is_streaming=is_streaming)
    return record


def read_attributes(attributes: Row) -> GatewayRecord | None:
    """
    Read the attributes of an OTLP log record, `None` when they are no entry of Kong's access log.

    Runtime logs carry `request.id` only.

    Raises:
        FieldError: a field is missing, or not what it should be.
    """
    if ACCESS_LOG_MARK not in attributes or "kong.latency.total" not in attributes:
        return None
    entry: dict[str, Any] = {
        "started_at": attributes.get("kong.request.started_at"),
        "client_ip": attributes.get("client.address"),
        "upstream_uri": attributes.get("kong.upstream.uri"),
        "upstream_status": attributes.get("kong.upstream.status_code"),
        "source": attributes.get("kong.response.source"),
        "workspace_name": attributes.get("kong.workspace.name"),
        "request": {
            "id": attributes[ACCESS_LOG_MARK],
            "method": attributes.get("http.request.method"),
            "url": attributes.get("url.full"),
            "uri": attributes.get("url.path"),
            "size": attributes.get("http.request.size"),
            "headers": _below(attributes, "http.request.header."),
        },
        "response": {
            "status": attributes.get("http.response.status_code"),
            "size": attributes.get("http.response.size"),
            "headers": _below(attributes, "http.response.header."),
        },
        "latencies": {
            "request": attributes["kong.latency.total"],
            "kong": attributes.get("kong.latency.internal"),
            "proxy": attributes.get("kong.latency.upstream"),
            "receive": attributes.get("kong.latency.receive"),
        },
        "service": _below(attributes, "kong.service."),
        "route": _below(attributes, "kong.route."),
        "tries": _logged_tries(_below(attributes, "kong.upstream.try.")),
    }
    consumer = _below(attributes, "kong.auth.consumer.")
    if consumer:
        entry["consumer"] = {"username": consumer.get("name"), **consumer}
    if entity := _below(attributes, "kong.auth.authenticated_entity."):
        entry["authenticated_entity"] = entity
    if path := entry["route"].get("paths.1"):
        entry["route"]["paths"] = [path]
    if not entry["tries"]:
        del entry["tries"]  # whether it tried is not told then
    return _read(entry)


def _below(attributes: Row, prefix: str) -> dict[str, Any]:
    return {name[len(prefix) :]: v for name, v in attributes.items() if name.startswith(prefix)}


def _logged_tries(attributes: Row) -> list[dict[str, Any]]:
    """Return the tries in their order: `1.ip` and so on."""
    tries: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        number, _, fact = name.partition(".")
        if number.isascii() and number.isdecimal() and len(number) < 4:
            tries.setdefault(int(number), {})[fact] = value
    return [tries[number] for number in sorted(tries)]


def _record_id(row: Row, request: Row, answer_headers: Row) -> str:
    return (
        read_text(request, "id", within="request.")
        or _header(answer_headers, "x-kong-request-id")
        or read_text(row, "correlation_id")
    )


def _header(headers: Row, name: str) -> str:
    """Return a header, its name in lower case; plugins write numbers and lists as such."""
    value = headers.get(name)
    if isinstance(value, list):
        value = value[0] if value else ""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _read_route(record: GatewayRecord, row: Row) -> None:
    route = read_object(row, "route")
    # `api` was both, before 0.13
    service = read_object(row, "service", "api")
    paths = read_list(route, "paths", within="route.")
    record.operation = read_text(route, "name", "id", within="route.")
    record.route = str(paths[0]) if paths else ""
    record.api = read_text(service, "name", "id", within="service.")
    record.backend_id = record.api
    url = split_target(read_text(service, "upstream_url", within="api."))
    record.backend_host = read_text(service, "host", within="service.") or url.host


def _read_times(record: GatewayRecord, latencies: Row, tries: Sequence[Any]) -> None:
    within = "latencies."
    duration_ns = read_ns_from_ms(latencies, "request", within=within)
    if duration_ns is None:
        raise FieldError("latencies.request", "is missing")
    gateway_ns = read_ns_from_ms(latencies, "kong", within=within)
    proxy_ns = read_ns_from_ms(latencies, "proxy", within=within)
    record.duration_ns = duration_ns
    record.gateway_ns = gateway_ns
    if proxy_ns is not None:
        record.backend_ns = proxy_ns + (read_ns_from_ms(latencies, "receive", within=within) or 0)
    if gateway_ns is not None:
        client_ns = duration_ns - gateway_ns - (record.backend_ns or 0)
        record.client_ns = client_ns if client_ns >= 0 else None
        _move_waiting(record, gateway_ns, tries)


def _move_waiting(record: GatewayRecord, gateway_ns: int, tries: Sequence[Any]) -> None:
    """Give the backend the time in which Kong waited for tries that came to nothing."""
    starts = [read_timestamp(each, "balancer_start") for each in tries if isinstance(each, dict)]
    moments = sorted(moment.ns for moment in starts if moment is not None)
    if not moments:
        if tries and record.backend_ns is None:
            # It asked the backend, and since when it waited is not told.
            record.gateway_ns = record.client_ns = None
        return
    if record.backend_ns is None:
        # Nobody answered: from the first try to the end it waited, and `latencies.kong` holds all
        # of that or nothing.
        assert record.duration_ns is not None
        before_ns = min(max(moments[0] - record.start_ns, 0), record.duration_ns)
        record.gateway_ns = min(gateway_ns, before_ns)
        record.backend_ns = record.duration_ns - before_ns
        record.client_ns = before_ns - record.gateway_ns
        return
    # the last try is in `latencies.proxy`
    waited_ns = min(max(moments[-1] - moments[0], 0), gateway_ns)
    record.gateway_ns = gateway_ns - waited_ns
    record.backend_ns += waited_ns


def _read_upstream(record: GatewayRecord, row: Row) -> None:
    tries = read_list(row, "tries")
    if "tries" in row:
        # an answered request without a try went past the balancer
        record.attempts = len(tries) or (0 if record.backend_ns is None else None)
    if tries:
        last = tries[-1]
        if isinstance(last, dict) and not record.backend_host:
            record.backend_host = read_text(last, "ip", within="tries.")
    if record.backend_ns is None:
        return
    record.backend_method = record.method
    record.backend_path = read_text(row, "upstream_uri").partition("?")[0]
    if read_ns_from_ms(read_object(row, "latencies"), "proxy", within="latencies.") is None:
        # nobody answered: what nginx writes here stands for its own failure to reach the backend
        return
    # one status a try, separated by commas: the last one is what the client's answer is made of
    last_status = read_text(row, "upstream_status").rpartition(",")[2].strip()
    record.backend_status = read_status({"upstream_status": last_status}, "upstream_status")


def _read_ids(record: GatewayRecord, row: Row, request: Row, headers: dict[str, str]) -> None:
    context = _context(row, headers)
    record.trace_id = context.trace_id
    record.trace_id_source = context.source
    record.outgoing_span_id = context.outgoing_span_id
    record.is_sampled = context.is_sampled
    ids = []
    if request_id := read_text(request, "id", within="request."):
        ids.append(Id("kong_request_id", request_id))
    if correlation_id := read_text(row, "correlation_id"):
        ids.append(Id("correlation_id", correlation_id))
    record.ids = distinct((*ids, *find_ids(headers)))


def _context(row: Row, headers: dict[str, str]) -> LoggedContext:
    header = context_from_headers(headers, "request.headers.")
    if "trace_id" not in row:
        # fields that a plugin was told to add
        return header if header.trace_id else read_context(row)
    written = row["trace_id"]
    # a field of the user's own may have this name, as text
    is_own = isinstance(written, str) and written[:1] != "{"
    formats = {"w3c": written} if is_own else read_object(row, "trace_id")
    for name in _TRACE_FORMATS:
        value = formats.get(name)
        if isinstance(value, str) and (trace_id := normalise_trace_id(value)):
            # the header is what Kong sent upstream if its plugin wrote it before the log was made
            same = header if header.trace_id == trace_id else _NO_CONTEXT
            return same._replace(trace_id=trace_id, source=f"trace_id.{name}")
    if header.trace_id:
        return header
    datadog = hex_from_decimal(read_text(formats, "datadog", within="trace_id."))
    return LoggedContext(normalise_trace_id(datadog), source="trace_id.datadog" if datadog else "")


def _read_error(record: GatewayRecord, row: Row) -> None:
    status = record.status
    source = read_text(row, "source")
    if status is not None and status >= 400:
        record.error_source = {"kong": "gateway", "upstream": "backend"}.get(source, source)
    settle(record, is_failed=status is None)
    if record.is_error and source == "upstream":
        # also a gRPC failure in an answer of 200
        record.error_source = "backend"


def _name(row: Row, entity: str, *names: str) -> str:
    if entity not in row:
        return ""
    return read_text(read_object(row, entity), *names, within=f"{entity}.")


def _attributes(
    row: Row, headers: dict[str, str], answer_headers: Row, query: str
) -> dict[str, str]:
    attributes = {
        "kong.source": read_text(row, "source"),
        "kong.workspace": read_text(row, "workspace_name", "workspace"),
        "kong.upstream_status": read_text(row, "upstream_status"),
        "url.query": query,
        "user_agent.original": headers.get("user-agent", ""),
        "cache.status": _header(answer_headers, "x-cache-status"),
    }
    if "ai" in row:
        attributes.update(_llm_usage(row))
    if "traceparent" in headers:
        attributes["reading.traceparent"] = "as logged: Kong's own if it traces, else the client's"
    return {key: value for key, value in attributes.items() if value}


# What the AI plugins of 3.6 to 3.12 call it: singular and plural.
_LLM_NAMES = (
    ("gen_ai.response.model", "meta", ("response_model",)),
    ("gen_ai.request.model", "meta", ("request_model",)),
    ("gen_ai.provider.name", "meta", ("provider_name",)),
    ("gen_ai.usage.input_tokens", "usage", ("prompt_tokens", "prompt_token", "input_tokens")),
    (
        "gen_ai.usage.output_tokens",
        "usage",
        ("completion_tokens", "completion_token", "output_tokens"),
    ),
    ("gen_ai.usage.total_tokens", "usage", ("total_tokens", "total_token")),
)


def _llm_usage(row: Row) -> dict[str, str]:
    """Return model and tokens that the AI plugins log, one object or a list of them a plugin."""
    found: dict[str, str] = {}
    ai = read_object(row, "ai")
    for plugin in (ai, *ai.values()):
        for entry in plugin if isinstance(plugin, list) else (plugin,):
            if not isinstance(entry, dict):
                continue
            for key, part, names in _LLM_NAMES:
                inner = entry.get(part)
                if isinstance(inner, dict) and (value := read_text(inner, *names, within="ai.")):
                    found.setdefault(key, value)
    return found


def _is_line(line: str) -> bool:
    return _parse_line(line) is not None


def _parse_line(line: str) -> tuple[dict[str, str], str] | None:
    """Return the variables of a line and the request's id, which versions before 3.5 lack."""
    head = combined_log.parse_head(line)
    if head is None:
        return None
    row, more = head
    found = _REQUEST_ID.fullmatch(more)
    return (row, (found[1] or "").strip("-")) if found else None


def _read_line(line: str) -> GatewayRecord:
    parsed = _parse_line(line)
    if parsed is None:
        raise FieldError("", "expected a JSON object, or a line of Kong's nginx")
    row, request_id = parsed
    moment = require_timestamp(row, "time_local")
    method, target_text, protocol = combined_log.split_request(row["request"])
    target = split_target(target_text)
    raw = write_raw(line)
    record = GatewayRecord(
        gateway="kong",
        record_id=request_id or derive_record_id(raw),
        # the moment of writing: how long it took is not told
        start_ns=moment.ns,
        source=NGINX_LOG,
        ids=(Id("kong_request_id", request_id),) if request_id else (),
        kind="websocket" if row["status"] == "101" else "http",
        method=method,
        path=target.path,
        protocol=protocol,
        status=read_status(row, "status"),
        user=read_text(row, "remote_user"),
        client_address=read_text(row, "remote_addr"),
        response_bytes=read_int(row, "bytes_sent"),
        attributes={
            name: value
            for name, value in (
                ("url.query", target.query),
                ("user_agent.original", read_text(row, "http_user_agent")),
            )
            if value
        },
        raw=raw,
    )
    settle(record)
    record.quality = check(record, _PROFILE_OF_LINES, start_resolution_ns=moment.resolution_ns)
    return record


def _prefer_entries(records: list[GatewayRecord]) -> Sequence[GatewayRecord]:
    """
    Leave out the lines whose request has an entry in the same body.

    A line without an id is of a Kong before 3.5: beside entries it tells of one of them.
    """
    told = {record.record_id for record in records if record.source != NGINX_LOG}
    return [
        record
        for record in records
        if record.source != NGINX_LOG
        or not (told and record.record_id.startswith("~") or record.record_id in told)
    ]


ADAPTER = Adapter(
    name="kong",
    product="Kong Gateway",
    reader=Reader(
        is_row=_is_row,
        read_row=_read,
        is_line=_is_line,
        read_line=_read_line,
        finish=_prefer_entries,
        is_json=True,
    ),
    source="https://developer.konghq.com/gateway/logs/ (log format), Kong 3.x kong/pdk/log.lua",
)
