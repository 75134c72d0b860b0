"""
The trace context in a log entry whose keys its user chose.

Source: variable names of opentelemetry-cpp-contrib's nginx module, nginx.org's otel module, Envoy's
`%TRACE_ID%`, Contour's default keys, and Spring's logging MDC.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from collector.decode.fields import Row, is_missing
from collector.identity.ids import (
    REQUEST_ID_HEADERS,
    TraceContext,
    normalise_span_id,
    normalise_trace_id,
    parse_b3,
    parse_traceparent,
    parse_uber,
    parse_xray,
    request_id_key,
    trace_context_from_headers,
)
from collector.model import Id

_WHOLE = (
    ("trace_parent", parse_traceparent),
    ("opentelemetry_context_traceparent", parse_traceparent),
    ("b3", parse_b3),
    ("opentelemetry_context_b3", parse_b3),
    ("uber_trace_id", parse_uber),
    ("uber-trace-id", parse_uber),
    ("x_amzn_trace_id", parse_xray),
    ("x-amzn-trace-id", parse_xray),
)
_TRACE_ID = (
    "trace_id",
    "traceId",
    "traceID",
    "trace.id",
    "opentelemetry_trace_id",
    "otel_trace_id",
    "x_b3_traceid",
    "x-b3-traceid",
)
_SPAN_ID = (
    "span_id",
    "spanId",
    "spanID",
    "span.id",
    "opentelemetry_span_id",
    "otel_span_id",
    "x_b3_spanid",
    "x-b3-spanid",
)
_PARENT_ID = ("parent_span_id", "parentSpanId", "otel_parent_id", "x_b3_parentspanid")
_SAMPLED = ("otel_parent_sampled", "trace_sampled", "x_b3_sampled")
_KEYS = frozenset(("traceparent", *(key for key, _ in _WHOLE), *_TRACE_ID))
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])", re.ASCII)
_ID_RANKS = {name: rank for rank, name in enumerate(REQUEST_ID_HEADERS)}
_ZERO_TRACE = "0" * 32
_ZERO_SPAN = "0" * 16
_CARRIERS = frozenset(
    (
        "traceparent",
        "b3",
        "x-b3-traceid",
        "uber-trace-id",
        "x-amzn-trace-id",
        "x-cloud-trace-context",
        "x-datadog-trace-id",
        "grpc-trace-bin",
        "request-id",
    )
)


class LoggedContext(NamedTuple):
    """
    The trace context a gateway logged; `trace_id` is "" when it logged none.

    `outgoing_span_id` is the span id in a logged header: the gateway's own when it traces, the
    client's when it only passes the header on. In both cases a span with this parent is the
    continuation. `source` is the key it was found under.
    """

    trace_id: str
    outgoing_span_id: str = ""
    parent_span_id: str = ""
    is_sampled: bool | None = None
    source: str = ""


_NONE = LoggedContext("")


def read_context(row: Row) -> LoggedContext:
    """
    Return the trace context among the keys of *row*; whole headers win over single ids.

    Returns:
        A context without trace id when there is none, or none that is valid.
    """
    if _KEYS.isdisjoint(row):
        return _NONE
    header = row.get("traceparent")
    if isinstance(header, str):
        context = context_from_headers({"traceparent": header})
        if context.trace_id:
            return context
    for key, parse in _WHOLE:
        value = row.get(key)
        if isinstance(value, str) and (found := parse(value)):
            return _from_carrier(found, key)
    for key in _TRACE_ID:
        value = row.get(key)
        if isinstance(value, str) and (trace_id := normalise_trace_id(value)):
            return LoggedContext(
                trace_id,
                outgoing_span_id=_first_span_id(row, _SPAN_ID),
                parent_span_id=_first_span_id(row, _PARENT_ID),
                is_sampled=_first_flag(row),
                source=key,
            )
    return _NONE


def find_context(headers: Mapping[str, str]) -> TraceContext | None:
    """Return all that *headers* (lower-case names) say of the trace; most records carry nothing."""
    if _CARRIERS.isdisjoint(headers):
        return None
    return parse_traceparent(headers.get("traceparent", "")) or trace_context_from_headers(headers)


def context_from_headers(headers: Mapping[str, str], within: str = "") -> LoggedContext:
    """
    Return the trace context of *headers* (lower-case names) as the gateway's outgoing one.

    *within* is put before the carrier's name in `source`.
    """
    # the test costs 0.2 µs, reading nine carriers in vain 9 µs
    if _CARRIERS.isdisjoint(headers):
        return _NONE
    # the usual form is read here because this is a third of a record's time otherwise
    if match := _TRACEPARENT.fullmatch(headers.get("traceparent", "")):
        trace_id, span_id, sampled = match.groups()
        if trace_id != _ZERO_TRACE and span_id != _ZERO_SPAN:
            return LoggedContext(trace_id, span_id, "", sampled == "1", within + "traceparent")
    context = trace_context_from_headers(headers)
    return _from_carrier(context, within + context.carrier) if context else _NONE


def find_ids(headers: Mapping[str, str]) -> tuple[Id, ...]:
    """Return the request ids among *headers* (lower-case names)."""
    # messages have few headers, and most no id: looking for all eleven names costs three times that
    found = [name for name in headers if name in _ID_RANKS]
    if len(found) > 1:
        found.sort(key=_ID_RANKS.__getitem__)
    return tuple(
        [
            Id(REQUEST_ID_HEADERS[name], headers[name].strip())
            for name in found
            if _is_id(headers[name])
        ]
    )


def distinct(ids: Sequence[Id]) -> tuple[Id, ...]:
    """Return *ids*, each once, in their order."""
    # hashing an id costs 0.5 us, hashing its text nearly nothing
    is_distinct = len({each.value for each in ids}) == len(ids)
    return tuple(ids) if is_distinct else tuple(dict.fromkeys(ids))


def _is_id(text: str) -> bool:
    # nearly all have nothing to strip, are no word for "none" and not all zeros: 0.2 us, not 1
    if 12 <= len(text) <= 128 and text[0].isalnum() and text[-1].isalnum() and text.strip("0-"):
        return True
    return bool(request_id_key(text))


def _from_carrier(context: TraceContext, source: str) -> LoggedContext:
    return LoggedContext(
        context.trace_id, context.span_id, is_sampled=context.is_sampled, source=source
    )


def _first_span_id(row: Row, keys: tuple[str, ...]) -> str:
    for key in keys:
        value = row.get(key)
        if isinstance(value, str) and (span_id := normalise_span_id(value)):
            return span_id
    return ""


def _first_flag(row: Row) -> bool | None:
    value = next((row[key] for key in _SAMPLED if not is_missing(row.get(key))), None)
    return {"1": True, "0": False, "true": True, "false": False}.get(str(value).lower())
