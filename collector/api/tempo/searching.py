"""
Searches by TraceQL or by tags, and the names and values of attributes that there are.

Source: grafana/tempo pkg/api/http.go (parameters), Tempo documentation, "Tempo API".
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from time import monotonic
from typing import Any

from collector.api.tempo.lexer import refuse
from collector.api.tempo.matching import Matcher
from collector.api.tempo.pipeline import Spanset, find_spansets
from collector.api.tempo.query import (
    INTRINSICS,
    KINDS,
    STATUSES,
    Attribute,
    Both,
    Comparison,
    Not,
    Spansets,
    Structure,
    TraceQuery,
    Wanted,
)
from collector.api.tempo.traceql import parse_attribute, parse_traceql
from collector.api.traces.otlp import render_value
from collector.api.traces.shown import ShownSpan, ShownTrace, show_trace
from collector.api.traces.values import Value
from collector.errors import BadQuestion, QueryTimeout
from collector.query.reports.trace_search import DEFAULT_RANGE_NS, TraceSearch, read_duration
from collector.query.results import Stitched
from collector.query.service import QueryService
from collector.timestamps import NS_PER_MS, NS_PER_S

Document = dict[str, Any]

_LIMIT, _MOST = 20, 500
_SPANS, _MOST_SPANS = 3, 1_000
# Names and values are those of so many of the newest requests.
_SAMPLED = 200
_MOST_VALUES = 5_000
_PATIENCE_S = 20.0
_MAX_S = 9_223_372_036
_PAIR = re.compile(r"""\s*([^\s="]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*)))?(?=\s|$)""", re.DOTALL)
_SCOPES = ("span", "resource", "event", "intrinsic")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which traces are wanted, and how much of each is shown."""

    query: TraceQuery
    tags: Mapping[str, str]
    search: TraceSearch
    min_duration_ns: int | None
    max_duration_ns: int | None
    spans: int


def read_search(given: Mapping[str, str], now_ns: int) -> Asked:
    """
    Read the parameters of a search.

    Raises:
        BadQuestion: one cannot be read, or a part of the query is not understood.
    """
    if given.get("q") and given.get("tags"):
        msg = "invalid request: can't specify tags and q in the same query"
        raise BadQuestion(msg)
    query = parse_traceql(given.get("q", ""))
    if query.metric is not None:
        raise refuse(f"| {query.metric.function}(…) is a metric, which a search does not return")
    service, shortest = _needed(query.spansets)
    return Asked(
        query=query,
        tags=_read_tags(given.get("tags", "")),
        search=_build_search(given, now_ns, service, shortest),
        min_duration_ns=read_duration("minDuration", given.get("minDuration", "")),
        max_duration_ns=read_duration("maxDuration", given.get("maxDuration", "")),
        spans=_read_count(given, "spss", _SPANS, _MOST_SPANS),
    )


def _build_search(
    given: Mapping[str, str], now_ns: int, service: str = "", min_duration_ns: int | None = None
) -> TraceSearch:
    end_ns = _read_second(given, "end", now_ns)
    start_ns = _read_second(given, "start", end_ns - DEFAULT_RANGE_NS)
    if start_ns >= end_ns:
        msg = "start: is not before end"
        raise BadQuestion(msg)
    return TraceSearch(
        service=service,
        operation="",
        start_ns=start_ns,
        end_ns=end_ns,
        min_duration_ns=min_duration_ns,
        max_duration_ns=None,
        tags={},
        limit=_read_count(given, "limit", _LIMIT, _MOST),
    )


def _needed(wanted: Wanted) -> tuple[str, int | None]:
    """Return the service and the shortest duration that one span has to have in any case."""
    service, shortest = "", None
    match wanted:
        case Spansets(parts, False) | Both(parts, False):
            for part in parts:
                inner_service, inner_shortest = _needed(part)
                service = service or inner_service
                shortest = max(shortest or 0, inner_shortest) if inner_shortest else shortest
        case Spansets((part,)):
            return _needed(part)
        case Structure(symbol, left, right):
            sides = (right,) if symbol.startswith("!") else (left, right)
            return _needed(Spansets(sides))
        case Comparison(Attribute("" | "resource", "service.name"), "=", str(name)):
            service = name
        case Comparison(Attribute("intrinsic", "duration"), ">" | ">=", int(length_ns)):
            shortest = max(length_ns, 0)
    return service, shortest


def find_traces(questions: QueryService, asked: Asked) -> Document:
    """Return the newest traces that fit, with the spans that make them fit."""
    looked_through = _until_late(questions.traces.look_through(asked.search))
    shown = (show_trace(each) for each in looked_through)
    found = (_match(trace, asked) for trace in shown if trace.spans)
    traces = list(islice((each for each in found if each is not None), asked.search.limit))
    return {"traces": traces, "metrics": {"inspectedTraces": len(traces)}}


def _match(trace: ShownTrace, asked: Asked) -> Document | None:
    matcher = Matcher(trace)
    shortest, longest = asked.min_duration_ns, asked.max_duration_ns
    if shortest is not None and matcher.duration_ns < shortest:
        return None
    if longest is not None and matcher.duration_ns > longest:
        return None
    found = find_spansets(matcher, asked.query)
    if asked.tags:
        tagged = [Spanset([s for s in f.spans if _has_tags(matcher, s, asked.tags)]) for f in found]
        found = [each for each in tagged if each.spans]
    if not found:
        return None
    names = [*dict.fromkeys((*_attributes_of(asked.query.spansets), *asked.query.selected))]
    spansets = [_render_spanset(matcher, each, names, asked.spans) for each in found[:_MOST]]
    counts: dict[str, Document] = {}
    for span in trace.spans:
        count = counts.setdefault(span.service, {"spanCount": 0, "errorCount": 0})
        count["spanCount"] += 1
        count["errorCount"] += span.is_error
    return {
        "traceID": trace.trace_id,
        "rootServiceName": matcher.root.service,
        "rootTraceName": matcher.root.name,
        "startTimeUnixNano": str(matcher.start_ns),
        "durationMs": matcher.duration_ns // NS_PER_MS,
        "spanSet": spansets[0],
        "spanSets": spansets,
        "serviceStats": counts,
    }


def _render_spanset(
    matcher: Matcher, spanset: Spanset, names: list[Attribute], most: int
) -> Document:
    told: Document = {
        "spans": [_render_span(matcher, span, names) for span in spanset.spans[:most]],
        "matched": len(spanset.spans),
    }
    if spanset.values:
        told["attributes"] = [
            {"key": name, "value": render_value(value)} for name, value in spanset.values
        ]
    return told


def _render_span(matcher: Matcher, span: ShownSpan, names: list[Attribute]) -> Document:
    values = ((each.name, matcher.value_of(span, each)) for each in names)
    shown = {name: value for name, value in values if value is not None}
    shown.setdefault("service.name", span.service)
    return {
        "spanID": span.span_id,
        "name": span.name,
        "startTimeUnixNano": str(span.start_ns),
        "durationNanos": str(span.duration_ns),
        "attributes": [
            {"key": name, "value": render_value(value)} for name, value in shown.items()
        ],
    }


def _attributes_of(wanted: Wanted) -> Iterator[Attribute]:
    match wanted:
        case Spansets(parts) | Both(parts):
            for part in parts:
                yield from _attributes_of(part)
        case Structure(_, left, right):
            yield from _attributes_of(left)
            yield from _attributes_of(right)
        case Not(part):
            yield from _attributes_of(part)
        case Comparison(attribute):
            yield attribute


def _has_tags(matcher: Matcher, span: ShownSpan, tags: Mapping[str, str]) -> bool:
    """Tell whether a span has every tag: texts are looked for inside values, whatever the case."""
    for key, text in tags.items():
        if key == "error":
            found: Value | None = span.is_error
        elif key in ("status", "status.code", "name"):
            found = matcher.value_of(span, Attribute("intrinsic", key.removesuffix(".code")))
        else:
            found = matcher.value_of(span, Attribute("", key))
        if found is None or text.lower() not in str(found).lower():
            return False
    return True


def _read_tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    place, end = 0, len(text.rstrip())
    while place < end:
        match = _PAIR.match(text, place)
        if match is None or match[2] is None and match[3] is None:
            msg = f"invalid tags: {text[place : place + 40]!r} at pos {place + 1} is no key=value"
            raise BadQuestion(msg)
        if match[1] in tags:
            msg = f"invalid tags: tag {match[1][:80]} has been set twice"
            raise BadQuestion(msg)
        tags[match[1]] = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
        place = match.end()
    return tags


def list_names(questions: QueryService, given: Mapping[str, str]) -> dict[str, list[str]]:
    """
    Return the names of attributes by their scope: `span`, `resource`, `event`, `intrinsic`.

    Raises:
        BadQuestion: there is no such scope, or a parameter cannot be read.
    """
    scope = given.get("scope", "")
    if scope not in ("", "all", "none", *_SCOPES):
        msg = f"invalid scope: {scope[:80]}: the scopes here are {', '.join(_SCOPES)}"
        raise BadQuestion(msg)
    wanted = [scope] if scope in _SCOPES else _SCOPES
    names: dict[str, set[str]] = {each: set() for each in _SCOPES}
    names["intrinsic"] |= set(INTRINSICS)
    if set(wanted) != {"intrinsic"}:
        for _, span in _sample(questions, given):
            names["span"] |= span.attributes.keys()
            names["resource"] |= span.resource.keys() | {"service.name"}
            for event in span.events:
                names["event"] |= event.attributes.keys()
    most = _read_count(given, "limit", _MOST_VALUES, _MOST_VALUES)
    return {each: sorted(names[each])[:most] for each in wanted}


def list_values(
    questions: QueryService, attribute: Attribute, given: Mapping[str, str]
) -> list[tuple[str, str]]:
    """
    Return (type, value) of what spans have under a name, in order.

    Raises:
        BadQuestion: a parameter cannot be read.
    """
    if attribute == Attribute("intrinsic", "status"):
        return [("keyword", each) for each in STATUSES]
    if attribute == Attribute("intrinsic", "kind"):
        return [("keyword", each) for each in KINDS]
    found: set[tuple[str, str]] = set()
    is_service = attribute.name in ("service.name", "rootServiceName")
    if is_service and attribute.scope != "span" and not given.get("q"):
        found |= {("string", name) for name in questions.traces.services()}
    else:
        for matcher, span in _sample(questions, given):
            value = matcher.value_of(span, attribute)
            if value is not None and value != "":
                found.add(_typed(attribute, value))
    most = _read_count(given, "limit", _MOST_VALUES, _MOST_VALUES)
    return sorted(found)[:most]


def read_name(name: str, *, is_older: bool) -> Attribute:
    """
    Return the attribute that a path names; the older API's names have no scope.

    Raises:
        BadQuestion: it is none.
    """
    if is_older:
        return Attribute("intrinsic" if name in INTRINSICS else "", name)
    return parse_attribute(name)


def _typed(attribute: Attribute, value: Value) -> tuple[str, str]:
    if attribute.scope == "intrinsic" and attribute.name.lower().endswith("duration"):
        return "duration", f"{value}ns"
    if isinstance(value, bool):
        return "bool", str(value).lower()
    if isinstance(value, str):
        return "string", value
    return ("int" if isinstance(value, int) else "float"), str(value)


def _sample(
    questions: QueryService, given: Mapping[str, str]
) -> Iterator[tuple[Matcher, ShownSpan]]:
    """Yield spans of the newest requests that fit `q`."""
    query = parse_traceql(given.get("q", ""))
    bounds = {name: given[name] for name in ("start", "end") if name in given}
    service, shortest = _needed(query.spansets)
    search = _build_search(bounds, questions.now_ns(), service, shortest)
    for stitched in islice(_until_late(questions.traces.look_through(search)), _SAMPLED):
        trace = show_trace(stitched)
        if trace.spans:
            matcher = Matcher(trace)
            yield from ((matcher, span) for span in matcher.find(query.spansets))


def _until_late(found: Iterable[Stitched]) -> Iterator[Stitched]:
    """Yield what is *found*; whoever asked for too much has gone by the time this gives up."""
    began_s = monotonic()
    for each in found:
        if monotonic() - began_s > _PATIENCE_S:
            raise QueryTimeout(
                f"the search did not finish within {_PATIENCE_S:g} s",
                hint="name a service, a shorter range or fewer conditions",
            )
        yield each


def _read_second(given: Mapping[str, str], name: str, default_ns: int) -> int:
    text = given.get(name, "")
    if not text or text == "0":
        return max(default_ns, 0)
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        msg = f"invalid {name}: {text[:80]!r} is not a number of seconds"
        raise BadQuestion(msg)
    return min(int(text), _MAX_S) * NS_PER_S


def _read_count(given: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = given.get(name, "")
    if not text or text == "0":
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        msg = f"invalid {name}: {text[:80]!r} is not a number above 0"
        raise BadQuestion(msg)
    return min(int(text), most)
