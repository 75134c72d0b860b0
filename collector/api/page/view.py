"""
A timeline as the page draws it: rows in drawing order, column by column, without attributes.

In: a `Timeline` and its stored spans. Out: JSON that is a tenth of the public answer: 10,000 spans
in some 700 KB instead of 9.5 MB. What one span says beyond its bar is asked for when it is opened.

Units: microseconds (`_us`) from the timeline's start; texts are numbers that count into `texts`.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from collector.model import Span
from collector.stitch.timeline import Hop, Timeline, TimelineSpan

# What a row's `flags` add up from; the page's script has the same list.
ON_CRITICAL_PATH = 1
FAILED = 2
ORPHAN = 4
INFERRED = 8
CLOCK_ADJUSTED = 16
HAS_EXCEPTION = 32
HAS_LINKS = 64
MOST_ROWS = 20_000
# Moments inside spans that are drawn as dots; beyond that a picture shows none of them anyway.
_MOST_MARKS = 4_000
_NS_PER_US = 1_000

Columns = dict[str, Any]


def without_rows(timeline: Timeline) -> Timeline:
    """Return the timeline without what there is one of per span: `spans`, `hops` and sections."""
    return replace(timeline, spans=(), hops=(), critical_path=())


def order_rows(spans: Sequence[TimelineSpan]) -> list[tuple[TimelineSpan, int, int]]:
    """
    Return every span in drawing order with the row of its parent (-1: none) and its depth.

    A parent comes right before what it calls, calls come by start. A span whose parents form a
    circle is drawn as a root.
    """
    known = {span.span_id for span in spans}
    inner: dict[str, list[TimelineSpan]] = {}
    for span in spans:
        above = span.parent_span_id
        inner.setdefault(above if above in known and above != span.span_id else "", []).append(span)
    for group in inner.values():
        # The last is pushed first, so the earliest is popped first.
        group.sort(key=lambda span: (-span.start_offset_ns, span.span_id))
    rows: list[tuple[TimelineSpan, int, int]] = []
    drawn: set[str] = set()
    # Spans in a circle are reached from no root: each that is left begins one.
    for first in (*reversed(inner.get("", ())), *spans):
        waiting = [(first, -1, 0)]
        while waiting:
            span, parent, depth = waiting.pop()
            if span.span_id in drawn:
                continue
            drawn.add(span.span_id)
            row = len(rows)
            rows.append((span, parent, depth))
            waiting.extend((each, row, depth + 1) for each in inner.get(span.span_id, ()))
    return rows


def build_rows(
    timeline: Timeline, stored: Iterable[Span], first: int, limit: int
) -> dict[str, Any]:
    """
    Return the rows [first, first + limit) and, with row 0, what spans all rows.

    Shape: `spans` has `total`, `first` and one list a column; `hops` likewise; `sections` are
    `[row, from_us, to_us]` of the critical path; `marks` are `[row, at_us, is_exception]` for the
    first of the `moments` that the page's spans hold.
    """
    rows = order_rows(timeline.spans)
    texts = _Texts()
    linking = {(span.trace_id, span.span_id) for span in stored if span.links}
    page = rows[first : first + limit]
    document: dict[str, Any] = {
        "spans": {
            "total": len(rows),
            "first": first,
            **_span_columns(page, texts, linking),
        },
        "marks": _marks(timeline, page, first),
        "moments": sum(len(span.events) for span, _, _ in page),
    }
    if first == 0:
        numbers = {span.span_id: row for row, (span, _, _) in enumerate(rows)}
        document["hops"] = _hop_columns(timeline.hops, numbers, texts)
        document["sections"] = [
            [numbers[part.span_id], _us(part.from_ns), _us(part.to_ns)]
            for part in timeline.critical_path
            if part.span_id in numbers
        ]
    document["texts"] = texts.known
    return document


class _Texts:
    """Texts by number, each once: 10,000 spans have some fifty names."""

    def __init__(self) -> None:
        self.known: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = len(self.known)
            self.known.append(text)
        return found


def _span_columns(
    page: Sequence[tuple[TimelineSpan, int, int]],
    texts: _Texts,
    linking: Set[tuple[str, str]],
) -> Columns:
    spans = [span for span, _, _ in page]
    return {
        "span_id": [span.span_id for span in spans],
        "parent": [parent for _, parent, _ in page],
        "depth": [depth for _, _, depth in page],
        "hop": [span.hop for span in spans],
        "role": [texts.number(span.role) for span in spans],
        "service": [texts.number(span.service) for span in spans],
        "name": [texts.number(span.name) for span in spans],
        "start_us": [_us(span.start_offset_ns) for span in spans],
        "duration_us": [_us(span.duration_ns) for span in spans],
        "self_us": [_us(span.self_ns) for span in spans],
        "flags": [_flags(span, (span.trace_id, span.raw_span_id) in linking) for span in spans],
    }


def _hop_columns(hops: Sequence[Hop], rows: Mapping[str, int], texts: _Texts) -> Columns:
    """Return the hops by index; `facts` has, by index as text, what few of them have to say."""
    facts = {}
    for hop in hops:
        if hop.attempts > 1 or hop.notes:
            facts[str(hop.index)] = {
                "attempt": hop.attempt,
                "attempts": hop.attempts,
                "notes": hop.notes,
            }
    return {
        "role": [texts.number(hop.role) for hop in hops],
        "service": [texts.number(hop.service) for hop in hops],
        "parent": [hop.parent for hop in hops],
        "row": [rows.get(hop.span_ids[0], -1) if hop.span_ids else -1 for hop in hops],
        "duration_us": [_us(hop.duration_ns) for hop in hops],
        "critical_us": [_us(hop.critical_ns) for hop in hops],
        "facts": facts,
    }


def _marks(
    timeline: Timeline, page: Sequence[tuple[TimelineSpan, int, int]], first: int
) -> list[list[Any]]:
    marks: list[list[Any]] = []
    for row, (span, _, _) in enumerate(page, first):
        for event in span.events:
            at_ns = event.time_ns + span.adjusted_by_ns - timeline.start_ns
            marks.append([row, _us(at_ns), int(event.name == "exception")])
            if len(marks) >= _MOST_MARKS:
                return marks
    return marks


def _flags(span: TimelineSpan, is_linking: bool) -> int:
    flags = ON_CRITICAL_PATH if span.is_on_critical_path else 0
    if span.status == "error":
        flags |= FAILED
    if span.is_orphan:
        flags |= ORPHAN
    if span.is_inferred:
        flags |= INFERRED
    if span.adjusted_by_ns:
        flags |= CLOCK_ADJUSTED
    if any(event.name == "exception" for event in span.events):
        flags |= HAS_EXCEPTION
    if is_linking:
        flags |= HAS_LINKS
    return flags


def _us(value_ns: int | None) -> int | None:
    return None if value_ns is None else round(value_ns / _NS_PER_US)
