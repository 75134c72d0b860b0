"""
Application Insights telemetry of Azure API Management: the source that knows the trace id.

Read: `AppRequests` and `AppDependencies` rows (workspace names), `requests` and `dependencies`
(classic names), both inside a `{"records": […]}` export, the envelopes that SDKs send, and blobs of
the old continuous export. A request becomes the gateway record
of `azure-apim`; a dependency is the call to the backend, and its id is what API Management sends
on as parent, so the mesh ingress span has it as its parent. Telemetry of other applications in the
same table is passed over.

Times: start stamped; DurationMs has a fraction, in steps of 100 ns. The parts are not recorded:
backend is the sum of a request's dependencies, the rest is gateway and client together, which stays
unsaid. A policy's own calls (send-request) are dependencies too: tries are those of one target.

Source: azure-docs api-management-howto-app-insights.md; azure-monitor-docs reference/tables
apprequests.md, appdependencies.md; ApplicationInsights-Announcements#27 (legacy ids).
"""

import re
from collections.abc import Sequence

from collector.attributes import REQUEST_KEY
from collector.decode.azure import telemetry
from collector.decode.azure.rows import (
    FlatRow,
    has_column,
    raw_text,
    read_columns,
    read_duration_ns,
    read_named,
    require_start,
)
from collector.decode.context import distinct, find_ids
from collector.decode.fields import (
    FieldError,
    NotARequest,
    Row,
    is_missing,
    read_bool,
    read_float,
    read_object,
    read_text,
    require_text,
)
from collector.decode.gateways import Adapter
from collector.decode.outcome import note_grpc, settle
from collector.decode.quality import Profile, check
from collector.decode.reading import Reader
from collector.decode.urls import split_target
from collector.identity.ids import normalise_span_id, normalise_trace_id, parse_request_id
from collector.model import GatewayRecord, Id

GATEWAY = "azure-apim"
PROFILE = Profile(stamped="start")
_MARKS = frozenset(("operationid", "operationname", "itemtype"))
_TICK_NS = 100
_KINDS = {
    "apprequests": "request",
    "appdependencies": "dependency",
    "request": "request",
    "dependency": "dependency",
}
_OTHER_TELEMETRY = frozenset(
    ("appexceptions", "apptraces", "appevents", "appmetrics", "apppageviews", "appperformance")
    + ("appavailabilityresults", "appsystemevents", "appbrowsertimings")
    + ("exception", "trace", "customevent", "custommetric", "pageview", "availabilityresult")
    + ("performancecounter", "browsertiming")
)
_TYPES = _OTHER_TELEMETRY | frozenset(_KINDS)
_REQUEST_COLUMNS = ("url", "name", "operationname", "resultcode", "clientip")
_REQUEST_PROPERTIES = ("HTTP Method", "Product Name", "Subscription Name", "API Type")
_API_KINDS = {"graphql": "graphql", "websocket": "websocket", "grpc": "grpc"}
_METHOD = re.compile(r"[A-Z]{3,16}", re.ASCII)
_SPAN_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_NO_SPAN_ID = "0" * 16
_TRACE_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_NO_TRACE_ID = "0" * 32
_ANONYMOUS = "0.0.0.0"  # noqa: S104 an address that Application Insights writes, not one to bind


def _is_row(row: Row) -> bool:
    kind = row.get("Type")
    if has_column(row, _MARKS) or (isinstance(kind, str) and kind.lower() in _TYPES):
        return True
    return telemetry.is_enveloped(row)


def _read(flat: FlatRow) -> GatewayRecord:
    # in the classic tables `type` is that of an exception or a dependency
    kind_text = read_text(flat, "itemtype", "type").lower()
    if kind_text in _OTHER_TELEMETRY:
        raise NotARequest("category", f"{kind_text} does not describe one request")
    properties = read_object(flat, "properties", "customdimensions")
    kind = _KINDS.get(kind_text) or _guess_kind(flat)
    operation_id = read_text(flat, "operationid")
    span = require_text(flat, "id")
    start = require_start(flat, "timegenerated", "time", "timestamp")
    if not _is_api_management(flat, properties):
        raise NotARequest("application", "telemetry of another application, not of API Management")
    record = GatewayRecord(
        gateway=GATEWAY,
        record_id="",
        start_ns=start.ns,
        instance=_instance(flat, properties),
        source="app-requests" if kind == "request" else "app-dependencies",
        # The start of a dependency is not the start of its request: at this resolution it never
        # wins against one that is.
        resolution_ns=_TICK_NS if kind == "request" else 1_000_000,
        region=read_text(properties, "Region"),
        weight=_weight(flat),
        raw=raw_text(flat),
    )
    own_key = _set_ids(record, flat, properties, kind, operation_id, span)
    if kind == "request":
        _set_request(record, flat, properties)
    else:
        _set_dependency(record, flat, span)
    record.attributes = {**record.attributes, REQUEST_KEY: own_key}
    record.quality = check(record, PROFILE, start_resolution_ns=start.resolution_ns)
    return record


def _guess_kind(flat: Row) -> str:
    if "operationid" in flat or "operationname" in flat:
        is_dependency = any(name in flat for name in ("dependencytype", "target", "data"))
        return "dependency" if is_dependency else "request"
    raise FieldError("type", "is neither a request nor a dependency")


def _is_api_management(flat: FlatRow, properties: Row) -> bool:
    return (
        read_text(properties, "Service Type") == "API Management"
        or "API Name" in properties
        or read_text(properties, "Service Name").endswith(".azure-api.net")
        or read_text(flat, "sdkversion").startswith("apim:")
    )


def _instance(flat: FlatRow, properties: Row) -> str:
    service = read_text(properties, "Service Name").partition(".")[0]
    return (service or read_text(flat, "approlename", "cloudrolename")).lower()


def _set_ids(
    record: GatewayRecord,
    flat: FlatRow,
    properties: Row,
    kind: str,
    operation_id: str,
    span: str,
) -> str:
    """
    Set the ids, and return the key that a request shares with its dependencies.

    Only 32 hex digits are a W3C trace id. A GUID or another root is the Legacy protocol, which
    sends no traceparent: it is kept as a request id.
    """
    ids: list[Id] = []
    parent = read_text(flat, "parentid", "operationparentid")
    legacy = read_text(properties, "ai_legacyRequestId")
    trace_id = _trace_id(operation_id)
    if len(operation_id) == 32 and trace_id:
        record.trace_id = trace_id
        record.trace_id_source = "OperationId"
    for text in (legacy, span, parent):
        if text.startswith("|"):
            ids.append(Id("request_id", text))
            context = parse_request_id(text)
            if not record.trace_id and context and not context.is_legacy:
                record.trace_id = context.trace_id
                record.trace_id_source = "Request-Id"
    if not record.trace_id and operation_id:
        ids.append(Id("request_id", operation_id))
    own = span if kind == "request" else parent
    if request_span := _span_id(own):
        ids.append(Id("span_id", request_span))
    request_id = read_text(properties, "Request Id")
    if request_id:
        ids.insert(0, Id("apim_correlation_id", request_id))
    own_key = f"{operation_id}-{request_span or own}".lower()
    record.record_id = request_id.lower() or own_key
    if headers := _logged_headers(properties):
        ids += find_ids(headers)
    record.ids = distinct(ids)
    return own_key


def _set_request(record: GatewayRecord, flat: FlatRow, properties: Row) -> None:
    url_text, name, operation_name, result, address = read_columns(flat, _REQUEST_COLUMNS)
    method, product, consumer, api_type = read_columns(properties, _REQUEST_PROPERTIES)
    url = split_target(url_text)
    name_method, name_path = _split_name(name)
    api, revision, operation = _split_operation(operation_name)
    record.parent_span_id = _span_id(read_text(flat, "parentid", "operationparentid"))
    record.duration_ns = read_duration_ns(flat, "durationms", "duration")
    record.method = method or name_method
    record.scheme = url.scheme
    record.host = url.host
    record.path = url.path or split_target(name_path).path
    record.status = _status(result)
    record.api = api or read_text(properties, "API Name")
    record.api_revision = revision or read_text(properties, "API Revision")
    record.operation = operation or read_text(properties, "Operation Name")
    record.product = product
    record.consumer = consumer
    record.client_address = "" if address == _ANONYMOUS else address
    cache = str(properties.get("Cache") or "").lower()
    record.cache = "" if is_missing(cache) else cache
    record.kind = _API_KINDS.get(api_type.lower(), "http")
    is_success = read_bool(flat, "success")
    if is_success is None:
        is_success = record.status is None or record.status < 400
    headers = _logged_headers(properties)
    note_grpc(record, headers.get("grpc-status", ""), headers.get("grpc-message", ""))
    settle(record, is_failed=not is_success)


def _set_dependency(record: GatewayRecord, flat: FlatRow, span: str) -> None:
    data = split_target(read_text(flat, "data"))
    record.outgoing_span_id = _span_id(span)
    record.backend_ns = read_duration_ns(flat, "durationms", "duration")
    record.backend_method = _split_name(read_text(flat, "name"))[0]
    record.backend_host = data.host or read_text(flat, "target")
    record.backend_path = data.path
    record.backend_status = _status(read_text(flat, "resultcode")) or None
    record.attempts = 1


def _split_name(name: str) -> tuple[str, str]:
    """Return method and path of a name like `GET /orders`; any other name has none."""
    method, _, path = name.partition(" ")
    return (method, path) if _METHOD.fullmatch(method) else ("", "")


def _span_id(text: str) -> str:
    """Return the span id in a W3C id, or in a Request-Id that was made from one."""
    if _SPAN_ID.fullmatch(text) and text != _NO_SPAN_ID:
        return text
    context = parse_request_id(text)
    return context.span_id if context else normalise_span_id(text)


def _trace_id(text: str) -> str:
    if _TRACE_ID.fullmatch(text) and text != _NO_TRACE_ID:
        return text
    return "" if "-" in text else normalise_trace_id(text)


def _split_operation(text: str) -> tuple[str, str, str]:
    """Split `<api id>;rev=<n> - <operation id>`."""
    head, dash, operation = text.partition(" - ")
    api, mark, revision = head.partition(";rev=")
    return (api, revision, operation) if dash or mark else ("", "", "")


def _status(text: str) -> int | None:
    """Return the HTTP status; dependencies that never got one say `Canceled` or 0 instead."""
    # 0: the client was gone before there was a status to send
    return int(text) if len(text) in (1, 3) and text.isascii() and text.isdecimal() else None


def _weight(flat: FlatRow) -> float:
    weight = read_float(flat, "itemcount")
    if weight is not None and not 1 <= weight <= 1e9:
        raise FieldError("itemcount", "is not a sampling weight")
    return weight or 1.0


def _logged_headers(properties: Row) -> dict[str, str]:
    headers: dict[str, str] = {}
    # most log none: one look at all names costs 0.1 us, at each 0.5
    for prefix in ("Response-", "Request-") if "-" in "".join(properties) else ():
        for name, value in properties.items():
            if name.startswith(prefix) and isinstance(value, str):
                headers[name.removeprefix(prefix).lower()] = value
    return headers


def _merge(records: Sequence[GatewayRecord]) -> list[GatewayRecord]:
    """Put the dependencies of one body into their requests, in the order of their start."""
    requests: dict[str, GatewayRecord] = {}
    dependencies = []
    for record in records:
        if record.source == "app-requests":
            requests[record.attributes[REQUEST_KEY]] = record
        elif record.source == "app-dependencies":
            dependencies.append(record)
    dependencies.sort(key=lambda record: record.start_ns)
    for dependency in dependencies:
        request = requests.get(dependency.attributes[REQUEST_KEY])
        if request is not None:
            _add_dependency(request, dependency)
    for request in requests.values():
        if request.backend_ns is not None and request.duration_ns is not None:
            request.quality = check(request, PROFILE)
    return [
        record
        for record in records
        if record.source == "app-requests" or record.attributes.get(REQUEST_KEY) not in requests
    ]


def _add_dependency(request: GatewayRecord, dependency: GatewayRecord) -> None:
    """Later calls win: after retries the last one is what the answer was made of."""
    request.backend_ns = (request.backend_ns or 0) + (dependency.backend_ns or 0)
    is_same = _target(request) == _target(dependency)
    request.attempts = (request.attempts or 0) + 1 if is_same else 1
    request.outgoing_span_id = dependency.outgoing_span_id or request.outgoing_span_id
    request.backend_method = dependency.backend_method
    request.backend_host = dependency.backend_host
    request.backend_path = dependency.backend_path
    request.backend_status = dependency.backend_status
    if dependency.outgoing_span_id:
        known = request.attributes.get("app_insights.dependencies", "")
        ids = f"{known},{dependency.outgoing_span_id}".strip(",")
        request.attributes = {**request.attributes, "app_insights.dependencies": ids}


def _target(record: GatewayRecord) -> tuple[str, str, str]:
    return record.backend_method, record.backend_host, record.backend_path


ADAPTER = Adapter(
    name="azure-app-insights",
    product="Azure API Management through Application Insights",
    reader=Reader(
        is_row=_is_row, read_row=read_named(_read, telemetry.flatten_item), finish=_merge
    ),
    source="https://learn.microsoft.com/azure/api-management/api-management-howto-app-insights",
)
