"""
Two requests side by side, or one beside the typical one of its route.

In: timelines. Out: `Comparison`: phases and calls aligned, with what they took on each side. Calls
are aligned by their path: the services and operations from the outermost hop down to them. Calls of
one path are one line, so that one call against twenty of the same kind shows as just that.
"""

import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from collector.answers import Answer, Duration, MaybeText, Moment
from collector.clock import Clock
from collector.errors import BadQuestion, NotFound
from collector.query.search.filters import Parameter, collect_pairs
from collector.query.timelines.explanation import Sentence, describe_request
from collector.query.timelines.rows import RowStitching
from collector.query.timelines.stitching import SAMPLED
from collector.query.timelines.timelines import Timelines
from collector.stitch.timeline import Hop, Timeline
from collector.store import RequestFilter, Store
from collector.timestamps import NS_PER_H, NS_PER_MS, format_duration

TYPICAL = "typical"
COMPARE_PARAMETERS = (
    Parameter(
        "a",
        "Any id of the request that is looked at.",
        example="9d2f6c1e-5b7a-4c30-8e4f-2a6b8c0d1e3f",
    ),
    Parameter(
        "b",
        f"Any id of the request that it is held against; `{TYPICAL}`, or nothing, for the typical "
        "one of its route: the median of good requests around the same time.",
        example=TYPICAL,
    ),
)
_REACHES_NS = (NS_PER_H, 24 * NS_PER_H)
_SAMPLE = 60
_MIN_TYPICAL = 5
_MOST_SENTENCES = 5
# A difference is told from a twentieth of the longer request on, and not below a millisecond.
_TOLD_SHARE = 20
# A typical request makes a call that half of the sample make.
_TYPICAL_SHARE = 0.5

# A part of a path with digits names a thing, unless it is a version of the API.
_OF_ONE_REQUEST = re.compile(r"/(?!v\d{1,2}(?:/|$))[^/\s]*\d[^/\s]*", re.ASCII)

_Path = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRequest:
    """
    One side. `requests` is 1, or how many the typical one is the median of; then `id` is "typical".
    """

    id: str
    trace_id: MaybeText
    title: str
    start_ns: Moment | None
    duration_ns: Duration | None
    status: int | None
    gateway: str
    api: str
    operation: str
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseDelta:
    """A phase on both sides; `None` on a side that has no such phase."""

    name: str
    a_ns: Duration | None
    b_ns: Duration | None
    delta_ns: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCalls:
    """
    The calls of one path on one side.

    `calls` may be a fraction for the typical request, of which `share` make the call. `critical_ns`
    is the time in which these calls alone held up the answer, `duration_ns` the sum of their own
    durations, `None` when nobody measured it.
    """

    calls: float
    share: float
    critical_ns: Duration
    duration_ns: Duration | None
    errors: float
    statuses: tuple[str, ...]
    instances: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDelta:
    """
    Calls of one service and operation below the same callers, `depth` of them.

    `only` is "a" or "b" when the other side has none. `delta_ns` is the difference on the critical
    path, positive when A waits longer.
    """

    depth: int
    role: str
    service: str
    operation: str
    a: ComparedCalls | None
    b: ComparedCalls | None
    delta_ns: Duration
    only: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Answer):
    """Two requests, A against B. Differences are A minus B; `calls` stand below their callers."""

    a: ComparedRequest
    b: ComparedRequest
    delta_ns: Duration | None
    phases: tuple[PhaseDelta, ...]
    calls: tuple[CallDelta, ...]
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class _Side:
    """What is compared: one timeline, or the many that a typical request is the median of."""

    shown: ComparedRequest
    phases: dict[str, int]
    calls: dict[_Path, ComparedCalls]
    roles: dict[_Path, str]


class Comparing:
    """Compares requests. Thread-safe."""

    def __init__(
        self, store: Store, clock: Clock, timelines: Timelines, rows: RowStitching
    ) -> None:
        self._store = store
        self._clock = clock
        self._timelines = timelines
        self._rows = rows

    def compare(self, pairs: Iterable[tuple[str, str]]) -> Comparison:
        """
        Return A against B.

        Raises:
            BadQuestion: `a` is missing, or both are one request.
            NotFound: one of them is not known, or too few requests are like A.
        """
        given = collect_pairs(pairs, ("a", "b"))
        if "a" not in given:
            msg = "a: is missing: give any id of a request"
            raise BadQuestion(msg, hint="set b to the id of another request, or to `typical`")
        first = self._get("a", given["a"])
        if given.get("b", TYPICAL).lower() == TYPICAL:
            return compare(side_of(first), typical_side(self._find_typical(first)))
        second = self._get("b", given["b"])
        if first.id == second.id:
            msg = "b: is the same request as a"
            raise BadQuestion(msg, hint="give another id, or `typical`")
        return compare(side_of(first), side_of(second))

    def _get(self, name: str, text: str) -> Timeline:
        try:
            return self._timelines.get(text)
        except (BadQuestion, NotFound) as error:
            words = error.message.removeprefix("id: ")
            raise type(error)(f"{name}: {words}", hint=error.hint) from error

    def _find_typical(self, timeline: Timeline) -> list[Timeline]:
        """Return good requests of the same route around the same time, without this one."""
        found: list[Timeline] = []
        for reach_ns in _REACHES_NS:
            wanted = replace(
                _like(timeline),
                start_ns=max(timeline.start_ns - reach_ns, 0),
                end_ns=timeline.start_ns + reach_ns,
            )
            rows = self._store.find_requests(wanted, _SAMPLE)
            now_ns = self._clock.now_ns()
            stitched = (each for _, each, _ in self._rows.stitch(rows, now_ns, SAMPLED))
            found = [
                each
                for each in stitched
                if each is not None and each.id != timeline.id and each.duration_ns is not None
            ]
            if len(found) >= _MIN_TYPICAL:
                return found
        msg = f"b: only {len(found)} good requests are like this one, {_MIN_TYPICAL} are needed"
        raise NotFound(msg, hint="name the request to compare with: b=<an id>")


def _like(timeline: Timeline) -> RequestFilter:
    """Return the filter for good requests of the same API and operation, or route."""
    wanted = RequestFilter(start_ns=0, end_ns=0, is_error=False, order="-start")
    if timeline.gateway_records:
        record = timeline.gateway_records[0].record
        # The closest name that the gateway has for what was asked; a path alone is the last resort.
        route = "" if record.operation else record.route
        return replace(
            wanted,
            gateway=record.gateway,
            api=record.api,
            operation=record.operation,
            route=route if route or record.operation or record.api else record.path,
            method=record.method,
        )
    first = timeline.spans[0] if timeline.spans else None
    attributes = first.attributes if first else {}
    route = attributes.get("http.route", "") or (first.name if first else "")
    service = first.service if first else ""
    return replace(wanted, route=route, service=service)


def side_of(timeline: Timeline) -> _Side:
    """Return one request as a side."""
    calls, roles = _calls_of(timeline)
    return _Side(_describe(timeline), _phases_of(timeline), calls, roles)


def typical_side(timelines: Sequence[Timeline]) -> _Side:
    """Return the median of requests as a side; a call that less than half make is not typical."""
    each_calls = [_calls_of(timeline) for timeline in timelines]
    roles = {path: role for _, found in each_calls for path, role in found.items()}
    calls = {path: _median_calls(path, [found for found, _ in each_calls]) for path in roles}
    names = dict.fromkeys(phase.name for each in timelines for phase in each.phases)
    phases = [_phases_of(timeline) for timeline in timelines]
    medians = {name: _median(found.get(name, 0) for found in phases) for name in names}
    durations = [each.duration_ns for each in timelines if each.duration_ns is not None]
    shown = replace(
        _describe(timelines[0]),
        id=TYPICAL,
        trace_id="",
        title=f"the median of {len(timelines)} good requests like it",
        start_ns=None,
        duration_ns=_median(durations) if durations else None,
        requests=len(timelines),
    )
    typical = {path: each for path, each in calls.items() if each.share >= _TYPICAL_SHARE}
    return _Side(shown, {name: ns for name, ns in medians.items() if ns}, typical, roles)


def compare(a: _Side, b: _Side) -> Comparison:
    """Align two sides."""
    delta_ns = None
    if a.shown.duration_ns is not None and b.shown.duration_ns is not None:
        delta_ns = a.shown.duration_ns - b.shown.duration_ns
    calls = tuple(_align(a, _moved(a, b)))
    return Comparison(
        a=a.shown,
        b=b.shown,
        delta_ns=delta_ns,
        phases=tuple(
            PhaseDelta(
                name=name,
                a_ns=a.phases.get(name),
                b_ns=b.phases.get(name),
                delta_ns=a.phases.get(name, 0) - b.phases.get(name, 0),
            )
            for name in dict.fromkeys((*a.phases, *b.phases))
        ),
        calls=calls,
        sentences=tuple(_tell(a.shown, b.shown, delta_ns, calls)),
    )


def _moved(a: _Side, b: _Side) -> _Side:
    """
    Return B with the calls that only their callers tell apart from A's put where A has them.

    A request that a gateway wrote down and one that none did share all that lies behind it.
    """
    lonely: dict[tuple[str, str], list[_Path]] = {}
    for path in a.calls:
        if path not in b.calls:
            lonely.setdefault(path[-1], []).append(path)
    places: dict[_Path, _Path] = {}
    for path in b.calls:
        above = places.get(path[:-1], path[:-1])
        place = (*above, path[-1])
        rivals = lonely.get(path[-1], [])
        if place not in a.calls and len(rivals) == 1:
            place = rivals.pop()
        places[path] = place
    return replace(
        b,
        calls={places[path]: each for path, each in b.calls.items()},
        roles={places.get(path, path): role for path, role in b.roles.items()},
    )


def _align(a: _Side, b: _Side) -> Iterator[CallDelta]:
    """Yield the paths of both sides, callers before what they call, in the order of A, then B."""
    children: dict[_Path, dict[_Path, None]] = {}
    for path in (*a.calls, *b.calls):
        for depth in range(1, len(path) + 1):
            children.setdefault(path[: depth - 1], {}).setdefault(path[:depth])
    stack = list(reversed(children.get((), {})))
    while stack:
        path = stack.pop()
        stack += reversed(children.get(path, {}))
        first, second = a.calls.get(path), b.calls.get(path)
        if first or second:
            service, operation = path[-1]
            yield CallDelta(
                depth=len(path) - 1,
                role=a.roles.get(path) or b.roles.get(path, ""),
                service=service,
                operation=operation,
                a=first,
                b=second,
                delta_ns=(first.critical_ns if first else 0)
                - (second.critical_ns if second else 0),
                only="" if first and second else "a" if first else "b",
            )


def _describe(timeline: Timeline) -> ComparedRequest:
    record = timeline.gateway_records[0].record if timeline.gateway_records else None
    return ComparedRequest(
        id=timeline.id,
        trace_id=timeline.trace_id,
        title=describe_request(timeline),
        start_ns=timeline.start_ns,
        duration_ns=timeline.duration_ns,
        status=timeline.status,
        gateway=record.gateway if record else "",
        api=record.api if record else "",
        operation=record.operation if record else "",
        requests=1,
    )


def _phases_of(timeline: Timeline) -> dict[str, int]:
    phases: dict[str, int] = {}
    for phase in timeline.phases:
        phases[phase.name] = phases.get(phase.name, 0) + phase.duration_ns
    return phases


def _calls_of(timeline: Timeline) -> tuple[dict[_Path, ComparedCalls], dict[_Path, str]]:
    """Return the hops of a request by their paths, in the order of the timeline."""
    paths: dict[int, _Path] = {}
    groups: dict[_Path, list[Hop]] = {}
    for hop in sorted(timeline.hops, key=lambda each: each.index):
        path = (*paths.get(hop.parent, ()), (hop.service, _operation(hop)))
        paths[hop.index] = path
        groups.setdefault(path, []).append(hop)
    calls = {path: _sum_up(hops) for path, hops in groups.items()}
    return calls, {path: hops[0].role for path, hops in groups.items()}


def _operation(hop: Hop) -> str:
    """Return the name that calls of one kind share: without what is of one request alone."""
    if hop.role == "gateway":
        return ""
    return _OF_ONE_REQUEST.sub("/*", hop.name.partition("?")[0])


def _sum_up(hops: Sequence[Hop]) -> ComparedCalls:
    durations = [hop.duration_ns for hop in hops]
    known = [each for each in durations if each is not None]
    return ComparedCalls(
        calls=len(hops),
        share=1.0,
        critical_ns=sum(hop.critical_ns for hop in hops),
        duration_ns=sum(known) if len(known) == len(durations) else None,
        errors=sum(_is_failed(hop) for hop in hops),
        statuses=tuple(sorted({hop.status for hop in hops} - {"unset", "ok"})),
        instances=tuple(sorted({hop.instance for hop in hops} - {""})),
    )


def _is_failed(hop: Hop) -> bool:
    return hop.status == "error" or (hop.status.isdigit() and int(hop.status) >= 500)


def _median_calls(path: _Path, sides: Sequence[dict[_Path, ComparedCalls]]) -> ComparedCalls:
    """Return the median of the requests that make the calls of a path."""
    found = [calls[path] for calls in sides if path in calls]
    durations = [each.duration_ns for each in found if each.duration_ns is not None]
    return ComparedCalls(
        calls=statistics.median(each.calls for each in found),
        share=round(len(found) / len(sides), 4),
        critical_ns=_median(each.critical_ns for each in found),
        duration_ns=_median(durations) if durations else None,
        errors=statistics.median(each.errors for each in found),
        statuses=(),
        instances=(),
    )


def _median(values: Iterable[int]) -> int:
    return round(statistics.median(values))


def _tell(
    a: ComparedRequest, b: ComparedRequest, delta_ns: int | None, calls: Sequence[CallDelta]
) -> Iterator[Sentence]:
    """Say in words what differs, the longest first."""
    other = "B" if b.requests == 1 else "a typical request"
    if delta_ns is None or a.duration_ns is None or b.duration_ns is None:
        yield Sentence("time", "The duration of one of them is not known.", "COMPARE", (a.id,))
        least_ns = NS_PER_MS
    else:
        size = f"{format_duration(abs(delta_ns))} {'longer' if delta_ns >= 0 else 'shorter'}"
        text = f"A took {format_duration(a.duration_ns)}, {size} than {other}."
        yield Sentence("time", text, "COMPARE", (a.id, b.id))
        least_ns = max(max(a.duration_ns, b.duration_ns) // _TOLD_SHARE, NS_PER_MS)
    # A failure travels outwards: the innermost call that failed on one side only is told.
    failed = max((each for each in calls if _fails_once(each)), key=lambda e: e.depth, default=None)
    told = [
        each
        for each in calls
        if abs(each.delta_ns) >= least_ns or each is failed or _are_many(each)
    ]
    told.sort(key=lambda each: (-abs(each.delta_ns), each.depth))
    for each in told[:_MOST_SENTENCES]:
        yield Sentence("time", _tell_calls(each, other), "COMPARE_CALLS", (a.id, b.id))


def _fails_once(each: CallDelta) -> bool:
    return bool(each.a and each.b and bool(each.a.errors) != bool(each.b.errors))


def _are_many(each: CallDelta) -> bool:
    """Tell whether one side calls three times as often and more."""
    if each.a is None or each.b is None:
        return False
    many, few = max(each.a.calls, each.b.calls), min(each.a.calls, each.b.calls)
    return many >= 3 * max(few, 1)


def _tell_calls(each: CallDelta, other: str) -> str:
    name = f"{each.service} {each.operation}".strip()
    if each.a is None or each.b is None:
        side, has = ("A", each.a) if each.a is not None else (other, each.b)
        held = format_duration(has.critical_ns) if has else ""
        return f"Only {side} calls {name}, which held the answer up for {held}."
    times = f"{format_duration(each.a.critical_ns)} against {format_duration(each.b.critical_ns)}"
    text = f"{name} held A up for {times} in {other}"
    if each.a.calls != each.b.calls:
        text += f", with {each.a.calls:g} calls against {each.b.calls:g}"
    if _fails_once(each):
        text += f"; it failed in {'A' if each.a.errors else other} only"
    return f"{text}."
