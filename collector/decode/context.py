"""
The trace context in a log entry whose keys its user chose.

Source: variable names of opentelemetry-cpp-contrib's nginx module, nginx.org's otel module, Envoy's
`%TRACE_ID%`, Contour's default keys, and Spring's logging MDC.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from collector.decode.aliases import Aliases
from collector.decode.fields import Row, is_missing
from collector.identity.ids import (
    REQUEST_ID_HEADERS,
    TraceContext,
    hex_from_decimal,
    normalise_span_id,
    normalise_trace_id,
    request_id_key,
    trace_context_from_headers,
)
from collector.model import Id

# Each carrier and each single id with the keys that users give them; a header's key may have words
# before it that say where the header was ("http_traceparent" of nginx).
_FACTS = Aliases(
    {
        "traceparent": ("w3c_traceparent",),
        "b3": ("b3_single",),
        "x-b3-traceid": ("b3_traceid",),
        "x-b3-spanid": ("b3_spanid",),
        "x-b3-parentspanid": ("b3_parentspanid",),
        "x-b3-sampled": ("b3_sampled",),
        "uber-trace-id": (),
        "x-amzn-trace-id": ("amzn_trace_id",),
        "x-cloud-trace-context": ("cloud_trace_context",),
        # what Datadog's tracers write into logs: decimal, or hex where the id has 128 bits
        "x-datadog-trace-id": ("dd.trace_id", "datadog_trace_id"),
        "x-datadog-parent-id": ("dd.span_id", "datadog_span_id"),
        "trace_id": ("trace", "logging.googleapis.com/trace"),
        "span_id": ("logging.googleapis.com/spanId",),
        "parent_span_id": ("parent_id",),
        "sampled": ("parent_sampled", "trace_sampled"),
    },
    prefixes=(
        *("http", "request", "req", "header", "headers", "request_header", "req_header"),
        *("request_headers", "opentelemetry", "opentelemetry_context", "opentracing_context"),
        *("otel", "w3c"),
    ),
)
# Those that say whose they are; of the others the adapters know their products' names.
_IDS = Aliases(
    {
        name: ("correlation_id",) if name == "x-correlation-id" else ()
        for name in REQUEST_ID_HEADERS
        if name not in ("x-request-id", "x-amzn-trace-id", "request-id")
    },
    prefixes=("http", "request", "req", "header", "headers", "request_header", "request_headers"),
)
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])", re.ASCII)
_TEXT = (str,)
_NUMBER_OR_TEXT = (str, int)
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
    keys = _FACTS.keys(row)
    if not keys:
        return _NONE
    headers = {}
    for name, spellings in keys.items():
        values = (row[key] for key in spellings)
        written = _NUMBER_OR_TEXT if name.startswith("x-datadog-") else _TEXT
        value = next((each for each in values if each and each.__class__ in written), "")
        if value:
            headers[name] = str(value)
    context = context_from_headers(headers)
    if context.trace_id:
        carrier = "x-b3-traceid" if context.source == "x-b3" else context.source
        if carrier == "x-b3-traceid":
            parent = normalise_span_id(headers.get("x-b3-parentspanid", ""))
            context = context._replace(parent_span_id=parent)
        return context._replace(source=keys.get(carrier, (carrier,))[0])
    name = "trace_id" if "trace_id" in headers else "x-datadog-trace-id"
    trace_id = normalise_trace_id(headers.get(name, "").rpartition("/")[2])
    if not trace_id:
        return _NONE
    span_id = headers.get("span_id", "")
    if not span_id and "x-datadog-parent-id" in headers:
        span_id = hex_from_decimal(headers["x-datadog-parent-id"])
    return LoggedContext(
        trace_id,
        outgoing_span_id=normalise_span_id(span_id),
        parent_span_id=normalise_span_id(headers.get("parent_span_id", "")),
        is_sampled=_flag(row, keys.get("sampled", ())),
        source=keys[name][0],
    )


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


def find_logged_ids(row: Row) -> tuple[Id, ...]:
    """Return the request ids that other gateways sent and *row* has under their headers' names."""
    keys = _IDS.keys(row)
    if not keys:
        return ()
    return find_ids({name: value for name, value in _IDS.resolve(row).items() if _is_text(value)})


def distinct(ids: Sequence[Id]) -> tuple[Id, ...]:
    """Return *ids*, each once, in their order."""
    # hashing an id costs 0.5 us, hashing its text nearly nothing
    is_distinct = len({each.value for each in ids}) == len(ids)
    return tuple(ids) if is_distinct else tuple(dict.fromkeys(ids))


def _is_text(value: object) -> bool:
    return value.__class__ is str and bool(value)


def _is_id(text: str) -> bool:
    # nearly all have nothing to strip, are no word for "none" and not all zeros: 0.2 us, not 1
    if 12 <= len(text) <= 128 and text[0].isalnum() and text[-1].isalnum() and text.strip("0-"):
        return True
    return bool(request_id_key(text))


def _from_carrier(context: TraceContext, source: str) -> LoggedContext:
    return LoggedContext(
        context.trace_id, context.span_id, is_sampled=context.is_sampled, source=source
    )


def _flag(row: Row, keys: Sequence[str]) -> bool | None:
    value = next((row[key] for key in keys if not is_missing(row[key])), None)
    return {"1": True, "0": False, "true": True, "false": False}.get(str(value).lower())
