"""
Azure API Management, by every path its records leave it.

Read: rows of `ApiManagementGatewayLogs`, legacy `AzureDiagnostics` rows, the `{"records": […]}`
envelope of Event Hub and storage (also of 2017, with properties as JSON text), the self-hosted
gateway's logs (JSON, and text on stdout or for syslog), what a `log-to-eventhub` or
`send-one-way-request` policy writes in the shapes of Microsoft's articles and with names like them,
and the WebSocket, LLM and MCP logs, which add to the request with the same correlation id.

Times: the time is the start of the request; parts are whole ms. TotalTime holds client, cache and
backend time; BackendTime holds connecting, sending, receiving, and every attempt.
CorrelationId is no trace id: that comes from logged headers only.

Source: azure-monitor-docs reference/tables/apimanagementgatewaylogs.md; azure-docs api-management
gateway-log-schema-reference.md, api-management-howto-use-azure-monitor.md,
log-to-eventhub-policy.md, self-hosted-gateway-settings-reference.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from collector.attributes import HANDLED_ERRORS
from collector.decode.azure import policy_events, self_hosted
from collector.decode.azure.rows import (
    FlatRow,
    has_column,
    raw_text,
    read_duration_ns,
    read_named,
    rename,
    require_start,
    resource_name,
)
from collector.decode.azure.side_logs import (
    merge_side_logs,
    read_llm_usage,
    read_mcp_call,
    read_websocket_event,
)
from collector.decode.context import LoggedContext, context_from_headers, distinct, find_ids
from collector.decode.fields import (
    FieldError,
    NotARequest,
    Row,
    is_missing,
    read_bool,
    read_headers,
    read_int,
    read_list,
    read_text,
    read_texts,
    require_text,
    write_raw,
)
from collector.decode.gateways import Adapter
from collector.decode.outcome import note_grpc, settle
from collector.decode.quality import STREAMING, Profile, check
from collector.decode.reading import Reader
from collector.decode.urls import is_event_stream, kind_of, split_target
from collector.identity.ids import REQUEST_ID_HEADERS
from collector.model import GatewayRecord, Id

GATEWAY = "azure-apim"
PROFILE = Profile(stamped="start")
_GATEWAY_LOGS = frozenset({"", "gatewaylogs"})
# The event is written before the response is sent, so its time ends there.
POLICY_PROFILE = Profile(stamped="start", is_client_in_total=False)
# What no policy writes: without one of these a row is a policy's, or an event.
_GATEWAY_SIGNS = frozenset(
    (
        *(
            "isrequestsuccess",
            "totaltime",
            "durationms",
            "timegenerated",
            "backendtime",
            "category",
        ),
        *("apimsubscriptionid", "calleripaddress", "properties"),
    )
)
_MARKS = frozenset(("correlationid", "category", "requestid", "isrequestsuccess", "metricname"))
_TICK_NS = 100
# Any moment: the record's own is taken back, and becomes that of its arrival.
_UNKNOWN_TIME = "2000-01-01T00:00:00Z"
_ERROR_COLUMNS = (
    "lasterrorreason",
    "lasterrorsource",
    "lasterrorscope",
    "lasterrorsection",
    "lasterrormessage",
    "lasterrorelapsed",
    "errors",
)
_ERROR_FIELDS = ("reason", "message", "source", "scope", "section")
# What a row has of the backend, if it was called; a zero stands for nothing.
_BACKEND_COLUMNS = ("backendtime", "servicetime", "backendresponsecode", "backendurl")
_COLUMNS = {
    "method": "method",
    "protocol": "clientprotocol",
    "api": "apiid",
    "api_revision": "apirevision",
    "operation": "operationid",
    "product": "productid",
    "consumer": "apimsubscriptionid",
    "user": "userid",
    "client_address": "calleripaddress",
    "backend_method": "backendmethod",
    "backend_id": "backendid",
    "cache": "cache",
}
_TRANSPORT_ERROR = "apim.transport_error_code"
_ATTRIBUTES = {
    "apim.workspace": "workspaceid",
    "tls.protocol.version": "clienttlsversion",
    "apim.backend_protocol": "backendprotocol",
    "apim.last_error_path": "lasterrorpath",
    _TRANSPORT_ERROR: "lasterrortransporterrorcode",
    "apim.deployment_version": "deploymentversion",
    "apim.gateway_id": "gatewayid",
}
# What policies of AI gateways write; the gateway's own log of models is read by `side_logs`.
_USAGE = {
    "gen_ai.request.model": "modelname",
    "gen_ai.usage.input_tokens": "prompttokens",
    "gen_ai.usage.output_tokens": "completiontokens",
    "gen_ai.usage.total_tokens": "totaltokens",
}


def _is_row(row: Row) -> bool:
    return has_column(row, _MARKS) or policy_events.is_event(row)


def _is_line(line: str) -> bool:
    return self_hosted.is_line(line) or policy_events.is_text(line)


def _read_line(line: str) -> GatewayRecord:
    if self_hosted.is_line(line):
        if name := self_hosted.read_event_name(line):
            raise NotARequest("event", f"an event of the gateway ({name}), not a request")
        row = self_hosted.parse_line(line)
        record = _read_row(row)
    elif (facts := policy_events.parse_message(line)) is not None:
        record = _read_message(facts)
    elif (facts := policy_events.parse_values(line)) is not None:
        flat = rename(facts)
        flat.update(facts)
        record = _read_policy_event(flat)
    else:
        raise FieldError("", "expected JSON, or text of a self-hosted gateway or of a policy")
    record.raw = write_raw(line)
    return record


def _read_message(facts: dict[str, Any]) -> GatewayRecord:
    """Read an HTTP message: what was asked or answered, and not when."""
    headers = facts.pop("headers")
    flat = rename(facts)
    flat.update(facts)
    flat["eventtime"] = _UNKNOWN_TIME
    record = _read_policy_event(flat)
    record.start_ns = 0
    _take_headers(record, headers)
    return record


def _take_headers(record: GatewayRecord, headers: Mapping[str, str]) -> None:
    context = context_from_headers(headers, "policy.")
    if context.trace_id:
        _take_trace(record, context)
        record.outgoing_span_id = context.outgoing_span_id
    record.ids = distinct((*record.ids, *find_ids(headers)))
    if agent := headers.get("user-agent", ""):
        record.attributes = {**record.attributes, "user_agent.original": agent}


def _read(flat: FlatRow) -> GatewayRecord:
    if flat.get("category") == "GatewayLogs" and flat.get("correlationid"):
        return _read_gateway_log(flat)
    category = read_text(flat, "category").lower()
    table = read_text(flat, "type").lower()
    if "websocket" in category or "websocket" in table:
        return read_websocket_event(flat, GATEWAY)
    if "llm" in category or "llm" in table:
        return read_llm_usage(flat, GATEWAY)
    if "mcp" in category or "mcplog" in table:
        return read_mcp_call(flat, GATEWAY)
    if category not in _GATEWAY_LOGS or "metricname" in flat:
        raise NotARequest("category", f"{category or 'a metric'} does not describe one request")
    if table in ("apprequests", "appdependencies"):
        raise FieldError("type", f"{table} rows belong to the adapter azure-app-insights")
    is_a_log = not _GATEWAY_SIGNS.isdisjoint(flat)
    if not is_a_log and ("eventtype" in flat or "level" in flat):
        raise NotARequest("event", "an event of the gateway, not a request")
    if not (is_a_log and "correlationid" in flat):
        facts = policy_events.read_facts(flat.original)
        if facts is not None:
            flat.update(facts)
            return _read_policy_event(flat)
    return _read_gateway_log(flat)


def _read_gateway_log(flat: FlatRow) -> GatewayRecord:
    correlation_id = require_text(flat, "correlationid")
    start = require_start(flat, "timegenerated", "time", "timestamp")
    url = split_target(read_text(flat, "url", "requesturl"))
    backend = split_target(read_text(flat, "backendurl"))
    record = GatewayRecord(
        gateway=GATEWAY,
        record_id=correlation_id.lower(),
        start_ns=start.ns,
        instance=resource_name(read_text(flat, "resourceid", "servicename")),
        source=_source(flat),
        ids=(Id("apim_correlation_id", correlation_id),),
        scheme=url.scheme,
        host=url.host,
        path=url.path,
        status=_status(flat, "responsecode"),
        region=read_text(flat, "region", "location"),
        backend_host=backend.host,
        backend_path=backend.path,
        backend_status=_status(flat, "backendresponsecode") or None,
        request_bytes=_size(flat, "requestsize"),
        response_bytes=_size(flat, "responsesize"),
        attributes=_attributes(flat),
        raw=raw_text(flat),
        **read_texts(flat, _COLUMNS),
    )
    record.cache = record.cache.lower()
    _set_times(record, flat)
    is_failed = _set_error(record, flat)
    _set_context(record, flat)
    settle(record, is_failed=is_failed)
    record.quality = check(record, PROFILE, start_resolution_ns=start.resolution_ns)
    return record


def _set_times(record: GatewayRecord, flat: FlatRow) -> None:
    total_ns = read_duration_ns(flat, "totaltime", "durationms")
    client_ns = read_duration_ns(flat, "clienttime")
    cache_ns = read_duration_ns(flat, "cachetime")
    backend_ns = read_duration_ns(flat, "backendtime", "servicetime")
    record.duration_ns = total_ns
    record.client_ns = client_ns
    record.cache_ns = cache_ns
    record.backend_ns = backend_ns
    columns = [name for name in _BACKEND_COLUMNS if name in flat]
    if columns and not any(map(flat.get, columns)) and not flat.get("lasterrorreason"):
        record.attempts = 0
    # Without the client's share the rest would be gateway and client together: left unsaid.
    if total_ns is not None and client_ns is not None:
        record.gateway_ns = max(0, total_ns - client_ns - (cache_ns or 0) - (backend_ns or 0))


def _set_error(record: GatewayRecord, flat: FlatRow) -> bool:
    """Take the error that the request ended with; return whether the gateway says it failed."""
    is_success = read_bool(flat, "isrequestsuccess")
    if is_success is None:
        is_success = record.status is None or record.status < 400
    if any(map(flat.get, _ERROR_COLUMNS)):
        errors = _read_errors(flat)
        if record.status and record.status < 400 and is_success:
            # on-error, retry or wait dealt with them: acts, and not how it ended
            _note_handled(record, errors)
        elif errors:
            _note_handled(record, errors[:-1])
            _take_error(record, errors[-1])
            record.error_elapsed_ns = read_duration_ns(flat, "lasterrorelapsed")
    return not is_success


def _read_errors(flat: FlatRow) -> list[dict[str, str]]:
    """Return the errors in their order, `lastError` at the end; it is one of `errors` as a rule."""
    errors = [
        {name: read_text(error, name, within="errors.") for name in _ERROR_FIELDS}
        for error in read_list(flat, "errors")
        if isinstance(error, dict)
    ]
    last = {name: read_text(flat, f"lasterror{name}") for name in _ERROR_FIELDS}
    if last["reason"] or not errors:
        same = [e for e in errors if (e["reason"], e["source"]) == (last["reason"], last["source"])]
        if same:
            errors.remove(same[-1])
        errors.append(last)
    return [error for error in errors if any(error.values())]


def _take_error(record: GatewayRecord, error: Mapping[str, str]) -> None:
    record.error_reason = error["reason"]
    record.error_source = error["source"]
    record.error_scope = error["scope"]
    record.error_section = error["section"]
    record.error_message = error["message"]


def _note_handled(record: GatewayRecord, errors: Sequence[Mapping[str, str]]) -> None:
    if errors:
        told = orjson.dumps([{k: v for k, v in error.items() if v} for error in errors])
        record.attributes = {**record.attributes, HANDLED_ERRORS: told.decode()}


def _set_context(record: GatewayRecord, flat: FlatRow) -> None:
    """
    Take the trace from what the gateway sent on, else from what it was sent.

    Only the header map of the backend leg shows the span id that the mesh has as its parent.
    """
    inbound = _headers(flat, "requestheaders")
    outbound = _headers(flat, "backendrequestheaders")
    # What the backend answered is what the caller got, if the log does not say otherwise.
    answered = _headers(flat, "responseheaders") or _headers(flat, "backendresponseheaders")
    if not (inbound or outbound or answered):  # logging them is off until someone turns it on
        _set_kind(record, flat, inbound, answered)
        return
    received = context_from_headers(inbound, "RequestHeaders.")
    sent = context_from_headers(outbound, "BackendRequestHeaders.")
    if sent.trace_id:
        _take_trace(record, sent)
        record.outgoing_span_id = sent.outgoing_span_id
    else:
        _take_trace(record, received)
    if received.trace_id == record.trace_id:
        # A header passed through unchanged names the client's span, also towards the mesh.
        record.parent_span_id = received.outgoing_span_id
    found = {
        (REQUEST_ID_HEADERS[name], value): None
        for headers in (answered, inbound, outbound)
        for name, value in headers.items()
        if name in REQUEST_ID_HEADERS and not is_missing(value)
    }
    if received.trace_id and received.trace_id != record.trace_id:
        found["trace_id", received.trace_id] = None
    record.ids += tuple(Id(kind, value) for kind, value in found)
    _set_kind(record, flat, inbound, answered)


def _headers(flat: FlatRow, name: str) -> dict[str, str]:
    return read_headers(flat, name) if flat.get(name) else {}


def _take_trace(record: GatewayRecord, context: LoggedContext) -> None:
    record.trace_id = context.trace_id
    record.trace_id_source = context.source
    record.is_sampled = context.is_sampled
    if context.trace_id and not context.outgoing_span_id and context.source.endswith("parent"):
        # the all-zero parent of a widespread recipe: receivers drop the whole header
        record.attributes = {**record.attributes, "trace.parent_invalid": "true"}


def _set_kind(
    record: GatewayRecord, flat: FlatRow, inbound: Mapping[str, str], answered: Mapping[str, str]
) -> None:
    content_type = inbound.get("content-type", "")
    record.kind = kind_of(content_type, inbound.get("upgrade", ""))
    note_grpc(record, answered.get("grpc-status", ""), answered.get("grpc-message", ""))
    if is_event_stream(answered.get("content-type", "")):
        record.quality = (*record.quality, STREAMING)
    if record.kind == "grpc":
        return
    if record.status == 101 or record.scheme in ("ws", "wss"):
        record.kind = "websocket"
    elif content_type.startswith("application/graphql") or record.path.endswith("/graphql"):
        record.kind = "graphql"
        record.attributes = {**record.attributes, **_graphql(flat.get("requestbody"))}


def _graphql(body: object) -> dict[str, str]:
    """Return name and type of the GraphQL operation, when request bodies are logged."""
    if not isinstance(body, str) or not body:
        return {}
    query, name = body, ""
    if body.startswith("{"):
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:  # only the first bytes of a body are logged
            document = None
        if isinstance(document, dict):
            name = str(document.get("operationName") or "")
            query = str(document.get("query") or "")
    words = query.replace("{", " { ").replace("(", " ( ").split(maxsplit=2)
    if not words or words[0] not in ("query", "mutation", "subscription", "{"):
        return {"graphql.operation.name": name} if name else {}
    if not name and len(words) > 1 and words[0] != "{" and words[1].isidentifier():
        name = words[1]
    kind = "query" if words[0] == "{" else words[0]
    found = {"graphql.operation.type": kind}
    return found | {"graphql.operation.name": name} if name else found


def _read_policy_event(flat: FlatRow) -> GatewayRecord:
    """Read what a policy wrote, its facts under the names of `policy_events.FACTS`."""
    request_id = require_text(flat, "requestid")
    elapsed_ns = read_duration_ns(flat, "elapsedms")
    start = require_start(flat, "startedat", "eventtime")
    url = split_target(read_text(flat, "url"))
    backend = split_target(read_text(flat, "backendurl"))
    record = GatewayRecord(
        gateway=GATEWAY,
        record_id=request_id.lower(),
        start_ns=start.ns,
        instance=resource_name(read_text(flat, "service")).partition(".")[0],
        source="policy-event",
        ids=(Id("apim_correlation_id", request_id),),
        resolution_ns=_TICK_NS,
        duration_ns=elapsed_ns,
        backend_ns=read_duration_ns(flat, "backendms"),
        method=read_text(flat, "method"),
        scheme=url.scheme,
        host=url.host or read_text(flat, "host"),
        path=url.path,
        status=_status(flat, "status"),
        api=read_text(flat, "api"),
        api_revision=read_text(flat, "revision"),
        operation=read_text(flat, "operation"),
        product=read_text(flat, "product"),
        consumer=read_text(flat, "subscription"),
        user=read_text(flat, "user"),
        region=read_text(flat, "region"),
        client_address=read_text(flat, "clientip"),
        backend_host=backend.host,
        backend_path=backend.path,
        backend_status=_status(flat, "backendstatus") or None,
        request_bytes=_size(flat, "requestsize"),
        response_bytes=_size(flat, "responsesize"),
        attributes=_attributes(flat),
        raw=raw_text(flat),
    )
    if is_missing(flat.get("startedat")) and elapsed_ns is not None:
        # the time is when the policy ran, and the elapsed one from the request's beginning to there
        record.start_ns -= elapsed_ns
        record.attributes = {**record.attributes, "reading.start": "time of the event - elapsed"}
    if elapsed_ns is not None and record.backend_ns is not None:
        record.gateway_ns = max(0, elapsed_ns - record.backend_ns)
    for name in _ERROR_FIELDS:
        if f"error{name}" in flat:
            flat.setdefault(f"lasterror{name}", flat[f"error{name}"])
    is_failed = _set_error(record, flat)
    _set_policy_context(record, flat)
    settle(record, is_failed=is_failed)
    record.quality = check(record, POLICY_PROFILE, start_resolution_ns=start.resolution_ns)
    return record


def _set_policy_context(record: GatewayRecord, flat: FlatRow) -> None:
    received = _policy_header(flat, "traceparent")
    sent = _policy_header(flat, "backendtraceparent")
    if sent.trace_id and received.trace_id == sent.trace_id:
        record.parent_span_id = received.outgoing_span_id
    # With one header only, the policy forwards the very value that it reports.
    context = sent if sent.trace_id else received
    _take_trace(record, context)
    record.outgoing_span_id = context.outgoing_span_id
    if x_request_id := read_text(flat, "xrequestid"):
        record.ids += (Id("x_request_id", x_request_id),)


def _policy_header(flat: FlatRow, name: str) -> LoggedContext:
    return context_from_headers({"traceparent": read_text(flat, name)}, "policy.")


def _source(flat: FlatRow) -> str:
    """Name the path by which the record came, as far as its shape tells."""
    if "properties" in flat:
        return "diagnostic-envelope"
    if "resourceprovider" in flat:
        return "azure-diagnostics"
    return "gateway-logs" if "timegenerated" in flat else "self-hosted-gateway"


def _status(flat: FlatRow, *names: str) -> int | None:
    known = flat.get(names[0])
    if known.__class__ is int and 0 < known < 1000:
        return int(known)
    status = read_int(flat, *names)
    if status is None or 0 <= status < 1000:  # 0: there was none to send
        return status
    raise FieldError(next(name for name in names if name in flat), f"not an HTTP status: {status}")


def _attributes(flat: FlatRow) -> dict[str, Any]:
    attributes = read_texts(flat, _ATTRIBUTES | _USAGE)
    if attributes.get(_TRANSPORT_ERROR) == "0":  # there was none
        del attributes[_TRANSPORT_ERROR]
    return attributes


def _size(flat: FlatRow, name: str) -> int | None:
    size = read_int(flat, name)
    return size if size is None or size >= 0 else None


_read_row = read_named(_read)

ADAPTER = Adapter(
    name="azure-apim",
    product="Azure API Management",
    reader=Reader(
        is_row=_is_row,
        read_row=_read_row,
        is_line=_is_line,
        read_line=_read_line,
        finish=merge_side_logs,
    ),
    source="https://learn.microsoft.com/azure/api-management/gateway-log-schema-reference",
)
