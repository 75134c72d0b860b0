"""
Spring Cloud Gateway's access log, as reactor-netty writes it.

Its spans come by OTLP or Zipkin and hold more: `decode.records.from_spans` makes records of them.

Source: reactor-netty BaseAccessLogHandler and AccessLogFactory (default and error formats); Spring
Boot's structured logging for the JSON around a line.
Times: the time in brackets is the start of the request, to the second (`dd/MMM/yyyy:HH:mm:ss Z`;
older documents show RFC 3339 with ms: both are read). The duration is the whole in ms, up to the
last byte handed to the socket, so it holds the client's receiving. There is no backend time.
"""

import re
from typing import Any

from collector.decode.aliases import flatten
from collector.decode.context import read_context
from collector.decode.fields import (
    FieldError,
    Row,
    derive_record_id,
    describe,
    is_missing,
    read_int,
    read_ns_from_ms,
    read_status,
    read_text,
    require_timestamp,
    write_raw,
)
from collector.decode.gateways import Adapter
from collector.decode.outcome import settle
from collector.decode.quality import Profile, check
from collector.decode.reading import Reader
from collector.decode.urls import split_target
from collector.identity.ids import normalise_span_id, normalise_trace_id, parse_traceparent
from collector.model import GatewayRecord

PROFILE = Profile(stamped="start")

# A logger's own layout may stand before the line; starting after a blank keeps the search linear.
# Older versions put the port and "ms" around the duration.
_LINE = re.compile(
    r'(?:^|(?<=\s))(?P<remote>\S{1,128}) - (?P<user>\S{1,128}) \[(?P<time>[^\]"]{1,64})\] '
    r'"(?P<method>[A-Z]{1,16}) (?P<uri>[^" ]*) (?P<protocol>[^" ]{1,16})" '
    r"(?P<status>\d{3}) (?P<bytes>\d+|-)(?: (?P<port>\d{1,5})(?= \d+ ms))?"
    r" (?P<duration>\d+)(?: ms)?(?P<more>(?: [^\s\"]{1,128}| \"[^\"]*\"){0,8})$",
    re.ASCII,
)
# Spring Boot's `[app,trace,span]`, `[trace-span]` of Boot 3.2 on, Sleuth's with `,true`; a layout
# of one's own with `traceId=… spanId=…`. Only behind its name a trace stands alone.
_CORRELATION = re.compile(
    r"(?:[\[,\s]|(?P<name>trace(?:_?id)?[=:]\s?))(?P<trace>[0-9a-f]{32}|[0-9a-f]{16})"
    r"(?(name)(?:(?:[,-]\s?|[,;]?\s{0,3}span(?:_?id)?[=:]\s?)(?P<span>[0-9a-f]{16}))?"
    r"|[,-]\s?(?P<next>[0-9a-f]{16}))(?=[\],;\s]|$)",
    re.ASCII | re.IGNORECASE,
)
_TRACEPARENT = re.compile(r"(?<![\w-])00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?![\w-])", re.ASCII)
_QUOTED = re.compile(r'"([^"]*)"')
# What structured logging writes around a message.
_MARKS = frozenset(
    (
        *("logger_name", "logger", "log.logger", "loggerName", "traceId", "mdc"),
        *("_logger_name", "_log_logger"),
    )
)
_LONGEST_LINE = 32_768


def _is_row(row: Row) -> bool:
    message = _message(row)
    if not isinstance(message, str) or not _is_line(message):
        return False
    log = row.get("log")  # Elastic's schema, nested
    return not _MARKS.isdisjoint(row) or (log.__class__ is dict and "logger" in log)


def _message(row: Row) -> Any:
    """Return the message, also of Graylog's format."""
    return row.get("message", row.get("short_message"))


def _is_line(line: str) -> bool:
    # its parts: the search for the whole costs as much as reading it
    return len(line) <= _LONGEST_LINE and '] "' in line and " - " in line and " HTTP/" in line


def _read(row: Row) -> GatewayRecord:
    message = _message(row)
    if not isinstance(message, str):
        is_there = message is not None
        reason = f"expected text, got {describe(message)}" if is_there else "is missing"
        raise FieldError("message", reason)
    record = _read_line(message)
    record.instance = read_text(row, "host", "hostname")
    context = read_context(row)
    for name in ("mdc", "contextMap"):
        if not context.trace_id and isinstance(row.get(name), dict):
            context = read_context(row[name])
    if not context.trace_id:
        context = read_context(flatten(row))
    if context.trace_id:
        record.trace_id = context.trace_id
        record.trace_id_source = context.source
        record.outgoing_span_id = context.outgoing_span_id
    return record


def _read_line(line: str) -> GatewayRecord:
    match = _LINE.search(line) if len(line) <= _LONGEST_LINE else None
    if match is None:
        raise FieldError("", "expected reactor-netty's access-log format")
    row: dict[str, Any] = match.groupdict()
    start = require_timestamp(row, "time")
    target = split_target(row["uri"])
    raw = write_raw(line)
    status = read_status(row, "status")
    assert status is not None
    record = GatewayRecord(
        gateway="spring-cloud-gateway",
        # without what a logger put before it, so that two shippers of one line agree
        record_id=derive_record_id(match[0]),
        start_ns=start.ns,
        kind="websocket" if status == 101 else "http",
        duration_ns=read_ns_from_ms(row, "duration"),
        method=row["method"],
        path=target.path,
        protocol=row["protocol"],
        status=status,
        user=read_text(row, "user"),
        client_address=row["remote"],
        response_bytes=read_int(row, "bytes"),
        attributes=_attributes(target.query, row["more"]),
        raw=raw,
    )
    settle(record)
    _read_trace(record, row["more"], line[: match.start()])
    record.quality = check(record, PROFILE, start_resolution_ns=start.resolution_ns)
    return record


def _attributes(query: str, more: str) -> dict[str, str]:
    attributes = {"url.query": query} if query else {}
    # behind the referrer, if a layout has both
    agents = [each for each in _QUOTED.findall(more)[:2] if not is_missing(each)]
    return attributes | ({"user_agent.original": agents[-1]} if agents else {})


def _read_trace(record: GatewayRecord, after: str, before: str) -> None:
    """Take the trace from a logged header, else from what a layout has around the line."""
    header = _TRACEPARENT.search(after)
    if header and (context := parse_traceparent(header[0])):
        record.trace_id = context.trace_id
        record.trace_id_source = "traceparent"
        record.outgoing_span_id = context.span_id
        record.is_sampled = context.is_sampled
    elif found := _CORRELATION.search(before) or _CORRELATION.search(after):
        record.trace_id = normalise_trace_id(found["trace"])
        record.trace_id_source = "log layout" if record.trace_id else ""
        record.outgoing_span_id = normalise_span_id(found["span"] or found["next"] or "")


ADAPTER = Adapter(
    name="spring-cloud-gateway",
    product="Spring Cloud Gateway",
    reader=Reader(is_row=_is_row, read_row=_read, is_line=_is_line, read_line=_read_line),
    source="https://docs.spring.io/projectreactor/reactor-netty/docs/current/reference/"
    "http-server.html (access log)",
)
