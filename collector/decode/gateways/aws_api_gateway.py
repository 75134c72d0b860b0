"""
AWS API Gateway access logs (REST, HTTP and WebSocket APIs), plain or as Firehose delivers them.

Source: Amazon API Gateway developer guide, `$context` variables; Amazon Data Firehose developer
guide, HTTP endpoint delivery request and response; CloudWatch Logs subscription filters.
Times: `requestTime` (to the second) and `requestTimeEpoch` (ms; documented for HTTP APIs only as
"epoch", so both units are read and the one seen is kept as `reading.requestTimeEpoch`) are the
receipt of the request: start stamped. `responseLatency` is the whole in whole milliseconds, without
the client's sending and receiving, which is not measured. `integrationLatency` is the backend with
the upload of the body to it; authorizers are part of the gateway's own time. There are no retries.
"""

import re
from html import unescape
from typing import Any

from collector.decode.aliases import Aliases, flatten
from collector.decode.context import LoggedContext, context_from_headers
from collector.decode.fields import (
    FieldError,
    NotARequest,
    Row,
    derive_record_id,
    read_int,
    read_ns_from_ms,
    read_status,
    read_text,
    read_timestamp,
    write_raw,
)
from collector.decode.gateways import Adapter
from collector.decode.outcome import has_client_left, settle
from collector.decode.quality import Profile, check
from collector.decode.reading import Reader
from collector.decode.timestamps import NS_PER_MS, Timestamp
from collector.identity.ids import parse_xray
from collector.model import GatewayRecord, Id

PROFILE = Profile(
    stamped="start",
    is_client_in_total=False,
    are_tries_included=False,
    is_body_upload_included=True,
)

# The presets of the console, each with what users append. An HTTP API's route is "GET /pets/{id}",
# a WebSocket API has event, route and connection where the others have method, path and protocol.
_ID = r"[\w=-]{10,64}"
_CLF = re.compile(
    r"(?P<ip>[^\s,<]{1,64}) (?P<caller>\S{1,256}) (?P<user>\S{1,256}) "
    r'\[(?P<requestTime>[^\]"]{1,64})\] ?'
    r'"(?P<httpMethod>[A-Z-]+|\$default) (?P<resourcePath>[^"]*?) (?P<protocol>[^" ]*)" '
    rf"(?P<status>\d{{3}}|-)(?: (?P<responseLength>\d+|-))? (?P<requestId>{_ID})"
    rf"(?: (?P<extendedRequestId>{_ID}))?(?: .*)?",
    re.ASCII,
)
_CSV_TIME = re.compile(r"\d{1,2}/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", re.ASCII)
_CSV_HEAD = re.compile(r'(?:[^,{}"\[\]<]{0,256},){1,3}' + _CSV_TIME.pattern + ",", re.ASCII)
_XML = re.compile(r'<request id="(?P<requestId>[^"<]{1,128})">(?P<parts>.*)</request>', re.DOTALL)
_XML_PART = re.compile(r"<(\w{1,64})>([^<]*)</\1>", re.ASCII)
# `name: value, name: value`, the format that the Serverless Framework sets.
_NAMED = re.compile(r"(?:^|, )(\w{2,40}): ((?:(?!, \w{2,40}: ).)*)", re.ASCII)
_NAMED_HEAD = re.compile(r"requestId: [\w=-]{4,64}, ", re.ASCII)
_EVENTS = ("CONNECT", "MESSAGE", "DISCONNECT")
# What CloudWatch holds of API Gateway and Lambda beside access logs.
_EXECUTION = re.compile(
    r"\([0-9a-f-]{36}\) |(?:START|END|REPORT) RequestId: |INIT_START Runtime|Extended Request Id: "
)
_LONGEST_LINE = 16_384
_WAF_BLOCK = "WAF_BLOCK"
_REGION = re.compile(r"\.execute-api\.([a-z0-9-]{1,30})\.", re.ASCII)
# The usual spellings are looked for first.
_MARKS = frozenset(("requestTime", "requestTimeEpoch"))
_OWN = (
    *("requestTime", "requestTimeEpoch", "integrationLatency", "responseLatency", "xrayTraceId"),
    "extendedRequestId",
)
# `$context` variables that become attributes.
_ATTRIBUTES = {
    "stage": "aws.stage",
    "accountId": "aws.account_id",
    "eventType": "aws.event_type",
    "connectionId": "aws.connection_id",
    "integration.requestId": "aws.integration_request_id",
    "authorizer.latency": "aws.authorizer_latency_ms",
    "authorize.latency": "aws.authorize_latency_ms",
    "authenticate.latency": "aws.authenticate_latency_ms",
    "wafResponseCode": "aws.waf_response_code",
    "webaclArn": "aws.web_acl",
    "error.responseType": "aws.error_response_type",
    "identity.userAgent": "user_agent.original",
}
# Each variable with other keys that users give it.
_VOCABULARY = Aliases(
    {
        "requestId": (),
        "extendedRequestId": (),
        "requestTime": (),
        # everybody's names: they stand for these beside what is API Gateway's own
        "time": ("timestamp", "@timestamp"),
        "latency": ("durationMs",),
        "requestTimeEpoch": (),
        "xrayTraceId": (),
        "authorizer.traceparent": ("traceparent",),
        "status": ("statusCode",),
        "httpMethod": ("method",),
        "resourcePath": ("routeKey", "resource"),
        "path": (),
        "domainName": (),
        "protocol": (),
        "apiName": (),
        "apiId": (),
        "responseLatency": (),
        # `integration.latency` is the same value
        "integrationLatency": (),
        "integrationStatus": ("integration.integrationStatus",),
        "integrationErrorMessage": ("integration.error",),
        "error.message": ("error.messageString",),
        "responseLength": ("dataProcessed",),
        "identity.apiKeyId": ("apiKeyId",),
        "identity.user": ("user", "authorizer.principalId", "principalId"),
        "identity.sourceIp": ("ip", "sourceIp"),
        **dict.fromkeys(_ATTRIBUTES, ()),
        "identity.userAgent": ("userAgent",),
    },
    prefixes=("context.",),
)


def _is_row(row: Row) -> bool:
    if not _MARKS.isdisjoint(row) or _VOCABULARY.has(row, *_OWN):
        return True
    return row.get("context").__class__ is dict and _VOCABULARY.has(flatten(row), *_OWN)


def _is_line(line: str) -> bool:
    if len(line) > _LONGEST_LINE:
        return False
    return (
        _CLF.match(line) is not None
        or line.startswith("<request id=")
        or _NAMED_HEAD.match(line) is not None
        or _CSV_HEAD.match(line) is not None
        or _EXECUTION.match(line) is not None
    )


def _read_line(line: str) -> GatewayRecord:
    if len(line) <= _LONGEST_LINE:
        if _EXECUTION.match(line):
            raise NotARequest("event", "an execution log's line, not the access log's")
        row = _parse_clf(line) or _parse_xml(line) or _parse_named(line) or _parse_csv(line)
        if row is not None:
            return _build(_VOCABULARY.lay(row), row, write_raw(line))
    raise FieldError("", "expected a JSON object, or the preset for CLF, CSV or XML")


def _parse_clf(line: str) -> dict[str, Any] | None:
    match = _CLF.fullmatch(line)
    if match is None:
        return None
    row = match.groupdict()
    if row["httpMethod"] == "$default":  # of a WebSocket API's or an HTTP API's catch-all route
        del row["httpMethod"]
        return row
    return _name_events(row) if row["httpMethod"] in _EVENTS else row


def _parse_named(line: str) -> dict[str, Any] | None:
    return dict(_NAMED.findall(line)) if _NAMED_HEAD.match(line) else None


def _parse_csv(line: str) -> dict[str, Any] | None:
    """Read the preset for CSV: what stands before the time is optional, and so is the length."""
    parts = [part.strip() for part in line.split(",")]
    at = next((n for n, part in enumerate(parts[:4]) if _CSV_TIME.fullmatch(part)), -1)
    if at < 1 or len(parts) < at + 6:
        return None
    row = dict(zip(("ip", "caller", "user"), parts[:at], strict=False))
    row["requestTime"] = parts[at]
    names = ["httpMethod", "resourcePath", "protocol", "status"]
    if parts[at + 1] not in _EVENTS:
        names.append("responseLength")
    names += ["requestId", "extendedRequestId"]
    row.update(zip(names, parts[at + 1 :], strict=False))
    return _name_events(row) if row["httpMethod"] in _EVENTS else row


def _parse_xml(line: str) -> dict[str, Any] | None:
    match = _XML.fullmatch(line)
    if match is None:
        return None
    parts = {name: unescape(value.strip()) for name, value in _XML_PART.findall(match["parts"])}
    return {"requestId": match["requestId"], **parts}


def _name_events(row: dict[str, Any]) -> dict[str, Any]:
    renamed = {"httpMethod": "eventType", "resourcePath": "routeKey", "protocol": "connectionId"}
    return {renamed.get(name, name): value for name, value in row.items()}


def _read(row: dict[str, Any], original: Row) -> GatewayRecord:
    raw = write_raw(original)
    if dict in map(type, original.values()):
        original = flatten(original)
        row = _VOCABULARY.lay(original)
    return _build(row, original, raw)


_read_row = _VOCABULARY.reader(_read)


def _build(row: dict[str, Any], original: Row, raw: str) -> GatewayRecord:
    request_id = read_text(row, "requestId")
    extended_id = read_text(row, "extendedRequestId")
    start, attributes = _start(row)
    route = read_text(row, "resourcePath")
    method = read_text(row, "httpMethod")
    record = GatewayRecord(
        gateway="aws-api-gateway",
        # a client may choose `requestId` itself, the extended one it cannot
        record_id=extended_id or request_id or derive_record_id(raw),
        start_ns=start.ns,
        duration_ns=read_ns_from_ms(row, "responseLatency", "latency"),
        backend_ns=read_ns_from_ms(row, "integrationLatency"),
        method=method,
        host=read_text(row, "domainName"),
        path=read_text(row, "path"),
        # the route key of an HTTP API starts with the method: "GET /pets/{id}"
        route=route.removeprefix(f"{method} ") if method else route,
        protocol=read_text(row, "protocol"),
        status=read_status(row, "status"),
        api=read_text(row, "apiName", "apiId"),
        operation=route,
        consumer=read_text(row, "identity.apiKeyId"),
        user=read_text(row, "identity.user"),
        client_address=read_text(row, "identity.sourceIp"),
        response_bytes=read_int(row, "responseLength"),
        attributes=attributes,
        raw=raw,
    )
    if match := _REGION.search(record.host):
        record.region = match[1]
    for name, attribute in _ATTRIBUTES.items():
        if name in row and (value := read_text(row, name)):
            attributes[attribute] = value
    if "integrationLatency" in row and record.backend_ns is None and record.status:
        # the column is there and empty: no integration was called
        record.attempts = 0
    _derive_own_time(record)
    _read_ids(record, row, request_id, extended_id)
    _read_error(record, row, original)
    record.quality = check(record, PROFILE, start_resolution_ns=start.resolution_ns)
    return record


def _start(row: Row) -> tuple[Timestamp, dict[str, str]]:
    epoch = read_timestamp(row, "requestTimeEpoch")
    if epoch is not None:
        unit = "ms" if epoch.resolution_ns <= NS_PER_MS else "s"
        return epoch, {"reading.requestTimeEpoch": unit}
    start = read_timestamp(row, "requestTime")
    if start is None and any(name in row for name in _OWN):
        start = read_timestamp(row, "time")
    if start is None:
        raise FieldError("requestTime", "is missing, and so is requestTimeEpoch")
    return start, {}


def _derive_own_time(record: GatewayRecord) -> None:
    """Give the gateway what is not the backend's: nothing else is in the whole."""
    if record.duration_ns is not None and record.backend_ns is not None:
        own_ns = record.duration_ns - record.backend_ns
        record.gateway_ns = own_ns if own_ns >= 0 else None


def _read_ids(record: GatewayRecord, row: Row, request_id: str, extended_id: str) -> None:
    xray_id = read_text(row, "xrayTraceId")
    context = _context(row, xray_id)
    record.trace_id = context.trace_id
    record.trace_id_source = context.source
    record.outgoing_span_id = context.outgoing_span_id
    record.is_sampled = context.is_sampled
    written = (
        ("aws_request_id", request_id),
        ("aws_extended_request_id", extended_id),
        ("xray_trace_id", xray_id),
    )
    record.ids = tuple([Id(kind, value) for kind, value in written if value])


def _context(row: Row, xray_id: str) -> LoggedContext:
    if header := read_text(row, "authorizer.traceparent"):
        context = context_from_headers({"traceparent": header}, "authorizer.")
        if context.trace_id:
            # an authorizer sees what the client sent; API Gateway passes it on unchanged
            return context
    xray = parse_xray(xray_id) if xray_id else None
    if xray is None:
        return LoggedContext("")
    return LoggedContext(xray.trace_id, is_sampled=xray.is_sampled, source="xrayTraceId")


def _read_error(record: GatewayRecord, row: Row, original: Row) -> None:
    # `integration.status` is what a Lambda function answered, `integrationStatus` what the Lambda
    # service answered about it: the first is the backend's, and they differ by a dot only
    record.backend_status = read_status(
        original,
        *("integration.status", "$context.integration.status", "context.integration.status"),
    )
    if record.backend_status is None:
        record.backend_status = read_status(row, "integrationStatus")
    message = read_text(row, "error.message")
    backend_message = read_text(row, "integrationErrorMessage")
    status, backend_status = record.status, record.backend_status
    record.error_message = backend_message or message
    record.error_reason = read_text(row, "error.responseType")
    if read_text(row, "wafResponseCode") == _WAF_BLOCK:
        record.attempts = 0
        record.error_source = "gateway"
        record.error_reason = _WAF_BLOCK
        record.error_message = message or "the web application firewall blocked it"
    settle(record)
    if has_client_left(record) or (status is not None and status < 400):
        return
    if backend_message or (backend_status is not None and backend_status >= 400):
        record.error_source = "backend"
    elif record.is_error or message or record.error_reason:
        record.error_source = "gateway"


ADAPTER = Adapter(
    name="aws-api-gateway",
    product="AWS API Gateway",
    reader=Reader(is_row=_is_row, read_row=_read_row, is_line=_is_line, read_line=_read_line),
    source="https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html",
)
