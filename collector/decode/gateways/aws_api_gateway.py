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
from collections.abc import Mapping
from typing import Any

from collector.decode.context import LoggedContext, context_from_headers
from collector.decode.documents import decode_entries
from collector.decode.fields import (
    FieldError,
    Row,
    read_int,
    read_moment,
    read_ns_from_ms,
    read_squashed,
    read_text,
    require_text,
    write_raw,
)
from collector.decode.firehose import (
    ACCESS_KEY_HEADER,
    DELIVERY_HEADER,
    split_delivery,
    write_answer,
)
from collector.decode.gateways import Adapter, Answer, Manners
from collector.decode.ids import parse_xray
from collector.decode.moments import NS_PER_MS, Moment
from collector.decode.truth import Profile, check
from collector.errors import CollectorError
from collector.model import Decoded, GatewayRecord, Id, Receipt

PROFILE = Profile(
    stamped="start",
    is_client_in_total=False,
    are_tries_included=False,
    is_body_upload_included=True,
)

# The common log format of the developer guide; its example has no blank before the first quote.
_CLF = re.compile(
    r'(?P<ip>\S+) (?P<caller>\S+) (?P<user>\S+) \[(?P<requesttime>[^\]"]+)\] ?'
    r'"(?P<httpmethod>[A-Z-]+) (?P<resourcepath>[^" ]*) (?P<protocol>[^" ]*)" '
    r"(?P<status>\d{3}|-) (?P<responselength>\d+|-) (?P<requestid>[\w=-]{10,64})"
    r"(?: (?P<extendedrequestid>[\w=-]{10,64}))?",
    re.ASCII,
)
_LONGEST_LINE = 16_384
_REGION = re.compile(r"\.execute-api\.([a-z0-9-]{1,30})\.", re.ASCII)
# `$context` variables by their squashed names that have no field of their own.
_ATTRIBUTES = {
    "aws.stage": ("stage", "contextstage"),
    "aws.account_id": ("accountid", "contextaccountid"),
    "aws.event_type": ("eventtype", "contexteventtype"),
    "aws.connection_id": ("connectionid", "contextconnectionid"),
    "aws.integration_request_id": ("integrationrequestid", "contextintegrationrequestid"),
    "aws.authorizer_latency_ms": ("authorizerlatency", "contextauthorizerlatency"),
    "aws.authorize_latency_ms": ("authorizelatency", "contextauthorizelatency"),
    "aws.authenticate_latency_ms": ("authenticatelatency", "contextauthenticatelatency"),
    "aws.waf_response_code": ("wafresponsecode", "contextwafresponsecode"),
    "aws.error_response_type": ("errorresponsetype", "contexterrorresponsetype"),
    "user_agent.original": ("useragent", "identityuseragent", "contextidentityuseragent"),
}


def decode(body: bytes) -> Decoded:
    """
    Decode access-log lines, in the order they stand in the body.

    Shape: JSON objects with keys of the user's own spelling (`requestId`, `request_id`,
    `context.requestId`), one a line, back to back or in an array; the common log format; each of
    them inside a Firehose delivery or a CloudWatch subscription envelope.

    Returns:
        One gateway record per log line; a line without a request id or a time is rejected with its
        index and the name of the field.

    Raises:
        Undecodable: nothing in the body can be read. Never retried.
        TooLarge: compressed records inside are too large. Never retried.
    """
    return decode_entries(split_delivery(body), read_squashed(_read), read_line=_read_line)


def _read_line(line: str) -> GatewayRecord:
    match = _CLF.fullmatch(line) if len(line) <= _LONGEST_LINE else None
    if match is None:
        raise FieldError("", "expected a JSON object or the common log format")
    return _build(match.groupdict(), {}, write_raw(line))


def _read(row: dict[str, Any], original: Row) -> GatewayRecord:
    return _build(row, original, write_raw(original))


def _build(row: dict[str, Any], original: Row, raw: str) -> GatewayRecord:
    request_id = read_text(row, "requestid", "contextrequestid")
    extended_id = read_text(row, "extendedrequestid", "contextextendedrequestid")
    start, attributes = _start(row)
    status = read_int(row, "status", "statuscode", "contextstatus")
    route = read_text(row, "resourcepath", "routekey", "contextresourcepath", "contextroutekey")
    method = read_text(row, "httpmethod", "method", "contexthttpmethod")
    record = GatewayRecord(
        gateway="aws-api-gateway",
        # a client may choose `requestId` itself, the extended one it can not
        record_id=extended_id or request_id or require_text(row, "requestId"),
        start_ns=start.ns,
        method=method,
        host=read_text(row, "domainname", "contextdomainname"),
        path=read_text(row, "path", "contextpath"),
        # the route key of an HTTP API starts with the method: "GET /pets/{id}"
        route=route.removeprefix(f"{method} ") if method else route,
        protocol=read_text(row, "protocol", "contextprotocol"),
        status=status,
        api=read_text(row, "apiname", "apiid", "contextapiid"),
        operation=route,
        consumer=read_text(row, "apikeyid", "identityapikeyid", "contextidentityapikeyid"),
        user=read_text(row, "user", "identityuser", "contextidentityuser", "principalid"),
        client_address=read_text(
            row, "ip", "sourceip", "identitysourceip", "contextidentitysourceip"
        ),
        response_bytes=read_int(row, "responselength", "contextresponselength", "dataprocessed"),
        raw=raw,
    )
    if match := _REGION.search(record.host):
        record.region = match[1]
    for name, keys in _ATTRIBUTES.items():
        if value := read_text(row, *keys):
            attributes[name] = value
    record.attributes = attributes
    _read_times(record, row)
    _read_backend(record, row, original)
    _read_ids(record, row, request_id, extended_id)
    _read_error(record, row)
    record.quality = check(
        record, PROFILE, start_resolution_ns=start.resolution_ns, is_streaming=False
    )
    return record


def _start(row: Row) -> tuple[Moment, dict[str, str]]:
    epoch = read_moment(row, "requesttimeepoch", "contextrequesttimeepoch")
    if epoch is not None:
        unit = "ms" if epoch.resolution_ns <= NS_PER_MS else "s"
        return epoch, {"reading.requestTimeEpoch": unit}
    start = read_moment(row, "requesttime", "contextrequesttime")
    if start is None:
        raise FieldError("requestTime", "is missing, and so is requestTimeEpoch")
    return start, {}


def _read_times(record: GatewayRecord, row: Row) -> None:
    record.duration_ns = read_ns_from_ms(row, "responselatency", "contextresponselatency")
    record.backend_ns = read_ns_from_ms(row, "integrationlatency", "contextintegrationlatency")
    if record.duration_ns is not None and record.backend_ns is not None:
        own_ns = record.duration_ns - record.backend_ns
        record.gateway_ns = own_ns if own_ns >= 0 else None


def _read_backend(record: GatewayRecord, row: Row, original: Row) -> None:
    # `integration.status` is what a Lambda function answered, `integrationStatus` what the Lambda
    # service answered about it: the first is the backend's, and both squash to one name
    record.backend_status = read_int(original, "integration.status", "$context.integration.status")
    if record.backend_status is None:
        record.backend_status = read_int(row, "integrationstatus", "contextintegrationstatus")


def _read_ids(record: GatewayRecord, row: Row, request_id: str, extended_id: str) -> None:
    context = _context(row)
    record.trace_id = context.trace_id
    record.trace_id_source = context.source
    record.outgoing_span_id = context.outgoing_span_id
    record.is_sampled = context.is_sampled
    xray_id = read_text(row, "xraytraceid", "contextxraytraceid")
    written = (
        ("aws_request_id", request_id),
        ("aws_extended_request_id", extended_id),
        ("xray_trace_id", xray_id),
    )
    record.ids = tuple(Id(kind, value) for kind, value in written if value)


def _context(row: Row) -> LoggedContext:
    header = read_text(row, "traceparent", "authorizertraceparent", "contextauthorizertraceparent")
    if header:
        context = context_from_headers({"traceparent": header}, "authorizer.")
        if context.trace_id:
            # an authorizer sees what the client sent; API Gateway passes it on unchanged
            return context
    xray = parse_xray(read_text(row, "xraytraceid", "contextxraytraceid"))
    if xray is None:
        return LoggedContext("")
    return LoggedContext(xray.trace_id, is_sampled=xray.is_sampled, source="xrayTraceId")


def _read_error(record: GatewayRecord, row: Row) -> None:
    message = read_text(row, "errormessage", "contexterrormessage", "errormessagestring")
    backend_message = read_text(row, "integrationerrormessage", "integrationerror")
    status, backend_status = record.status, record.backend_status
    record.error_message = backend_message or message
    record.error_reason = read_text(row, "errorresponsetype", "contexterrorresponsetype")
    record.is_error = bool(record.error_message) if status is None else status >= 500
    if status is not None and status < 400:
        return
    if backend_message or (backend_status is not None and backend_status >= 400):
        record.error_source = "backend"
    elif record.is_error or message:
        record.error_source = "gateway"


def _respond(
    headers: Mapping[str, str], body: bytes, outcome: Receipt | CollectorError, now_ns: int
) -> Answer | None:
    """Answer a Firehose delivery in its own shape; only 200 means taken, bad lines or not."""
    if DELIVERY_HEADER not in headers:
        return None
    status = outcome.http_status if isinstance(outcome, CollectorError) else 200
    return Answer(status, write_answer(headers, body, outcome, now_ns))


ADAPTER = Adapter(
    name="aws-api-gateway",
    product="AWS API Gateway",
    decode=decode,
    source="https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html",
    manners=Manners(
        token_header=ACCESS_KEY_HEADER, delivery_header=DELIVERY_HEADER, respond=_respond
    ),
)
