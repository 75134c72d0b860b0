"""
A gateway record as a span of the trace that the mesh's spans are in.

Pure. The span has the id that the gateway sent on as parent, so that the mesh's first span becomes
its child: the record says which, or the mesh's first span names a parent that nobody sent. Where
neither knows it, the id is made of the record's, and a link leads to the mesh's first span. The
same record has the same id each time.

Source: OpenTelemetry semantic conventions for HTTP spans 1.23 (stable); W3C Trace Context.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from collector.attributes import (
    EXPORTED_FIELDS,
    EXPORTED_GATEWAY,
    EXPORTED_INFERRED,
    EXPORTED_RECORD,
)
from collector.decode.records.from_spans import SOURCE
from collector.model import GatewayRecord
from collector.query.reports.join_count import best_link
from collector.stitch.timeline import MergedRecord, Timeline, TimelineSpan
from collector.stitch.tree.nodes import derived_span_id, name_of_gateway
from collector.timestamps import NS_PER_MS

Value = str | bool | int | float | Sequence[str]
SpanKey = tuple[str, str]  # trace id and span id

NO_TRACE_ID = "no_trace_id"
SENT_BY_GATEWAY = "sent_by_gateway"
GONE = "gone"

_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
_SPAN_ID = re.compile(r"(?!0{16})[0-9a-f]{16}")
_PROTOCOL = re.compile(r"(?:http/)?(\d(?:\.\d)?)", re.IGNORECASE)
_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedSpan:
    """A SERVER span to be sent; `attributes` hold nothing that nobody knows."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    start_ns: int
    end_ns: int
    is_error: bool
    status_message: str = ""
    resource: Mapping[str, str]
    attributes: Mapping[str, Value]
    links: tuple[SpanKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which gateways are exported (none: all), and what is left out of the attributes."""

    gateways: frozenset[str] = frozenset()
    omitted: tuple[str, ...] = ()
    has_inferred_hops: bool = False

    def takes(self, gateway: str) -> bool:
        """Tell whether records of *gateway* are exported."""
        return not self.gateways or gateway in self.gateways

    def keeps(self, name: str) -> bool:
        """Tell whether the attribute *name* may be sent; `url.*` leaves out all that begin so."""
        return not any(
            name.startswith(each[:-1]) if each.endswith("*") else name == each
            for each in self.omitted
        )


@dataclass(frozen=True, slots=True)
class Subject:
    """
    A merged record with what is known of its request.

    `timeline` is `None` where the request is too large to be stitched. `stored` are the spans that
    came from the mesh and the gateways themselves.
    """

    merged: MergedRecord
    timeline: Timeline | None = None
    stored: Collection[SpanKey] = frozenset()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record's span stands, and the mesh's first span that is not its child by id."""

    trace_id: str
    span_id: str
    parent_span_id: str = ""
    beside: SpanKey | None = None


@dataclass(slots=True)
class _Tree:
    """The spans of a timeline by id, and by parent."""

    timeline: Timeline
    by_id: dict[str, TimelineSpan] = field(default_factory=dict)
    children: dict[str, list[TimelineSpan]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for span in self.timeline.spans:
            self.by_id[span.span_id] = span
            self.children.setdefault(span.parent_span_id, []).append(span)

    def entries(self, span_id: str) -> list[TimelineSpan]:
        """Return the first spans of the mesh below a record, past stand-ins for lost ones."""
        found: list[TimelineSpan] = []
        for span in self.children.get(span_id, ()):
            if span.raw_span_id:
                found.append(span)
            elif span.is_inferred:
                found += [each for each in self.children.get(span.span_id, ()) if each.raw_span_id]
        return sorted(found, key=lambda span: (span.raw_start_ns, span.raw_span_id))


def span_of(subject: Subject, wanted: Wanted) -> ExportedSpan | str:
    """Return the span of a record, or why it has none: `NO_TRACE_ID` or `SENT_BY_GATEWAY`."""
    tree = _Tree(subject.timeline) if subject.timeline else None
    place = _place(subject, subject.merged, tree, wanted)
    if isinstance(place, str):
        return place
    record = subject.merged.record
    own = tree.by_id.get(subject.merged.span_id) if tree else None
    duration_ns = record.duration_ns if record.duration_ns is not None else (
        own.duration_ns if own else None
    )  # fmt: skip
    attributes = {**_http(record), **_told(subject)}
    if duration_ns is None:
        attributes["hopline.duration_unknown"] = True
    kept = {name: value for name, value in attributes.items() if wanted.keeps(name)}
    marks = {EXPORTED_GATEWAY: record.gateway, EXPORTED_RECORD: record.record_id}
    return ExportedSpan(
        trace_id=place.trace_id,
        span_id=place.span_id,
        parent_span_id=place.parent_span_id,
        name=_name(record),
        start_ns=record.start_ns,
        end_ns=record.start_ns + max(duration_ns or 0, 0),
        is_error=record.is_error,
        status_message=record.error_message or record.error_reason if record.is_error else "",
        resource=_resource(record),
        attributes={**kept, **marks},
        links=(place.beside,) if place.beside else (),
    )


def inferred_spans(timeline: Timeline) -> Iterator[ExportedSpan]:
    """Return a span for each service that was called and sent none, below its caller's span."""
    by_id = {span.span_id: span for span in timeline.spans}
    parents = {span.parent_span_id for span in timeline.spans}
    for hop in timeline.hops:
        calls = [by_id[each] for each in hop.span_ids if each in by_id]
        calls = [each for each in calls if each.raw_span_id and each.kind in ("Client", "Producer")]
        if not (hop.is_inferred and hop.role == "service" and calls and hop.service):
            continue
        call = max(calls, key=lambda each: (each.raw_start_ns, each.span_id))
        if call.span_id in parents or call.duration_ns is None:
            continue
        yield ExportedSpan(
            trace_id=call.trace_id,
            span_id=derived_span_id("inferred", call.trace_id, call.raw_span_id),
            parent_span_id=call.raw_span_id,
            name=hop.name or call.name,
            start_ns=call.raw_start_ns,
            end_ns=call.raw_start_ns + call.duration_ns,
            is_error=call.status == "error",
            resource={"service.name": hop.service},
            attributes={EXPORTED_INFERRED: True},
        )


def _place(
    subject: Subject, merged: MergedRecord, tree: _Tree | None, wanted: Wanted, depth: int = 0
) -> Place | str:
    record, stored = merged.record, subject.stored
    if SOURCE in merged.sources:
        return SENT_BY_GATEWAY
    entries = tree.entries(merged.span_id) if tree else []
    if tree and _has_own_spans(merged, tree):
        return SENT_BY_GATEWAY
    own_trace = [each for each in entries if each.trace_id == record.trace_id]
    entry = next(iter(own_trace or entries), None)
    known = tree.timeline.trace_id if tree else ""
    trace_id = entry.trace_id if entry else record.trace_id or known or ""
    if not _TRACE_ID.fullmatch(trace_id):
        return NO_TRACE_ID
    is_own = trace_id == record.trace_id
    received = record.parent_span_id if is_own and _SPAN_ID.fullmatch(record.parent_span_id) else ""
    sent = record.outgoing_span_id if is_own else ""
    if sent and sent != record.parent_span_id and (trace_id, sent) in stored:
        return SENT_BY_GATEWAY
    named = entry.raw_parent_span_id if entry else ""
    # what the client sent and the gateway passed on is the client's span, here or not
    candidates = (
        each
        for each in (sent, named)
        if _SPAN_ID.fullmatch(each)
        and each != record.parent_span_id
        and (trace_id, each) not in stored
    )
    span_id = next(candidates, merged.span_id)
    parent = received or (_parent(subject, merged, tree, wanted, trace_id, depth) if tree else "")
    is_parent = entry is None or entry.raw_parent_span_id == span_id
    return Place(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id="" if parent == span_id else parent,
        beside=None if entry is None or is_parent else (entry.trace_id, entry.raw_span_id),
    )


def _has_own_spans(merged: MergedRecord, tree: _Tree) -> bool:
    """Tell whether the gateway sent spans of this request itself."""
    own = tree.by_id.get(merged.span_id)
    return own is not None and any(
        each.raw_span_id and each.role == "gateway" and each.hop == own.hop
        for each in tree.timeline.spans
    )


def _parent(
    subject: Subject,
    merged: MergedRecord,
    tree: _Tree,
    wanted: Wanted,
    trace_id: str,
    depth: int,
) -> str:
    """Return the span above a record in its timeline, by the id under which it is known."""
    own = tree.by_id.get(merged.span_id)
    above = tree.by_id.get(own.parent_span_id) if own else None
    if above is None or depth > len(tree.timeline.gateway_records):
        return ""
    if above.raw_span_id:
        return above.raw_span_id if above.trace_id == trace_id else ""
    outer = [each for each in tree.timeline.gateway_records if each.span_id == above.span_id]
    if not outer or not wanted.takes(outer[0].record.gateway):
        return ""
    place = _place(subject, outer[0], tree, wanted, depth + 1)
    return place.span_id if isinstance(place, Place) and place.trace_id == trace_id else ""


def _name(record: GatewayRecord) -> str:
    """Name it `{method} {route}`: a path has too many values for a name."""
    return f"{record.method or 'HTTP'} {record.route}".strip()


def _resource(record: GatewayRecord) -> dict[str, str]:
    values = {
        "service.name": name_of_gateway(record),
        "service.instance.id": record.instance,
        "cloud.region": record.region,
    }
    return {name: value for name, value in values.items() if value}


def _http(record: GatewayRecord) -> dict[str, Value]:
    host, port = _split_port(record.host)
    protocol = _PROTOCOL.fullmatch(record.protocol)
    method = record.method.upper()
    values: dict[str, Value | None] = {
        "http.request.method": (method if method in _METHODS else "_OTHER") if method else "",
        "http.request.method_original": "" if record.method in _METHODS else record.method,
        "http.route": record.route,
        "http.response.status_code": record.status,
        "http.request.size": record.request_bytes,
        "http.response.size": record.response_bytes,
        "url.scheme": record.scheme,
        "url.path": record.path,
        "server.address": host,
        "server.port": port,
        "client.address": record.client_address,
        "network.protocol.name": "http" if protocol else "",
        "network.protocol.version": protocol[1] if protocol else "",
        "user_agent.original": record.attributes.get("user_agent.original", ""),
        "error.type": (record.error_reason or str(record.status or "_OTHER"))
        if record.is_error
        else "",
    }
    return {name: value for name, value in values.items() if value is not None and value != ""}


def _split_port(host: str) -> tuple[str, int | None]:
    name, _, port = host.rpartition(":")
    is_address = ":" in name and not name.endswith("]")  # IPv6 has its port behind brackets
    if name and port.isascii() and port.isdigit() and not is_address:
        return name.strip("[]"), int(port)
    return host.strip("[]"), None


def _told(subject: Subject) -> dict[str, Value]:
    """Return what no convention has a name for: the record's facts, and what stitching found."""
    record, timeline = subject.merged.record, subject.timeline
    values: dict[str, Value | None] = {
        name: getattr(record, of_record) for name, of_record in EXPORTED_FIELDS.items()
    }
    values["hopline.backend.duration_ms"] = _ms(record.backend_ns)
    values["hopline.client.duration_ms"] = _ms(record.client_ns)
    values["hopline.quality"] = list(record.quality) or None
    if record.weight != 1:
        values["hopline.weight"] = record.weight
    if timeline is not None:
        link = best_link(timeline, record)
        values["hopline.join.tier"] = link.tier if link else None
        values["hopline.join.confidence"] = link.confidence if link else None
        values["hopline.state"] = timeline.state
        if timeline.root_span_id == subject.merged.span_id:
            values |= _of_request(timeline)
    return {name: value for name, value in values.items() if value is not None and value != ""}


def _of_request(timeline: Timeline) -> dict[str, Value | None]:
    verdict = timeline.verdict
    values: dict[str, Value | None] = {
        f"hopline.phase.{phase.name}_ms": _ms(phase.duration_ns) for phase in timeline.phases
    }
    values["hopline.verdict.layer"] = verdict.layer
    values["hopline.verdict.component"] = verdict.component
    values["hopline.verdict.class"] = verdict.class_
    values["hopline.verdict.reason"] = verdict.reason
    values["hopline.verdict.confidence"] = verdict.confidence
    values["hopline.outcome"] = verdict.outcome
    return values


def _ms(time_ns: int | None) -> float | None:
    return None if time_ns is None else time_ns / NS_PER_MS
