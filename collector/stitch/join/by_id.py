"""
Which trace a gateway record belongs to, how sure that is, and by which values.

Tiers, the lower number wins and is never overridden by a higher one:
0  same trace id, and a mesh span's parent is the span id that the gateway made and sent (1.0)
1  same trace id (0.99), also where the span id was passed on and so proves no one request
2  an id of the record is the trace id once normalised (0.98; low 64 bits only 0.95)
3  a shared request id, with method, place and time not against it (0.95)
Several traces that match equally well are not merged; they are listed as rejected candidates.

Source: Envoy's rewritten request id: see `identity.ids.request_id_key`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from collector.identity import ids
from collector.model import GatewayRecord, Id
from collector.stitch.join.agreement import (
    PASSED_ON,
    is_against,
    maker_of,
    method_of,
    place_of,
    sent_id,
)
from collector.stitch.timeline import Evidence, MergedRecord, RejectedCandidate
from collector.stitch.tree.nodes import Node

SECOND = 1_000_000_000
# A trace id is chosen at random: only hours apart does equality mean that a client reuses it.
_ID_SLACK_NS = 600 * SECOND
# Request ids are chosen by clients; an id counts within two seconds plus the request's duration,
# the rest is for clocks that nobody keeps.
_REQUEST_ID_SLACK_NS = 30 * SECOND
NEAR_NS = 2 * SECOND
# Ids that name something else than one request.
_WEAK_KINDS = frozenset({"span_id", "trace_id"})


@dataclass(frozen=True, slots=True)
class SharedId:
    """A request id as it stands on a span."""

    field: str
    value: str
    node: Node


@dataclass(slots=True)
class TraceView:
    """
    One trace as the join sees it: its window and the request ids on its spans.

    `children` are the spans that name an id which a record sent, by that id.
    """

    trace_id: str
    nodes: list[Node] = field(default_factory=list)
    request_ids: dict[str, SharedId] = field(default_factory=dict)
    children: dict[str, list[Node]] = field(default_factory=dict)
    start: int = 0
    end: int = 0

    @property
    def tops(self) -> list[Node]:
        return [node for node in self.nodes if node.parent is None]


@dataclass(frozen=True, slots=True)
class Match:
    """A record and a trace that share an id; `entry` is the span that proves it, if one does."""

    trace: TraceView
    tier: int
    confidence: float
    evidence: tuple[Evidence, ...]
    entry: Node | None = None


@dataclass(slots=True)
class Matches:
    """What a record is joined to, and what it could have been joined to."""

    accepted: list[Match] = field(default_factory=list)
    rejected: list[RejectedCandidate] = field(default_factory=list)


def view_traces(
    nodes: Iterable[Node], records: Iterable[MergedRecord] = ()
) -> dict[str, TraceView]:
    """Return the traces of *nodes*, which are in order of start, by trace id."""
    sent = {sent_id(merged.record) for merged in records} - {""}
    views: dict[str, TraceView] = {}
    keys: dict[str, str] = {}
    for node in nodes:
        view = views.get(node.trace_id)
        if view is None:
            view = views[node.trace_id] = TraceView(node.trace_id, start=node.raw_start)
        view.nodes.append(node)
        if node.raw_end > view.end:
            view.end = node.raw_end
        if sent and node.sent_parent_id in sent:
            view.children.setdefault(node.sent_parent_id, []).append(node)
        if not ids.has_request_id(node.attributes):
            continue
        for name, value in ids.read_request_ids(node.attributes):
            key = keys.get(value)
            if key is None:
                key = keys[value] = ids.request_id_key(value)
            if key:
                view.request_ids.setdefault(key, SharedId(name, value, node))
    return dict(sorted(views.items()))


def match_records(
    records: Iterable[MergedRecord], traces: Mapping[str, TraceView], *, population: int = 0
) -> list[tuple[MergedRecord, Matches]]:
    """Match each record against every trace at hand; see `match_record`."""
    return [(merged, match_record(merged, traces, population=population)) for merged in records]


def match_record(
    merged: MergedRecord, traces: Mapping[str, TraceView], *, population: int = 0
) -> Matches:
    """
    Match one record against every trace at hand.

    *population* is the number of traces that could have shared 64 bits by chance; 0 means those at
    hand.
    """
    record = merged.record
    found: list[Match] = []
    matches = Matches()
    for trace in traces.values():
        match = _match(record, trace, population or len(traces))
        if isinstance(match, Match):
            found.append(match)
        elif match is not None:
            matches.rejected.append(match)
    found.sort(key=lambda m: (m.tier, -m.confidence, m.trace.start, m.trace.trace_id))
    if found:
        _choose(record, found, matches)
    return matches


def windows_meet(record: GatewayRecord, start_ns: int, end_ns: int, slack_ns: int) -> bool:
    """Tell whether a record and an interval can be of one request, clocks apart by the slack."""
    record_end = record.start_ns + (record.duration_ns or 0)
    return start_ns <= record_end + slack_ns and end_ns >= record.start_ns - slack_ns


def continuation_of(piece: TraceView, whole: Sequence[TraceView]) -> tuple[Evidence, ...]:
    """
    Return why *piece* is the rest of one of *whole* under a new trace id, or () if it is not.

    It has to share an id with it, lie inside it in time, and begin neither at the mesh's edge nor
    where the other begins: a second arrival at the same place is a second request.
    """
    if any(top.role == "edge" or top.proxy == "router" for top in piece.tops):
        return ()
    for trace in whole:
        is_inside = trace.start - NEAR_NS <= piece.start and piece.end <= trace.end + NEAR_NS
        begins = {(top.service, top.name) for top in trace.tops}
        if not is_inside or any((top.service, top.name) in begins for top in piece.tops):
            continue
        if ids.low_64(piece.trace_id) == ids.low_64(trace.trace_id):
            return (Evidence(field="trace_id (low 64)", left=trace.trace_id, right=piece.trace_id),)
        for key, shared in piece.request_ids.items():
            other = trace.request_ids.get(key)
            if other is not None:
                return (Evidence(field=shared.field, left=other.value, right=shared.value),)
    return ()


def _match(
    record: GatewayRecord, trace: TraceView, population: int
) -> Match | RejectedCandidate | None:
    match = _same_trace_id(record, trace) or _normalised_id(record, trace, population)
    if match is not None:
        is_possible = windows_meet(record, trace.start, trace.end, _ID_SLACK_NS)
        if match.tier > 0 and not is_possible:
            return _reject(match, "the same id, but at another time: it was used again")
        return match
    return _shared_request_id(record, trace)


def _same_trace_id(record: GatewayRecord, trace: TraceView) -> Match | None:
    if not record.trace_id or record.trace_id != trace.trace_id:
        return None
    left_name = record.trace_id_source or "trace_id"
    evidence = [Evidence(field=left_name, left=record.trace_id, right=trace.trace_id)]
    maker = maker_of(record)
    named = trace.children.get(record.outgoing_span_id, ())
    if maker == PASSED_ON or not named:
        return _passed_on(record, trace, evidence)
    evidence.append(
        Evidence(
            field="outgoing_span_id = parent_span_id",
            left=record.outgoing_span_id,
            right=record.outgoing_span_id,
        )
    )
    return Match(trace, 0, 1.0, tuple(evidence), named[0])


def _passed_on(record: GatewayRecord, trace: TraceView, evidence: list[Evidence]) -> Match:
    """
    Match by trace id, through the span whose parent is the record's own parent if there is one.

    A gateway that passes its client's header on unchanged leaves its caller as that span's parent.
    The caller may have made other calls itself, so this says which span it is, and no more.
    """
    parent_id = sent_id(record)
    child = next(
        (
            node
            for node in trace.children.get(parent_id, ())
            if windows_meet(record, node.raw_start, node.raw_end, NEAR_NS)
        ),
        None,
    )
    if child is None:
        return Match(trace, 1, 0.99, tuple(evidence))
    evidence.append(Evidence(field="parent_span_id", left=parent_id, right=parent_id))
    return Match(trace, 1, 0.99, tuple(evidence), child)


def _normalised_id(record: GatewayRecord, trace: TraceView, population: int) -> Match | None:
    low: Match | None = None
    for name, value, normalised in _as_trace_ids(record):
        evidence = (Evidence(field=name, left=value, right=trace.trace_id),)
        if normalised == trace.trace_id:
            return Match(trace, 2, 0.98, evidence)
        is_short = ids.is_64bit(normalised) or ids.is_64bit(trace.trace_id)
        if is_short and ids.low_64(normalised) == ids.low_64(trace.trace_id):
            # Two of n random 64-bit ids are equal with probability n^2 / 2^65.
            collision = min(0.95, population * population / 2.0**65)
            low = low or Match(trace, 2, 0.95 - collision, evidence)
    return low


def _as_trace_ids(record: GatewayRecord) -> Iterator[tuple[str, str, str]]:
    if record.trace_id:
        yield (record.trace_id_source or "trace_id", record.trace_id, record.trace_id)
    for found in (*record.ids, Id("record_id", record.record_id)):
        context = ids.parse_request_id(found.value) or ids.parse_xray(found.value)
        # Short ids are padded only where they are meant as trace ids.
        is_long = len(found.value.strip()) >= 32 or found.kind in ("trace_id", "xray_trace_id")
        normalised = context.trace_id if context else ""
        if not normalised and is_long:
            normalised = ids.normalise_trace_id(found.value)
        if normalised:
            yield (found.kind, found.value, normalised)


def _shared_request_id(record: GatewayRecord, trace: TraceView) -> Match | RejectedCandidate | None:
    for found in (*record.ids, Id("record_id", record.record_id)):
        if found.kind in _WEAK_KINDS:
            continue
        root = ids.request_id_root(found.value)
        shared = trace.request_ids.get(ids.request_id_key(root or found.value))
        if shared is None:
            continue
        name = f"{found.kind} = {shared.field}"
        match = Match(
            trace,
            3,
            0.95,
            (Evidence(field=name, left=found.value, right=shared.value),),
            shared.node,
        )
        objection = _objection(record, shared.node)
        return _reject(match, objection) if objection else match
    return None


def _objection(record: GatewayRecord, node: Node) -> str:
    attributes = node.attributes
    if not windows_meet(record, node.raw_start, node.raw_end, _REQUEST_ID_SLACK_NS):
        return "the same request id, but at another time: it was used again"
    if node.parent is not None:
        # A call further in: that it goes elsewhere is no contradiction.
        return ""
    method = method_of(attributes)
    if is_against(method, record.method, record.backend_method):
        return f"the method differs: {record.method} and {method}"
    host, path = place_of(attributes)
    is_elsewhere = is_against(host, record.host, record.backend_host)
    if is_elsewhere and is_against(path, record.path, record.backend_path):
        return f"neither host nor path are the same: {host}{path}"
    return ""


def _choose(record: GatewayRecord, found: list[Match], matches: Matches) -> None:
    """Accept the best match and its continuations; everything else is rejected with a reason."""
    equals = [m for m in found if m.tier == found[0].tier]
    if len(equals) > 1:
        equals = _closest(record, equals)
    if len(equals) > 1 and not _are_attempts(record, equals):
        reason = f"ambiguous: {len(equals)} traces match equally well"
        matches.rejected += [_reject(match, reason) for match in found]
        return
    matches.accepted = list(equals)
    whole = [match.trace for match in equals]
    for match in found:
        if match in equals:
            continue
        if continuation_of(match.trace, whole):
            matches.accepted.append(match)
        else:
            reason = f"another trace matches better (tier {found[0].tier})"
            matches.rejected.append(_reject(match, reason))


def _closest(record: GatewayRecord, equals: list[Match]) -> list[Match]:
    """Drop continuations of another match, then matches that are not close in time."""
    firsts = [
        match
        for match in equals
        if not continuation_of(match.trace, [m.trace for m in equals if m is not match])
    ]
    candidates = firsts or equals[:1]
    near = [m for m in candidates if windows_meet(record, *_window(m), NEAR_NS)]
    return near or candidates


def _are_attempts(record: GatewayRecord, equals: list[Match]) -> bool:
    """Tell whether the matches are the gateway's own tries: as many as it counted, in turn."""
    if record.attempts is None or record.attempts < len(equals):
        return False
    windows = sorted(_window(match) for match in equals)
    return all(a[1] <= b[0] for a, b in zip(windows, windows[1:], strict=False))


def _window(match: Match) -> tuple[int, int]:
    entry = match.entry
    if entry is not None:
        return entry.raw_start, entry.raw_end
    return match.trace.start, match.trace.end


def _reject(match: Match, reason: str) -> RejectedCandidate:
    return RejectedCandidate(
        to=match.trace.trace_id,
        tier=match.tier,
        confidence=match.confidence,
        reason=reason,
        evidence=match.evidence,
    )
