"""
Rules that need many requests: what is missing shows only beside what is there.

Source: istio/istio#55637 (the edge's server span), #60780 and #61154 (waypoints
that fall silent), #30809 and consul#8519 (sampling decided twice).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from collector.stitch.doctor.fixes import SAMPLE_ONCE
from collector.stitch.doctor.reading import (
    gateway_of,
    mesh_spans,
    name_of,
    reference_of,
    span_reference,
)
from collector.stitch.doctor.rule import PopulationRule, Symptom
from collector.stitch.timeline import Timeline

_Shown = tuple[Timeline, Symptom]
_MIN_REQUESTS = 20
# Sampling that agrees in nine of ten requests is one decision with a few lost spans.
_AGREEING_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class _Decision:
    timeline: Timeline
    is_sampled: bool
    has_spans: bool
    reference: str


def find_missing_server_kind(timelines: Sequence[Timeline]) -> Iterator[_Shown]:
    """
    The edge sends a single CLIENT span although it sends SERVER spans elsewhere.

    Before Istio 1.28 every edge does, which is normal: only a mixture is reported.
    """
    single: dict[str, list[tuple[Timeline, str]]] = {}
    full: set[str] = set()
    for timeline in timelines:
        for span in mesh_spans(timeline):
            if span.role != "edge":
                continue
            if span.kind == "Server":
                full.add(span.service)
            else:
                single.setdefault(span.service, []).append((timeline, span_reference(span)))
    for service in sorted(full & set(single)):
        for timeline, reference in single[service]:
            detail = "a CLIENT span and no SERVER span, unlike other requests through it"
            yield (
                timeline,
                Symptom(service, detail, gateway_of(timeline), (reference,)),
            )


def find_silent_waypoint(timelines: Sequence[Timeline]) -> Iterator[_Shown]:
    """A waypoint that stands in front of a service in most requests is missing in this one."""
    visits: dict[str, list[tuple[Timeline, bool]]] = {}
    for timeline in timelines:
        roles = {
            hop.index: {s.role for s in mesh_spans(timeline) if s.hop == hop.index}
            for hop in timeline.hops
            if hop.role == "service" and not hop.is_inferred
        }
        for index, seen in roles.items():
            if not seen:
                continue
            service = timeline.hops[index].service
            visits.setdefault(service, []).append((timeline, "waypoint" in seen))
    for service, seen_at in sorted(visits.items()):
        share = sum(has for _, has in seen_at) / len(seen_at)
        if not 0.5 <= share < 1:
            continue
        for timeline, has_waypoint in seen_at:
            if not has_waypoint:
                detail = f"no waypoint span, as in {1 - share:.0%} of the visits"
                yield (
                    timeline,
                    Symptom(service, detail, gateway_of(timeline), (timeline.id,)),
                )


def find_sampling_mismatch(timelines: Sequence[Timeline]) -> Iterator[_Shown]:
    """
    Gateway and mesh decide on sampling each for itself.

    If they shared the decision, spans would arrive for what the gateway sampled and for nothing
    else. Requests whose spans are still due are left out, and those that never left the gateway.
    """
    decided = [
        (timeline, merged, any(True for _ in mesh_spans(timeline)))
        for timeline in timelines
        for merged in timeline.gateway_records[-1:]
        if merged.record.is_sampled is not None
        and timeline.state != "provisional"
        and not timeline.is_answered_at_gateway
    ]
    by_gateway: dict[str, list[_Decision]] = {}
    for timeline, merged, has_spans in decided:
        decision = _Decision(
            timeline, bool(merged.record.is_sampled), has_spans, reference_of(merged)
        )
        by_gateway.setdefault(name_of(merged), []).append(decision)
    for gateway, decisions in sorted(by_gateway.items()):
        apart = [d for d in decisions if d.is_sampled != d.has_spans]
        count = len(decisions)
        if count < _MIN_REQUESTS or 1 - len(apart) / count >= _AGREEING_SHARE:
            continue
        detail = (
            f"the gateway samples {sum(d.is_sampled for d in decisions) / count:.0%}, the mesh "
            f"{sum(d.has_spans for d in decisions) / count:.0%} of the requests, both "
            f"{sum(d.is_sampled and d.has_spans for d in decisions) / count:.0%}"
        )
        for one in apart:
            yield (
                one.timeline,
                Symptom(gateway, detail, gateway_of(one.timeline), (one.reference,)),
            )


POPULATION_RULES: tuple[PopulationRule, ...] = (
    PopulationRule(
        code="SERVER_KIND_MISSING",
        title="The edge leaves out its server span",
        meaning="Of these requests the edge shows one client span, of others both of its sides.",
        find=find_missing_server_kind,
        fixes={
            "": "Some of the edge's replicas run without upstream spans. Istio 1.26 and 1.27: "
            "PILOT_SPAWN_UPSTREAM_SPAN_FOR_GATEWAY=true; from 1.28 on, update what is left behind.",
        },
    ),
    PopulationRule(
        code="WAYPOINT_SILENT",
        title="A waypoint sends no spans",
        meaning="What it does to these requests, and how long that takes, cannot be seen.",
        find=find_silent_waypoint,
        fixes={
            "": "Select the waypoint in a Telemetry resource of its namespace:\n"
            "spec: {targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, "
            "name: waypoint}],\n"
            "  tracing: [{providers: [{name: otel}], randomSamplingPercentage: 100}]}",
        },
    ),
    PopulationRule(
        code="SAMPLING_MISMATCH",
        title="Gateway and mesh sample each for itself",
        meaning="They keep different requests: few have both a record with a trace and spans.",
        find=find_sampling_mismatch,
        fixes={"": SAMPLE_ONCE},
    ),
)
"""Rules that only many requests show."""
