"""
Zipkin's partial reports of one span, put together as Zipkin puts them together.

A span may be reported in several pieces: its start first and its end with more tags later, or the
other way round when a client was flushed early. Pieces share trace and span id, are all of one half
of a shared span or none, and do not name different endpoints. The first that says something wins;
tags and annotations of all are kept.

Source: openzipkin/zipkin zipkin2.internal.Trace (merge, EndpointTracker) and zipkin2.Span.Builder
(merge).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from collector.attributes import DURATION_US, PARTIAL, SHARED_ID
from collector.model import Span, SpanEvent

_US = 1_000
_ENDPOINT = ("net.host.ip", "net.host.port")
_Key = tuple[str, str, bool]


def merge_reports(spans: Sequence[Span]) -> Sequence[Span]:
    """
    Return *spans* with the pieces of one span as one; all others as they are.

    A single piece loses the parent that the decoder gave it in the place of none.
    """
    if not any(PARTIAL in span.attributes for span in spans):
        return spans
    groups: dict[_Key, list[Span]] = {}
    whole: list[Span] = []
    partial = {_key(span) for span in spans if PARTIAL in span.attributes}
    for span in spans:
        key = _key(span)
        if key in partial:
            groups.setdefault(key, []).append(span)
        else:
            whole.append(span)
    for pieces in groups.values():
        whole += _merge_group(sorted(pieces, key=_order))
    return whole


def _key(span: Span) -> _Key:
    sent_as = span.attributes.get(SHARED_ID)
    return (span.trace_id, sent_as or span.span_id, sent_as is not None)


def _order(span: Span) -> tuple[object, ...]:
    # What names its kind and endpoint comes first: it decides what the others may be merged with.
    return (
        PARTIAL in span.attributes,
        not span.service,
        span.kind == "Unspecified",
        span.start_ns,
        span.service,
        span.name,
        sorted(span.attributes.items()),
    )


def _merge_group(pieces: Sequence[Span]) -> list[Span]:
    merged: list[list[Span]] = []
    for piece in pieces:
        place = next((one for one in merged if all(_may_be_one(piece, p) for p in one)), None)
        if place is None:
            merged.append([piece])
        else:
            place.append(piece)
    return [_merge(each) for each in merged]


def _may_be_one(first: Span, second: Span) -> bool:
    """Tell whether two pieces name no different endpoint, side or time."""
    if first.service and second.service and first.service != second.service:
        return False
    if {first.kind, second.kind} >= {"Client", "Server"}:
        return False
    if PARTIAL not in first.attributes and PARTIAL not in second.attributes:
        return False
    return not any(
        first.attributes.get(name) and second.attributes.get(name) not in (None, value)
        for name in _ENDPOINT
        for value in (first.attributes.get(name),)
    )


def _merge(pieces: Sequence[Span]) -> Span:
    first = pieces[0]
    attributes: dict[str, str] = {}
    # What came later knows better; of one time, what left out least.
    for piece in sorted(pieces, key=_age):
        attributes.update(piece.attributes)
    start_ns, end_ns = _times(pieces)
    if any(PARTIAL not in piece.attributes for piece in pieces):
        attributes.pop(PARTIAL, None)
        attributes.pop(DURATION_US, None)
    parents = (p.parent_span_id for p in pieces if p.parent_span_id != p.span_id)
    status = next((p for p in pieces if p.status != "Unset"), first)
    return replace(
        first,
        parent_span_id=next(filter(None, parents), ""),
        name=max(pieces, key=_name_order).name,
        service=next((p.service for p in pieces if p.service), ""),
        kind=next((p.kind for p in pieces if p.kind != "Unspecified"), "Unspecified"),
        start_ns=start_ns,
        end_ns=end_ns,
        status=status.status,
        status_message=status.status_message,
        attributes=attributes,
        resource={k: v for piece in reversed(pieces) for k, v in piece.resource.items()},
        events=_events(pieces),
        links=tuple(link for piece in pieces for link in piece.links),
        received_ns=max(piece.received_ns for piece in pieces),
    )


def _times(pieces: Sequence[Span]) -> tuple[int, int]:
    """
    Return start and end of a span in pieces: the start that was sent, and the longest duration.

    Without one of them it is the annotations that say from when and until when it lasted at least.
    """
    whole = [piece for piece in pieces if PARTIAL not in piece.attributes]
    annotated = [piece for piece in pieces if piece.events]
    starts = [piece.start_ns for piece in whole or annotated or pieces]
    start_ns = min(starts)
    lasted = [*map(_reported_ns, pieces), *(piece.end_ns - piece.start_ns for piece in whole)]
    if max(lasted) > 0:
        return start_ns, start_ns + max(lasted)
    return start_ns, max([start_ns, *(piece.end_ns for piece in annotated)])


def _reported_ns(piece: Span) -> int:
    """Return the duration that a piece without a timestamp came with, 0 for none."""
    text = piece.attributes.get(DURATION_US, "")
    return int(text) * _US if text.isascii() and text.isdigit() and len(text) < 17 else 0


def _events(pieces: Iterable[Span]) -> tuple[SpanEvent, ...]:
    unique = {(e.time_ns, e.name): e for piece in pieces for e in piece.events}
    return tuple(unique[key] for key in sorted(unique))


def _name_order(piece: Span) -> tuple[bool, int, int]:
    # A later report may know the route that the first one did not.
    return (bool(piece.name), piece.received_ns, len(piece.name))


def _age(piece: Span) -> tuple[int, bool]:
    return (piece.received_ns, PARTIAL not in piece.attributes)
