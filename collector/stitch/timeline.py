"""
What stitching returns: one request's timeline as plain values, which are the JSON of the API too
(see `answers`).

Units: nanoseconds. Offsets count from `Timeline.start_ns`, on the clock of the outermost thing seen
(the gateway record, or the first span when there is none). Nothing changes a value once it is
returned; the three classes of which there is one a span are not frozen because that alone would
take 6 µs a span.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated

from pydantic import Field, PlainSerializer

from collector.answers import Answer, Duration, MaybeIndex, MaybeText, Moment
from collector.model import GatewayRecord, Id, SpanEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """
    A source that should know this request.

    `status` is `arrived`, `late` (still possible), `not_sampled` or `never` (too late to hope).
    """

    source: str
    status: str
    deadline_ns: Moment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedRecord:
    """
    One request as one gateway saw it, merged from every stored version and source of it.

    `span_id` is the id under which the record stands among `Timeline.spans`.
    """

    record: GatewayRecord
    sources: tuple[str, ...]
    versions: int
    span_id: str = ""


@dataclass(slots=True, kw_only=True)
class ShownRecord(GatewayRecord):
    """
    A merged record as answers show it: flat.

    `span_id` is the id under which it stands among the timeline's `spans`. `null` means that the
    gateway does not say; `quality` holds truth-check flags such as BACKEND_GT_TOTAL.
    """

    sources: tuple[str, ...] = ()
    versions: int = 1
    span_id: str = ""


def _show(merged: MergedRecord) -> ShownRecord:
    values = {each.name: getattr(merged.record, each.name) for each in fields(GatewayRecord)}
    return ShownRecord(
        **values, sources=merged.sources, versions=merged.versions, span_id=merged.span_id
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """One way, `out` or `back`, of a call between two hosts whose clocks can be compared."""

    name: str
    duration_ns: Duration
    lower_ns: Duration
    upper_ns: Duration
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """
    A slice of the request's total time; all phases of a timeline sum to its duration exactly.

    `directions` cut a gateway's call into out and back where the clocks' offset is known, in pairs
    that sum to the call's part of the phase.
    """

    name: str
    duration_ns: Duration
    lower_ns: Duration
    upper_ns: Duration
    source: str
    directions: tuple[Direction, ...] = ()


@dataclass(slots=True, kw_only=True)
class Hop:
    """
    One visit to one service: its client proxy, server proxy and app spans together.

    `parent` is the index of the calling hop (-1: none). `self_ns` is the time in which the hop
    waited for no call of its own, `critical_ns` the time in which it alone held up the answer, and
    `proxy_ns` its proxies' share of its duration. `duration_ns` and `self_ns` are `None` for a
    gateway whose record has no duration and no spans below it. `attempt` counts the tries of one
    call from 1. An inferred hop has no span of the service itself.
    """

    index: int
    role: str  # gateway, edge, service, dependency
    service: str
    name: str
    parent: int
    start_offset_ns: Duration
    duration_ns: Duration | None
    self_ns: Duration | None
    critical_ns: Duration
    proxy_ns: Duration
    attempt: int
    attempts: int
    status: str
    instance: str
    is_inferred: bool
    is_mirrored: bool
    is_async: bool
    span_ids: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class TimelineSpan:
    """
    A span in its place.

    `parent_span_id` is the parent in this timeline, `raw_parent_span_id` what the sender wrote. The
    same goes for `span_id` and `raw_span_id`, which differ only where two spans share an id.
    `raw_start_ns` is the sender's clock; `adjusted_by_ns` was added to it, give or take
    `adjusted_bound_ns`, because of `adjusted_reason`. `duration_ns` and `self_ns` are `None` where
    nobody measured them. `events` have the sender's own times, as `raw_start_ns` has. `flags` name
    what is wrong with the span.
    """

    span_id: str
    parent_span_id: str
    raw_span_id: str
    raw_parent_span_id: str
    trace_id: str
    hop: int
    role: str  # gateway, edge, client_proxy, server_proxy, waypoint, app, dependency
    service: str
    host: str
    name: str
    kind: str
    start_offset_ns: Duration
    raw_start_ns: Moment
    adjusted_by_ns: Duration
    adjusted_bound_ns: Duration
    adjusted_reason: str
    duration_ns: Duration | None
    self_ns: Duration | None
    is_on_critical_path: bool
    status: str
    status_message: str
    attributes: Mapping[str, str]
    is_orphan: bool
    is_inferred: bool
    flags: tuple[str, ...] = ()
    events: Sequence[SpanEvent] = ()


@dataclass(slots=True, kw_only=True)
class Section:
    """A stretch of the critical path: this span alone held up the answer."""

    span_id: str
    from_ns: Duration
    to_ns: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Two values that were compared, as they stand in the sources."""

    field: str
    left: str
    right: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedCandidate:
    """Something that could have been joined and was not, and why."""

    to: str
    tier: int
    confidence: float
    reason: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """
    A joint between two parts of the timeline.

    `from_` and `to` are `<gateway>/<record id>` for a record, and `<trace id>/<span id>` or a trace
    id alone for the mesh. `to` is "" when only rejected candidates are left. `contradictions` are
    values of the two that differ though the ids are equal: they lower the confidence.
    """

    from_: str
    to: str
    tier: int
    confidence: float
    evidence: tuple[Evidence, ...] = ()
    contradictions: tuple[Evidence, ...] = ()
    rejected: tuple[RejectedCandidate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLink:
    """One step of how a failure travelled, innermost first; `refs` are record and span ids."""

    layer: str
    component: str
    what: str
    offset_ns: Duration | None = None
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    Who failed first.

    `class_` is a word of a closed set, `reason` what the source said. `outcome` compares what the
    consumer got with what happened inside: `ok`, `failed`, `masked`, `manufactured`, `phantom`,
    `abandoned` or `zombie`. `wasted_ns` is work done after nobody waited any more. While
    `is_provisional` one of the sources in `settled_by`, which are still due, could overturn it.
    """

    layer: str  # client, gateway, network, edge, mesh, app, dependency, none
    component: str
    class_: str
    reason: str
    confidence: float
    rule: str
    chain: tuple[ChainLink, ...] = ()
    hop: int = -1
    first_offset_ns: Duration | None = None
    who_closed: str = ""
    outcome: str = "ok"
    wasted_ns: Duration = 0
    is_provisional: bool = False
    settled_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAction:
    """
    Something that a layer did to the request, of the kind that several layers can do.

    `feature` is `retry`, `timeout`, `rate_limit`, `authorization`, `circuit_breaker`, `cache`,
    `mirror`, `traffic_split`, `fault_injection` or `fallback` (an error that was dealt with);
    `layer` is `gateway`, `edge`, `mesh` or `app`.
    """

    feature: str
    layer: str
    component: str
    detail: str
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    A rule that fired on this request; `hop` is -1 when it concerns no hop in particular.

    `title` names the trouble, `meaning` says what comes of it, `message` what was seen here.
    """

    rule: str
    title: str
    hop: MaybeIndex
    message: str
    meaning: str = ""
    fix: str = ""
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedRequest:
    """
    A span of another request that a span of this one names by a span link.

    A batch consumer links the producers of its messages, a request that was put off the one that
    put it off. `from_span_id` is the span of this timeline that holds the link.
    """

    from_span_id: str
    trace_id: str
    span_id: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkingRequest:
    """
    A span of another request that names one of this request by a span link, `to_span_id`.

    So a consumer that works on many messages at once links to whoever sent them. Times are as they
    were sent: whether the batch is part of the request nobody knows, and nothing is joined.
    """

    trace_id: str
    span_id: str
    service: str
    operation: str
    start_ns: Moment
    to_span_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline(Answer):
    """
    One request, from the API call to the last internal hop.

    `duration_ns` is `None` when nobody measured it: neither its record nor any span.

    `callers` are spans above the request (an instrumented client), outermost first; they are not
    part of its time. `others` are further requests found under the same ids: `<gateway>/<record
    id>`, or a span id for one that no gateway wrote down. `links_to` are requests that its spans
    name by span links; at most a few dozen are kept. `linked_from` are those that name it so, as
    far as they began within an hour after a message was sent. `is_answered_at_gateway`: no call
    went on, so that there is nothing to join.
    """

    id: str
    trace_id: MaybeText
    trace_ids: tuple[str, ...]
    ids: tuple[Id, ...]
    state: str
    expected: tuple[Expected, ...]
    revision: int
    start_ns: Moment
    duration_ns: Duration | None
    status: int | None
    is_error: bool
    root_span_id: str
    gateway_records: tuple[Annotated[MergedRecord, PlainSerializer(_show)], ...]
    phases: tuple[Phase, ...]
    hops: tuple[Hop, ...]
    spans: tuple[TimelineSpan, ...]
    critical_path: tuple[Section, ...]
    links: tuple[Link, ...]
    verdict: Verdict
    findings: tuple[Finding, ...]
    callers: tuple[TimelineSpan, ...] = ()
    others: Annotated[tuple[str, ...], Field(serialization_alias="other_matches")] = ()
    acts: tuple[PolicyAction, ...] = ()
    links_to: tuple[LinkedRequest, ...] = ()
    linked_from: tuple[LinkingRequest, ...] = ()
    is_answered_at_gateway: bool = False
    watermarks_ns: Mapping[str, Moment] = field(default_factory=dict)
