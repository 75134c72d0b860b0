"""
Questions in the terms of tracing tools: services, their operations, traces of a service, calls.

In: a `TraceSearch`. Out: `Stitched` timelines. A gateway counts as a service, and its APIs as its
operations.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from time import monotonic

from collector.clock import Clock
from collector.model import Span, Stream
from collector.query.learned.freshness import Freshness
from collector.query.reports.trace_search import DEFAULT_RANGE_NS, TraceSearch
from collector.query.results import Stitched
from collector.query.timelines.rows import RowStitching
from collector.query.timelines.stitching import FOUND, SAMPLED, SAMPLED_WHOLE
from collector.stitch.timeline import Hop, Timeline, TimelineSpan
from collector.stitch.tree.roles import broker_name
from collector.store import RequestFilter, RequestRow, Store

_PAGE = 100
_SAMPLE_PAGE = 50
# Tags and operations are compared after stitching; so many requests are looked through for them.
_MOST_ROWS = 2_000
_SAMPLE = 200


@dataclass(frozen=True, slots=True)
class TraceSample:
    """Traces of a range drawn by hash; each of them stands for `weight` ones."""

    traces: tuple[Stitched, ...]
    weight: float


class Traces:
    """Answers what tracing tools ask. Thread-safe."""

    def __init__(
        self, store: Store, clock: Clock, freshness: Freshness, rows: RowStitching
    ) -> None:
        self._store = store
        self._clock = clock
        self._freshness = freshness
        self._rows = rows

    def services(self) -> list[str]:
        """Return the services that sent spans, and the gateways, by name."""
        found = set(self._freshness.names(Stream.TRACE)) | {g for g, _ in self._gateway_apis()}
        return sorted(found - {""})

    def operations(self, service: str) -> list[tuple[str, str]]:
        """Return (name, kind) of a service's spans of the last two days, or a gateway's APIs."""
        now_ns = self._clock.now_ns()
        apis = [(api, "Server") for gateway, api in self._gateway_apis() if gateway == service]
        spans = self._store.find_operations(service, now_ns - DEFAULT_RANGE_NS, now_ns)
        return sorted({*apis, *spans})

    def find(self, search: TraceSearch) -> list[Stitched]:
        """Return the newest traces that fit, at most `limit`."""
        found = (each for each in self.look_through(search) if _fits(each, search))
        return list(islice(found, search.limit))

    def look_through(self, search: TraceSearch) -> Iterator[Stitched]:
        """
        Yield what may fit, the newest first, each trace once; there is an end after 2,000 requests.

        Only what the store knows has been compared: the range, the service, the shortest duration.
        """
        seen: set[str] = set()
        for _, timeline, spans in self._timelines(self._filter(search)):
            if timeline is not None and timeline.id not in seen:
                seen.add(timeline.id)
                yield Stitched(timeline=timeline, spans=tuple(spans))

    def sample(
        self, start_ns: int, end_ns: int, *, limit: int, max_spans: int, max_seconds: float
    ) -> TraceSample:
        """
        Return a sample of the requests that began in [start_ns, end_ns).

        It ends with its limit, or once it holds *max_spans* or has taken *max_seconds*: what is
        looked at by then is a smaller sample, and stands for more.
        """
        rows = self._store.sample_requests(start_ns, end_ns, limit)
        is_whole = len(rows) < limit
        deadline_s, spans, looked = monotonic() + max_seconds, 0, 0
        found: dict[str, Stitched] = {}
        for first in range(0, len(rows), _SAMPLE_PAGE):
            if first and (spans > max_spans or monotonic() > deadline_s):
                is_whole = False
                break
            page = rows[first : first + _SAMPLE_PAGE]
            for _, timeline, stored in self._rows.stitch(page, self._clock.now_ns(), SAMPLED_WHOLE):
                if timeline is not None:
                    spans += len(stored)
                    found.setdefault(timeline.id, Stitched(timeline=timeline, spans=tuple(stored)))
            looked = first + len(page)
        reached = rows[looked - 1].place_ratio if looked else None
        weight = 1.0 if is_whole or not reached else max(1 / reached, 1.0) * (looked - 1) / looked
        return TraceSample(tuple(found.values()), max(weight, 1.0))

    def calls(self, start_ns: int, end_ns: int) -> list[tuple[str, str, int]]:
        """
        Return (caller, callee, calls) in a range: of all stitched requests, each weighed.

        What only the newest requests show is told as well, for they wait to be stitched; while none
        is stitched yet, scaled to all records. Retried calls count as often as they were made; a
        gateway is a caller like any other.
        """
        stats = self._store.get_edge_stats(RequestFilter(start_ns=start_ns, end_ns=end_ns))
        wanted = RequestFilter(start_ns=start_ns, end_ns=end_ns, order="-start")
        sample = self._store.find_requests(wanted, _SAMPLE, "")
        edges: Counter[tuple[str, str]] = Counter()
        recorded = 0
        seen: set[str] = set()
        for row, timeline, _ in self._rows.stitch(sample, self._clock.now_ns(), SAMPLED):
            recorded += bool(row.record_id)
            # Gateways in a row wrote a record each of one request.
            if timeline is not None and timeline.id not in seen:
                seen.add(timeline.id)
                edges.update(edges_of(timeline))
        if stats:
            # what is mirrored was not called for; a service that calls itself says so in its spans
            known = {
                (each.caller, each.callee): each.calls - each.mirrored
                for each in stats
                if each.calls > each.mirrored
                and (each.caller != each.callee or (each.caller, each.callee) in edges)
            }
            return [(a, b, calls) for (a, b), calls in sorted({**edges, **known}.items())]
        total = self._store.get_whole_stat(wanted).requests
        scale = max(total / recorded, 1.0) if recorded and len(sample) == _SAMPLE else 1.0
        return [(a, b, round(count * scale)) for (a, b), count in sorted(edges.items())]

    def _timelines(
        self, wanted: RequestFilter
    ) -> Iterator[tuple[RequestRow, Timeline | None, list[Span]]]:
        cursor, looked = "", 0
        while looked < _MOST_ROWS:
            rows = self._store.find_requests(wanted, _PAGE, cursor)
            yield from self._rows.stitch(rows, self._clock.now_ns(), FOUND)
            looked += len(rows)
            if len(rows) < _PAGE:
                return
            cursor = rows[-1].cursor

    def _filter(self, search: TraceSearch) -> RequestFilter:
        """
        Return what the store can tell beforehand.

        A span is no longer than its request, so the shortest duration holds for the request as
        well; the longest one says nothing about it. A service that sends no spans itself (one that
        a proxy's spans name) is looked for among all requests.
        """
        name = search.service
        return RequestFilter(
            start_ns=search.start_ns,
            end_ns=search.end_ns,
            service=name if self._freshness.may_have(Stream.TRACE, name) else "",
            gateway=name if name in {gateway for gateway, _ in self._gateway_apis()} else "",
            min_duration_ns=search.min_duration_ns,
            order="-start",
        )

    def _gateway_apis(self) -> list[tuple[str, str]]:
        now_ns = self._clock.now_ns()
        wanted = RequestFilter(start_ns=now_ns - DEFAULT_RANGE_NS, end_ns=now_ns)
        stats = self._store.get_group_stats(wanted)
        return [(stat.gateway, stat.api) for stat in stats]


def _fits(found: Stitched, search: TraceSearch) -> bool:
    resources = {(s.trace_id, s.span_id): s.resource for s in found.spans} if search.tags else {}
    nothing: Mapping[str, str] = {}
    return any(
        _span_fits(span, found.timeline, search)
        and all(
            _has_tag(span, resources.get((span.trace_id, span.raw_span_id), nothing), key, value)
            for key, value in search.tags.items()
        )
        for span in found.timeline.spans
    )


def _span_fits(span: TimelineSpan, timeline: Timeline, search: TraceSearch) -> bool:
    if search.service and span.service != search.service:
        return False
    if search.operation and search.operation not in (span.name, _api_of(span, timeline)):
        return False
    shortest, longest = search.min_duration_ns, search.max_duration_ns
    if shortest is not None and (span.duration_ns or 0) < shortest:
        return False
    return longest is None or (span.duration_ns or 0) <= longest


def _has_tag(span: TimelineSpan, resource: Mapping[str, str], key: str, value: str) -> bool:
    if key == "error":
        return (span.status == "error") == (value.lower() == "true")
    if key == "span.kind":
        return span.kind.lower() == value.lower()
    return value in (span.attributes.get(key), resource.get(key))


def _api_of(span: TimelineSpan, timeline: Timeline) -> str:
    for merged in timeline.gateway_records:
        if merged.span_id == span.span_id:
            return merged.record.api
    return ""


def edges_of(timeline: Timeline) -> Iterator[tuple[str, str]]:
    """
    Yield (caller, callee) of each call of a timeline, by the services' names.

    A consumer is reached through the queue that it names, and by nobody if it names none: who put
    the message there is not who called it. A mirrored copy is no call. A service that calls itself
    counts if its call says so.

    Source: openzipkin/zipkin zipkin2.internal.DependencyLinker.
    """
    spans = {span.span_id: span for span in timeline.spans}
    for hop in timeline.hops:
        if not 0 <= hop.parent < len(timeline.hops):
            continue
        caller = timeline.hops[hop.parent]
        is_told_by_consumer = hop.role == "dependency" and not hop.span_ids
        if is_told_by_consumer or not _is_reached(hop, caller, spans):
            continue
        if not caller.service or not hop.service:
            continue
        if hop.is_mirrored:
            continue
        if caller.service != hop.service or _calls_itself(hop, spans):
            yield caller.service, hop.service


def _is_reached(hop: Hop, caller: Hop, spans: Mapping[str, TimelineSpan]) -> bool:
    first = spans[hop.span_ids[0]] if hop.span_ids else None
    if first is None or first.kind != "Consumer":
        return True
    return caller.role == "dependency" and broker_name(first.attributes) != ""


def _calls_itself(hop: Hop, spans: Mapping[str, TimelineSpan]) -> bool:
    """Tell whether the span that opened a hop names its own service as the one it calls."""
    first = spans[hop.span_ids[0]] if hop.span_ids else None
    return first is not None and first.attributes.get("peer.service") == first.service != ""
