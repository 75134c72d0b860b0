"""
The spans of a timeline as every tracing tool gets to see them.

The gateway record is a span like the others, corrected clocks carry a warning, and what Hopline
adds stands in attributes that begin with `hopline.`. Ids are what tools insist on: 32 digits for
the trace, 16 for a span.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.api.traces.values import Value, type_values
from collector.identity.ids import normalise_trace_id
from collector.model import Span, SpanEvent, SpanLink
from collector.query.results import Stitched
from collector.stitch.timeline import Timeline, TimelineSpan

_SPAN_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_NS_PER_US = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSpan:
    """
    One span. `kind` and `status` are lower-case words, "" for unspecified and unset.

    `attributes` are typed, `resource` is what its sender is, without the service's name; `links`
    and `events` are as stored, an event's time moved with its span's.
    """

    span_id: str
    parent_id: str
    name: str
    service: str
    start_ns: int
    duration_ns: int
    kind: str
    status: str
    status_message: str
    attributes: Mapping[str, Value]
    resource: Mapping[str, Value]
    scope: str = ""
    trace_state: str = ""
    events: Sequence[SpanEvent] = ()
    links: Sequence[SpanLink] = ()
    warnings: Sequence[str] = ()

    @property
    def end_ns(self) -> int:
        """When it ended."""
        return self.start_ns + self.duration_ns

    @property
    def is_error(self) -> bool:
        """Whether its status says so."""
        return self.status == "error"


@dataclass(frozen=True, slots=True)
class ShownTrace:
    """Spans in order of their start. All belong to `trace_id`, whichever trace they came from."""

    trace_id: str
    spans: tuple[ShownSpan, ...]

    def find_root(self) -> ShownSpan:
        """Return the first span without a parent; one whose parent is missing is next best."""
        ids = {span.span_id for span in self.spans}
        orphans = [span for span in self.spans if span.parent_id not in ids]
        return next((span for span in orphans if not span.parent_id), (orphans or self.spans)[0])

    def count_orphans(self) -> int:
        """Return how many spans name a parent that is not here."""
        ids = {span.span_id for span in self.spans}
        return sum(span.parent_id != "" and span.parent_id not in ids for span in self.spans)


def show_trace(stitched: Stitched, *, is_raw: bool = False) -> ShownTrace:
    """
    Return the timeline's spans, and those of the same traces that it leaves out.

    Raw means as it was sent: no gateway record, no corrected clock.
    """
    timeline = stitched.timeline
    trace_id = shown_trace_id(timeline)
    resources = _Resources()
    if is_raw:
        spans = [_show_stored(span, resources) for span in stitched.spans]
        return _in_order(trace_id, spans)
    stored = {(span.trace_id, span.span_id): span for span in stitched.spans}
    seen = set()
    spans = []
    for placed in (*timeline.callers, *timeline.spans):
        key = (placed.trace_id, placed.raw_span_id)
        seen.add(key)
        spans.append(_show_placed(placed, trace_id, stored.get(key), resources))
    spans += [_show_stored(span, resources) for key, span in stored.items() if key not in seen]
    return _in_order(trace_id, spans)


def shown_trace_id(timeline: Timeline) -> str:
    """Return the trace id, or 32 digits made from the request's id when it has no trace."""
    if timeline.trace_id:
        return timeline.trace_id
    digits = normalise_trace_id(timeline.id)
    return digits or hashlib.blake2b(timeline.id.encode(), digest_size=16).hexdigest()


def shown_span_id(span_id: str) -> str:
    """Return the id of a span, or 16 digits made of one that has another form; "" stays."""
    if not span_id or _SPAN_ID.fullmatch(span_id):
        return span_id
    return hashlib.blake2b(span_id.encode(errors="replace"), digest_size=8).hexdigest()


class _Resources:
    """Types each sender's attributes once, and gives equal ones the same object."""

    def __init__(self) -> None:
        self._by_object: dict[int, tuple[Mapping[str, str], Mapping[str, Value]]] = {}
        self._by_content: dict[tuple[tuple[str, str], ...], Mapping[str, Value]] = {}

    def typed(self, resource: Mapping[str, str]) -> Mapping[str, Value]:
        known = self._by_object.get(id(resource))
        if known is None:
            content = tuple(sorted(resource.items()))
            if content not in self._by_content:
                others = {key: value for key, value in content if key != "service.name"}
                self._by_content[content] = type_values(others)
            # the original is kept with it, so that its address is not given to another one
            known = self._by_object[id(resource)] = (resource, self._by_content[content])
        return known[1]


def _in_order(trace_id: str, spans: list[ShownSpan]) -> ShownTrace:
    return ShownTrace(trace_id, tuple(sorted(spans, key=lambda s: (s.start_ns, s.span_id))))


def _show_stored(span: Span, resources: _Resources) -> ShownSpan:
    return ShownSpan(
        span_id=shown_span_id(span.span_id),
        parent_id=shown_span_id(span.parent_span_id),
        name=span.name,
        service=span.service,
        start_ns=span.start_ns,
        duration_ns=max(span.end_ns - span.start_ns, 0),
        kind=_kind(span.kind),
        status=_status(span.status),
        status_message=span.status_message,
        attributes=type_values(span.attributes),
        resource=resources.typed(span.resource),
        scope=span.scope,
        trace_state=span.trace_state,
        events=span.events,
        links=span.links,
    )


def _show_placed(
    span: TimelineSpan, trace_id: str, stored: Span | None, resources: _Resources
) -> ShownSpan:
    attributes = type_values(span.attributes)
    attributes["hopline.role"] = span.role
    attributes["hopline.hop"] = span.hop
    attributes["hopline.critical_path"] = span.is_on_critical_path
    if span.self_ns is not None:
        attributes["hopline.self_us"] = span.self_ns // _NS_PER_US
    if span.trace_id and span.trace_id != trace_id:
        attributes["hopline.trace_id"] = span.trace_id
    return ShownSpan(
        span_id=shown_span_id(span.span_id),
        parent_id=shown_span_id(span.parent_span_id),
        name=span.name,
        service=span.service,
        start_ns=span.raw_start_ns + span.adjusted_by_ns,
        duration_ns=max(span.duration_ns or 0, 0),
        kind=_kind(span.kind),
        status=_status(span.status),
        status_message=span.status_message,
        attributes=attributes,
        resource=resources.typed(stored.resource) if stored is not None else {},
        scope=stored.scope if stored is not None else "",
        trace_state=stored.trace_state if stored is not None else "",
        events=_move(span.events, span.adjusted_by_ns),
        links=stored.links if stored is not None else (),
        warnings=_warnings(span),
    )


def _move(events: Sequence[SpanEvent], by_ns: int) -> Sequence[SpanEvent]:
    if not by_ns:
        return events
    return [SpanEvent(event.time_ns + by_ns, event.name, event.attributes) for event in events]


def _warnings(span: TimelineSpan) -> list[str]:
    warnings = [f"the span is marked {flag}" for flag in span.flags]
    if span.adjusted_by_ns:
        moved = f"moved by {span.adjusted_by_ns / 1e6:+.3f} ms"
        bound = f" ± {span.adjusted_bound_ns / 1e6:.3f} ms" if span.adjusted_bound_ns else ""
        warnings.append(f"clock: {moved}{bound} ({span.adjusted_reason})")
    if span.is_orphan:
        warnings.append(f"the parent {span.raw_parent_span_id} never arrived")
    if span.duration_ns is None:
        warnings.append("nobody measured how long it took: its duration of 0 stands for unknown")
    return warnings


def _kind(kind: str) -> str:
    return "" if kind == "Unspecified" else kind.lower()


def _status(status: str) -> str:
    word = status.lower()
    return word if word in ("error", "ok") else ""
