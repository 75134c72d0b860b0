"""
Apigee message-logging entries.

Source: Apigee flow variables reference; Datadog's and public Cloud Logging policies for shapes;
`deploy/gateways/apigee/` is the shape that holds everything.
Times: up to eight moments in Unix ms, `{client,target}.{received,sent}.{start,end}.timestamp`.
The whole is `client.received.start` to `client.sent.end`; the latter exists only in a
PostClientFlow, else `system.timestamp` (the logging policy's own moment) stands in and the client's
receiving is not in it. The backend is `target.sent.start` to `target.received.end`, so the upload
of the body is in it; the client's part is what its receiving and sending do not share with the
backend (they overlap when streaming is on). Apigee retries within one target flow: tries included.
Shapes of other policies log fewer moments; what stands in is kept as `reading.*` attributes.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from collector.decode.context import context_from_headers, find_ids, read_context
from collector.decode.documents import decode_rows, unwrap
from collector.decode.fields import (
    FieldError,
    Row,
    derive_record_id,
    read_int,
    read_moment,
    read_ns_from_ms,
    read_squashed,
    read_text,
    squash_keys,
    write_raw,
)
from collector.decode.gateways import Adapter
from collector.decode.targets import split_target
from collector.decode.truth import NEGATIVE_SELF, Profile, check
from collector.model import Decoded, GatewayRecord, Id

PROFILE = Profile(
    stamped="start",
    is_client_in_total=True,
    are_tries_included=True,
    is_body_upload_included=True,
)

# Each moment by its squashed names: the flow variable, then what public policies call it.
_RECEIVED_START = ("clientreceivedstarttimestamp", "httpclientstarttimems", "clientreceivedstart")
_RECEIVED_END = (
    "clientreceivedendtimestamp",
    "proxyrequestreceived",
    "httpclientendtimems",
    "clientreceivedend",
)
_TARGET_SENT_START = ("targetsentstarttimestamp", "targetsentstart")
_TARGET_SENT_END = ("targetsentendtimestamp", "targetrequestsent", "targetsentend")
_TARGET_RECEIVED_START = ("targetreceivedstarttimestamp", "targetreceivedstart")
_TARGET_RECEIVED_END = (
    "targetreceivedendtimestamp",
    "targetresponsereceived",
    "targetreceivedend",
)
_SENT_START = ("clientsentstarttimestamp", "clientsentstart")
_SENT_END = ("clientsentendtimestamp", "proxyresponsesent", "clientsentend")
_LOGGED = ("systemtimestamp",)

_MESSAGE_ID = ("messageid", "correlationid", "gatewayflowid")
_STATUS = ("responsestatuscode", "messagestatuscode", "proxyresponsecode", "httpstatuscode")
_TARGET_STATUS = ("targetstatuscode", "targetresponsecode")
_HEADERS = {
    "traceparent": ("requestheadertraceparent", "traceparent"),
    "x-cloud-trace-context": ("requestheaderxcloudtracecontext", "xcloudtracecontext"),
    "b3": ("requestheaderb3", "b3"),
    "x-b3-traceid": ("requestheaderxb3traceid", "xb3traceid"),
    "x-b3-spanid": ("requestheaderxb3spanid", "xb3spanid"),
    "x-request-id": ("requestheaderxrequestid", "xrequestid"),
    "x-correlation-id": ("requestheaderxcorrelationid", "xcorrelationid"),
}
_ATTRIBUTES = {
    "apigee.organization": ("organizationname", "organization"),
    "apigee.environment": ("environmentname", "environment", "env"),
    "apigee.gateway_flow_id": ("gatewayflowid",),
    "user_agent.original": ("requestheaderuseragent", "useragent", "httpuseragent"),
}

Interval = tuple[int, int]


def decode(body: bytes) -> Decoded:
    """
    Decode log entries, in their order.

    Shape: objects whose keys are flow variables or spellings of them (`messageid`, `messageId`),
    one a line, in an array, with a syslog header before them, or inside Cloud Logging's
    `jsonPayload`; the shapes of Datadog's guide and of public Cloud Logging policies.

    Returns:
        One gateway record per entry; one without any of the client's moments is rejected.

    Raises:
        Undecodable: nothing in the body can be read. Never retried.
    """
    return decode_rows(body, _read_row, read_line=_read_line)


def _read_line(line: str) -> GatewayRecord:
    start = line.find("{")
    if start >= 0:
        try:
            row = orjson.loads(line[start:])
        except orjson.JSONDecodeError:
            row = None
        if isinstance(row, dict):
            return _read_row(row)
    raise FieldError("", "expected a JSON object, possibly after a syslog header")


def _read(squashed: dict[str, Any], row: Row) -> GatewayRecord:
    if _has_moment(squashed):
        return _build(squashed, write_raw(row))
    inner, _ = unwrap(row)
    if isinstance(inner, str):
        return _read_line(inner)
    if inner is None or not _has_moment(squash_keys(inner)):
        raise FieldError("client.received.start.timestamp", "is missing")
    return _read_row(inner)


_read_row = read_squashed(_read)


def _has_moment(row: Row) -> bool:
    return any(name in row for name in (*_RECEIVED_START, *_RECEIVED_END))


def _build(row: dict[str, Any], raw: str) -> GatewayRecord:
    target = split_target(read_text(row, "requesturl", "httpurl", "requesturi", "requestpath"))
    message_id = read_text(row, *_MESSAGE_ID)
    record = GatewayRecord(
        gateway="apigee",
        record_id=message_id or derive_record_id(raw),
        start_ns=0,
        method=read_text(row, "requestverb", "verb", "httpmethod"),
        scheme=target.scheme or read_text(row, "clientscheme"),
        host=target.host or read_text(row, "requestheaderhost", "host"),
        path=target.path,
        route=read_text(row, "proxybasepath"),
        status=read_int(row, *_STATUS),
        api=read_text(row, "apiproxyname", "apiproxy", "apigeeproxyname"),
        api_revision=read_text(row, "apiproxyrevision", "apigeeproxyrevision"),
        operation=read_text(row, "currentflowname", "flowname"),
        product=read_text(row, "apiproductname", "apiproduct"),
        consumer=read_text(row, "developerappname", "service"),
        user=read_text(row, "developeremail"),
        region=read_text(row, "systemregionname", "region"),
        client_address=read_text(row, "clientip", "proxyclientip", "networkclientip"),
        backend_host=read_text(row, "targethost", "targetip"),
        backend_path=split_target(read_text(row, "targeturl")).path,
        backend_id=read_text(row, "targetname"),
        raw=raw,
    )
    record.attributes = {
        name: value for name, keys in _ATTRIBUTES.items() if (value := read_text(row, *keys))
    }
    if target.query:
        record.attributes["url.query"] = target.query
    _read_times(record, row)
    _read_ids(record, row, message_id)
    _read_error(record, row)
    record.quality = check(record, PROFILE)
    return record


def _read_times(record: GatewayRecord, row: Row) -> None:
    received_start = _moment(row, _RECEIVED_START)
    received_end = _moment(row, _RECEIVED_END)
    start_ns = received_start or received_end
    if start_ns is None:
        raise FieldError("client.received.start.timestamp", "is missing")
    record.start_ns = start_ns
    notes = {}
    if received_start is None:
        notes["reading.start"] = "client.received.end"
    end_ns = _moment(row, _SENT_END)
    if end_ns is None and (end_ns := _moment(row, _LOGGED)) is not None:
        notes["reading.end"] = "system.timestamp"
    if end_ns is not None:
        record.duration_ns = end_ns - start_ns
    else:
        record.duration_ns = read_ns_from_ms(row, "totallatency")
        notes["reading.duration"] = "totalLatency" if record.duration_ns is not None else "missing"
    record.attributes = {**record.attributes, **notes}
    backend = _backend(record, row)
    sent_start = _moment(row, _SENT_START)
    is_sending_known = sent_start is not None and _moment(row, _SENT_END) is not None
    if received_start is not None and received_end is not None and is_sending_known:
        assert sent_start is not None and end_ns is not None
        receiving = (received_start, received_end)
        record.client_ns = _outside([receiving, (sent_start, end_ns)], backend)
        own_ns = end_ns - start_ns - record.client_ns - (record.backend_ns or 0)
        record.gateway_ns = own_ns if own_ns >= 0 else None
    _refuse_backwards(record)


def _backend(record: GatewayRecord, row: Row) -> Interval | None:
    """Set the backend's time; return its interval if both ends are known."""
    sent = _moment(row, _TARGET_SENT_START) or _moment(row, _TARGET_SENT_END)
    received = _moment(row, _TARGET_RECEIVED_END) or _moment(row, _TARGET_RECEIVED_START)
    if sent is None or received is None:
        record.backend_ns = read_ns_from_ms(row, "targetlatency")
        return None
    record.backend_ns = received - sent
    return (sent, received)


def _outside(intervals: Sequence[Interval], other: Interval | None) -> int:
    """Return how much of *intervals* does not lie within *other*."""
    total_ns = sum(end - start for start, end in intervals)
    if other is None:
        return total_ns
    return total_ns - sum(
        max(0, min(end, other[1]) - max(start, other[0])) for start, end in intervals
    )


def _refuse_backwards(record: GatewayRecord) -> None:
    """Take back times that run backwards: clocks of message processors differ."""
    for name in ("duration_ns", "backend_ns", "client_ns"):
        value = getattr(record, name)
        if value is not None and value < 0:
            setattr(record, name, None)
            record.quality = (NEGATIVE_SELF,)


def _moment(row: Row, names: tuple[str, ...]) -> int | None:
    for name in names:
        # a variable that was never set may render as 0
        if row.get(name) in (0, "0"):
            continue
        if moment := read_moment(row, name):
            return moment.ns
    return None


def _read_ids(record: GatewayRecord, row: Row, message_id: str) -> None:
    headers = {name: value for name, keys in _HEADERS.items() if (value := read_text(row, *keys))}
    context = context_from_headers(headers, "request.header.")
    if not context.trace_id and "traceid" in row:
        context = read_context({"trace_id": row["traceid"], "span_id": row.get("spanid")})
    record.trace_id = context.trace_id
    record.trace_id_source = context.source
    record.outgoing_span_id = context.outgoing_span_id
    record.is_sampled = context.is_sampled
    ids = (Id("apigee_message_id", message_id),) if message_id else ()
    record.ids = (*ids, *find_ids(headers))


def _read_error(record: GatewayRecord, row: Row) -> None:
    record.backend_status = read_int(row, *_TARGET_STATUS)
    record.error_reason = read_text(row, "faultname")
    record.error_message = read_text(row, "errormessage")
    status = record.status
    record.is_error = status >= 500 if status is not None else bool(record.error_reason)
    if status is None or status >= 400:
        is_backend = record.backend_status is not None and record.backend_status >= 400
        if is_backend:
            record.error_source = "backend"
        elif record.error_reason or record.is_error:
            record.error_source = "gateway"


ADAPTER = Adapter(
    name="apigee",
    product="Apigee",
    decode=decode,
    source="https://cloud.google.com/apigee/docs/api-platform/reference/variables-reference",
)
