"""
What the demo demands of each timeline before it calls itself a success.

Pure functions over the document of `GET /api/v1/requests/{id}`; each says what is wrong in words.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from collector.demo.shop import SLOW_QUERY_MS
from collector.demo.traffic import Sent

Document = Mapping[str, Any]


def is_joined(timeline: Document) -> bool:
    """Tell whether a gateway record and spans of the mesh stand in one timeline."""
    has_record = bool(timeline["gateway_records"])
    return has_record and any(link["to"] for link in timeline["links"]) and bool(_inner(timeline))


def check(sent: Sent, timeline: Document) -> list[str]:
    """Return everything that is wrong with the timeline of a request; nothing when it is right."""
    problems = [*check_totals(timeline), *PICTURES[sent.kind.picture](timeline)]
    if timeline["status"] != sent.kind.status:
        problems.append(f"status {timeline['status']}, the caller got {sent.kind.status}")
    if sent.kind.reaches_mesh:
        if not is_joined(timeline):
            problems.append("the gateway record is not joined with the mesh")
        if sent.trace_id and timeline["trace_id"] != sent.trace_id:
            problems.append(f"trace {timeline['trace_id']}, the caller sent {sent.trace_id}")
    return problems


def check_totals(timeline: Document) -> Iterator[str]:
    """Phases sum to the total; the critical path covers it without gap or overlap."""
    total_ns = _to_ns(timeline["duration_ms"])
    sum_ns = sum(_to_ns(phase["duration_ms"]) for phase in timeline["phases"])
    if sum_ns != total_ns:
        yield f"phases sum to {sum_ns} ns of {total_ns} ns"
    at_ns = 0
    for section in timeline["critical_path"]:
        if _to_ns(section["from_ms"]) != at_ns:
            yield f"the critical path jumps from {at_ns} ns to {section['from_ms']} ms"
        at_ns = _to_ns(section["to_ms"])
    if at_ns != total_ns:
        yield f"the critical path ends at {at_ns} ns of {total_ns} ns"


def _check_joined(timeline: Document) -> Iterator[str]:
    yield from ()


def _check_parallel(timeline: Document) -> Iterator[str]:
    visits = [_visits(timeline, name) for name in ("catalog", "inventory")]
    if not all(visits):
        yield "one of the two parallel calls is missing"
        return
    (first, second) = (found[0] for found in visits)
    latest_start = max(first["start_offset_ms"], second["start_offset_ms"])
    ends = (hop["start_offset_ms"] + hop["duration_ms"] for hop in (first, second))
    if latest_start >= min(ends):
        yield "the parallel calls do not overlap"


def _check_order(timeline: Document) -> Iterator[str]:
    attempts = sorted(hop["attempt"] for hop in _visits(timeline, "payments"))
    if attempts != [1, 2]:
        yield f"payments was tried twice, the timeline shows attempts {attempts}"
    if not _visits(timeline, "loyalty"):
        yield "the service that speaks B3 and Zipkin is missing"


def _check_slow_dependency(timeline: Document) -> Iterator[str]:
    roles = {span["span_id"]: span["role"] for span in timeline["spans"]}
    waited_ms = sum(
        section["to_ms"] - section["from_ms"]
        for section in timeline["critical_path"]
        if roles.get(section["span_id"]) == "dependency"
    )
    if waited_ms < SLOW_QUERY_MS * 0.9:
        yield f"the slow query holds {waited_ms:.0f} ms of the critical path, not {SLOW_QUERY_MS}"


def _check_timeout(timeline: Document) -> Iterator[str]:
    verdict = timeline["verdict"]
    if "timeout" not in verdict["class"].lower():
        yield f"the verdict speaks of {verdict['class']!r}, not of a timeout"


def _check_refused(timeline: Document) -> Iterator[str]:
    yield from _check_gateway_alone(timeline)
    if timeline["verdict"]["layer"] not in ("gateway", "client"):
        yield f"the verdict blames {timeline['verdict']['layer']!r}, not the gateway or its caller"


def _check_cache_hit(timeline: Document) -> Iterator[str]:
    yield from _check_gateway_alone(timeline)
    if [record["cache"] for record in timeline["gateway_records"]] != ["hit"]:
        yield "the record does not say that the cache answered"


def _check_gateway_alone(timeline: Document) -> Iterator[str]:
    if _inner(timeline):
        yield f"hops behind the gateway: {[hop['service'] for hop in _inner(timeline)]}"


PICTURES: Mapping[str, Callable[[Document], Iterator[str]]] = {
    "joined": _check_joined,
    "parallel": _check_parallel,
    "order": _check_order,
    "slow-dependency": _check_slow_dependency,
    "timeout": _check_timeout,
    "refused": _check_refused,
    "cache-hit": _check_cache_hit,
}
"""The checks that a kind of traffic can ask for, by name."""


def _inner(timeline: Document) -> list[Document]:
    return [hop for hop in timeline["hops"] if hop["role"] != "gateway"]


def _visits(timeline: Document, service: str) -> list[Document]:
    return [
        hop
        for hop in _inner(timeline)
        if hop["role"] == "service" and hop["service"].split(".")[0] == service
    ]


def _to_ns(duration_ms: float) -> int:
    return round(duration_ms * 1_000_000)
