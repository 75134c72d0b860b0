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

from collector.decode.aliases import Aliases, flatten
from collector.decode.context import context_from_headers, find_ids, read_context
from collector.decode.fields import (
    FieldError,
    Row,
    derive_record_id,
    read_ns_from_ms,
    read_status,
    read_text,
    read_texts,
    read_timestamp,
    write_raw,
)
from collector.decode.gateways import Adapter
from collector.decode.outcome import has_client_left, note_grpc, settle
from collector.decode.quality import NEGATIVE_SELF, Profile, check
from collector.decode.reading import Reader
from collector.decode.urls import split_target
from collector.model import GatewayRecord, Id
from collector.timestamps import NS_PER_MS

PROFILE = Profile(stamped="start")

_HEADERS = {
    "request.header.traceparent": "traceparent",
    "request.header.x-cloud-trace-context": "x-cloud-trace-context",
    "request.header.b3": "b3",
    "request.header.x-b3-traceid": "x-b3-traceid",
    "request.header.x-b3-spanid": "x-b3-spanid",
    "request.header.x-request-id": "x-request-id",
    "request.header.x-correlation-id": "x-correlation-id",
}
_ATTRIBUTES = {
    "apigee.organization": "organization.name",
    "apigee.environment": "environment.name",
    "apigee.gateway_flow_id": "gateway_flow_id",
    "user_agent.original": "request.header.user-agent",
}
# Each flow variable with what public policies call it.
_ALIASES = Aliases(
    {
        "client.received.start.timestamp": (
            *("http.client.start_time_ms", "client.received.start", "clientReceived"),
            *("requestStart", "request_start", "request.start.timestamp", "clientStartTimeStamp"),
            *("start_time", "start", "client.received.start.time"),
        ),
        "client.received.end.timestamp": (
            "client.received.end",
            "proxyRequestReceived",
            "http.client.end_time_ms",
            "client.received.end.time",
        ),
        "target.sent.start.timestamp": (
            *("target.sent.start", "targetSent", "targetStart", "target.sent.start.time"),
        ),
        "target.sent.end.timestamp": ("target.sent.end", "targetRequestSent"),
        "target.received.start.timestamp": ("target.received.start", "target.received.start.time"),
        "target.received.end.timestamp": (
            *("target.received.end", "targetResponseReceived", "targetReceived", "targetEnd"),
            "target.received.end.time",
        ),
        "client.sent.start.timestamp": ("client.sent.start", "client.sent.start.time"),
        "client.sent.end.timestamp": (
            *("client.sent.end", "proxyResponseSent", "clientSent", "requestEnd", "request_end"),
            *("request.end.timestamp", "clientEndTimeStamp", "end_time", "end"),
            "client.sent.end.time",
        ),
        "system.timestamp": ("system.time",),
        "logged": ("timestamp", "@timestamp", "time"),
        "totalLatency": ("total_response_time", "latency", "totalTime", "responseTime"),
        "targetLatency": ("target_response_time", "targetTime"),
        "messageid": ("correlationId", "gateway_flow_id"),
        "response.header.grpc-status": ("message.header.grpc-status",),
        "response.status.code": (
            *("message.status.code", "proxyResponseCode", "http.status_code", "statusCode"),
            *("response_status_code", "responseCode", "status_code", "errorStatusCode", "status"),
        ),
        "target.status.code": ("targetResponseCode",),
        "request.url": (
            *("http.url", "request.uri", "request.path", "uri", "path", "url"),
            *("proxy.url", "requestPathSuffix"),
        ),
        "request.verb": ("verb", "http.method", "requestMethod", "method"),
        "client.scheme": (),
        "request.header.host": ("hostHeader", "requestHost", "host"),
        "proxy.basepath": (),
        "apiproxy.name": ("apiProxy", "apigee_proxy.name", "proxyName", "proxy", "api"),
        "apiproxy.revision": ("apigee_proxy.revision", "revision", "proxyRevision"),
        "current.flow.name": ("flow.name",),
        "apiproduct.name": ("apiProduct",),
        "developer.app.name": ("developer_app", "service"),
        "developer.email": (),
        "system.region.name": ("region",),
        "client.ip": ("proxy.client.ip", "network.client.ip", "client_ip"),
        "target.host": ("target.ip",),
        "target.url": (),
        "target.name": (),
        "fault.name": (),
        "error.message": (),
        "trace_id": (),
        "span_id": (),
        **{name: (header,) for name, header in _HEADERS.items()},
        "organization.name": ("organization",),
        "environment.name": ("environment", "env"),
        "request.header.user-agent": ("useragent", "http.useragent"),
    }
)

_NESTED = ("client", "request", "apiproxy", "proxy", "apigee", "system")
_NEEDED = ("client.received.start.timestamp", "client.received.end.timestamp")
_MARKS = frozenset((*_NEEDED, "apiproxy.name", "messageid"))
# above, a number may be of another unit; below, too
_LEAST_MS, _MOST_MS = 10**11, 9 * 10**12
_SENT_START = "target.sent.start.timestamp"
Interval = tuple[int, int]


def _is_row(row: Row) -> bool:
    if not _MARKS.isdisjoint(row):
        return True
    is_nested = any(row.get(name).__class__ is dict for name in _NESTED)
    keys = _ALIASES.keys(flatten(row) if is_nested else row)
    if "messageid" in keys:
        return "apiproxy.name" in keys
    # "start" alone is everybody's
    return any(len(key) > 12 for name in _NEEDED for key in keys.get(name, ()))


def _read(facts: dict[str, Any], row: Row) -> GatewayRecord:
    if not _is_row(row):
        raise FieldError(_NEEDED[0], "is missing")
    raw = write_raw(row)
    if dict in map(type, row.values()):
        row = flatten(row)
        facts = _ALIASES.resolve(row)
    return _build(facts, raw)


_read_row = _ALIASES.reader(_read)


def _build(row: dict[str, Any], raw: str) -> GatewayRecord:
    if not any(name in row for name in (*_NEEDED, "system.timestamp", "logged")):
        raise FieldError(_NEEDED[0], "is missing")
    target = split_target(read_text(row, "request.url"))
    message_id = read_text(row, "messageid")
    record = GatewayRecord(
        gateway="apigee",
        record_id=message_id or derive_record_id(raw),
        start_ns=0,
        method=read_text(row, "request.verb"),
        scheme=target.scheme or read_text(row, "client.scheme"),
        host=target.host or read_text(row, "request.header.host"),
        path=target.path,
        route=read_text(row, "proxy.basepath"),
        status=read_status(row, "response.status.code"),
        api=read_text(row, "apiproxy.name"),
        api_revision=read_text(row, "apiproxy.revision"),
        operation=read_text(row, "current.flow.name"),
        product=read_text(row, "apiproduct.name"),
        consumer=read_text(row, "developer.app.name"),
        user=read_text(row, "developer.email"),
        region=read_text(row, "system.region.name"),
        client_address=read_text(row, "client.ip"),
        backend_host=read_text(row, "target.host"),
        backend_path=split_target(read_text(row, "target.url")).path,
        backend_id=read_text(row, "target.name"),
        raw=raw,
    )
    record.attributes = attributes = read_texts(row, _ATTRIBUTES)
    if target.query:
        attributes["url.query"] = target.query
    _read_times(record, row, attributes)
    _read_ids(record, row, message_id)
    _read_error(record, row)
    record.quality = check(record, PROFILE)
    return record


def _read_times(record: GatewayRecord, row: Row, notes: dict[str, str]) -> None:
    received_start = _moment(row, "client.received.start.timestamp")
    received_end = _moment(row, "client.received.end.timestamp")
    sent_start = _moment(row, "client.sent.start.timestamp")
    sent_end = _moment(row, "client.sent.end.timestamp")
    start_ns = received_start or received_end
    if start_ns is None:
        start_ns = _start_by_end(row)
        notes["reading.start"] = "system.timestamp - totalLatency"
    elif received_start is None:
        notes["reading.start"] = "client.received.end"
    record.start_ns = start_ns
    end_ns = sent_end
    is_start_told = received_start or received_end
    if (
        end_ns is None
        and is_start_told
        and (end_ns := _moment(row, "system.timestamp")) is not None
    ):
        notes["reading.end"] = "system.timestamp"
    if end_ns is not None:
        record.duration_ns = end_ns - start_ns
    else:
        record.duration_ns = read_ns_from_ms(row, "totalLatency")
        notes["reading.duration"] = "totalLatency" if record.duration_ns is not None else "missing"
    backend = _backend(record, row)
    if received_start and received_end and sent_start and sent_end:
        client = [(received_start, received_end), (sent_start, sent_end)]
        record.client_ns = _outside(client, backend)
        own_ns = sent_end - start_ns - record.client_ns - (record.backend_ns or 0)
        record.gateway_ns = own_ns if own_ns >= 0 else None
    _refuse_end_before_start(record)


def _start_by_end(row: Row) -> int:
    """Return the start where only the moment of logging is told, which is at the end."""
    end_ns = _moment(row, "system.timestamp") or _moment(row, "logged")
    # who logs the ends of the phases means to log their starts
    if end_ns is None or "client.sent.end.timestamp" in row:
        raise FieldError("client.received.start.timestamp", "is missing")
    return end_ns - (read_ns_from_ms(row, "totalLatency") or 0)


def _backend(record: GatewayRecord, row: Row) -> Interval | None:
    """Set the backend's time; return its interval if both ends are known."""
    sent = _moment(row, _SENT_START)
    sent = sent or _moment(row, "target.sent.end.timestamp")
    received = _moment(row, "target.received.end.timestamp")
    received = received or _moment(row, "target.received.start.timestamp")
    if sent is None or received is None:
        record.backend_ns = read_ns_from_ms(row, "targetLatency")
        if sent is None and record.backend_ns is None and _SENT_START in row:
            # the variable is logged and was never set: no target was called
            record.attempts = 0
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


def _refuse_end_before_start(record: GatewayRecord) -> None:
    """Take back times that run backwards: clocks of message processors differ."""
    for name in ("duration_ns", "backend_ns", "client_ns"):
        value = getattr(record, name)
        if value is not None and value < 0:
            setattr(record, name, None)
            record.quality = (NEGATIVE_SELF,)


def _moment(row: Row, name: str) -> int | None:
    # a variable that was never set may render as 0, or as it stands in the template
    value = row.get(name)
    if value in (None, 0, "0") or (value.__class__ is str and value[:1] == "{"):
        return None
    # eight a record, nearly always whole ms: 0.1 us each instead of 0.7
    if value.__class__ is int and _LEAST_MS <= value <= _MOST_MS:
        return value * NS_PER_MS
    moment = read_timestamp(row, name)
    return moment.ns if moment else None


def _read_ids(record: GatewayRecord, row: Row, message_id: str) -> None:
    headers = {
        header: value
        for name, header in _HEADERS.items()
        if name in row and (value := read_text(row, name))
    }
    context = context_from_headers(headers, "request.header.")
    if not context.trace_id and "trace_id" in row:
        context = read_context({"trace_id": row["trace_id"], "span_id": row.get("span_id")})
    record.trace_id = context.trace_id
    record.trace_id_source = context.source
    record.outgoing_span_id = context.outgoing_span_id
    record.is_sampled = context.is_sampled
    ids = (Id("apigee_message_id", message_id),) if message_id else ()
    record.ids = (*ids, *find_ids(headers))


def _read_error(record: GatewayRecord, row: Row) -> None:
    record.backend_status = read_status(row, "target.status.code")
    record.error_reason = read_text(row, "fault.name")
    record.error_message = read_text(row, "error.message")
    note_grpc(record, read_text(row, "response.header.grpc-status"))
    settle(record)
    status = record.status
    if has_client_left(record) or (status is not None and status < 400):
        return
    if record.backend_status is not None and record.backend_status >= 400:
        record.error_source = "backend"
    elif record.error_reason or record.is_error:
        record.error_source = "gateway"


ADAPTER = Adapter(
    name="apigee",
    product="Apigee",
    reader=Reader(is_row=_is_row, read_row=_read_row),
    source="https://cloud.google.com/apigee/docs/api-platform/reference/variables-reference",
)
