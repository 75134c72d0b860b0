"""
The meshes that scenarios run in: few proxies for many scenarios, which paths tell apart.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from collector.demo.topology import (
    AccessLog,
    Call,
    Endpoint,
    Fault,
    Gateway,
    RateLimit,
    Route,
    Service,
    Step,
    Together,
    Topology,
    Tracer,
    called_services,
)
from tests.lab.forwarder import Distortion
from tests.lab.scenario import INJECTED_MS, Behaviour, Scenario


@dataclass(frozen=True, slots=True)
class MeshKind:
    """
    How one mesh differs from the ordinary one.

    `distortions` are by service: the application's clock and its sidecar's are wrong alike.
    """

    tracer: Tracer = Tracer()
    edge_name: str = "istio-ingressgateway"  # one host has one clock in all meshes
    edge_tracer: Tracer | None = None
    access_logs: tuple[AccessLog, ...] = ("otlp",)
    is_b3: bool = False
    has_application_spans: bool = True
    has_waypoint: bool = False
    distortions: Mapping[str, Distortion] = field(default_factory=dict)
    at_once: int = 3  # requests on their way


MESHES = {
    "shop": MeshKind(),
    "clocks": MeshKind(
        access_logs=(),
        distortions={
            "ahead": Distortion(500),
            "behind": Distortion(-200),
            "slightly-ahead": Distortion(50),
            "far-ahead": Distortion(5_000),
            "hours-behind": Distortion(-7_200_000),
            "longer-and-behind": Distortion(-400, stretch_ms=3),
        },
    ),
    "edge-clock": MeshKind(
        access_logs=(), edge_name="late-ingress", distortions={"late-ingress": Distortion(-350)}
    ),
    "zipkin-64": MeshKind(Tracer("zipkin-json", is_trace_id_128_bit=False), is_b3=True),
    "old-edge": MeshKind(edge_tracer=Tracer(spawns_upstream_span=False)),
    "bare": MeshKind(has_application_spans=False),
    "logs-only": MeshKind(Tracer("none"), has_application_spans=False),
    "ambient": MeshKind(has_waypoint=True),
    "lossy": MeshKind(
        distortions={
            "lossy": Distortion(lost_kind="server"),
            "adrift": Distortion(lost_kind="server"),
            "short": Distortion(is_id_cut=True),
        },
    ),
    "crowd": MeshKind(at_once=8),
}
"""The meshes by name, in the order in which they run."""

_KINDS = {
    service.name: service
    for service in (
        Service("basket-next", has_sidecar=False),
        Service("prices", has_sidecar=False),
        Service("stripper", instrumentation="none"),
        Service("lossy", has_sidecar=False),
        Service("adrift", has_sidecar=False),
        Service("short", has_sidecar=False),
        Service("longer-and-behind", has_sidecar=False),
        Service("outside", has_sidecar=False, instrumentation="headers"),
        Service("limited", inbound_rate_limit=RateLimit(tokens=1, interval_ms=600_000)),
        Service("legacy", tracer=Tracer("zipkin-json"), propagation="b3-multi"),
        Service("bridge", propagation="w3c+b3"),
        Service("gatekeeper", inbound_fault=Fault(delay_ms=int(INJECTED_MS))),
        Service("down", is_down=True),
        Service("unplugged", has_sidecar=False, is_down=True),
        Service("gone", has_sidecar=False, is_down=True, has_no_endpoints=True),
    )
}


def build_topology(name: str, scenarios: Sequence[Scenario]) -> Topology:
    """Build the mesh of one name for the scenarios that run in it."""
    kind = MESHES[name]
    services = [_build_service(service, scenarios, kind) for service in sorted(_names(scenarios))]
    routes = tuple(_edge_routes(scenarios))
    edge = Gateway(routes, kind.edge_name, tracer=kind.edge_tracer, is_request_id_preserved=True)
    return Topology(name, tuple(services), edge, kind.tracer, kind.access_logs)


def path_of(scenario: Scenario, marker: str) -> str:
    """Return the path that makes every hop behave as the scenario says."""
    return f"/{scenario.name}/{marker}"


def _names(scenarios: Iterable[Scenario]) -> set[str]:
    names: set[str] = set()
    for scenario in scenarios:
        names |= set(scenario.services)
        for behaviour in scenario.services.values():
            names |= called_services(behaviour.steps)
            names |= {route.mirror_to for route in behaviour.routes}
    return names - {""}


def _edge_routes(scenarios: Iterable[Scenario]) -> Iterator[Route]:
    for scenario in scenarios:
        if scenario.services:
            first = next(iter(scenario.services))
            yield Route(first, prefix=path_of(scenario, ""), **scenario.edge)  # type: ignore[arg-type]  # options of a Route by name


def _build_service(name: str, scenarios: Iterable[Scenario], kind: MeshKind) -> Service:
    endpoints, routes = [], []
    for scenario in scenarios:
        behaviour = scenario.services.get(name)
        if behaviour is not None:
            endpoints.append(_endpoint(scenario, behaviour))
            routes += [replace(route, prefix=path_of(scenario, "")) for route in behaviour.routes]
    called = called_services([step for endpoint in endpoints for step in endpoint.steps])
    # A route for one path hides the plain one that the builder adds otherwise.
    routes += [Route(callee) for callee in sorted(called)]
    service = _KINDS.get(name, Service(name))
    if kind.is_b3:
        service = replace(service, propagation="b3-multi")
    if not kind.has_application_spans:
        service = replace(service, instrumentation="headers")
    if kind.has_waypoint:
        service = replace(service, has_sidecar=False, waypoint="waypoint")
    return replace(service, endpoints=tuple(endpoints) or (Endpoint(),), routes=tuple(routes))


def _endpoint(scenario: Scenario, behaviour: Behaviour) -> Endpoint:
    return Endpoint(
        path_of(scenario, ""),
        tuple(_along(scenario, step) for step in behaviour.steps),
        behaviour.status,
        behaviour.fail_first,
        grpc_status=behaviour.grpc_status,
    )


def _along(scenario: Scenario, step: Step) -> Step:
    match step:
        case Call():
            return replace(step, path=path_of(scenario, f"inner{step.path.rstrip('/')}"))
        case Together():
            return Together(tuple(_along(scenario, part) for part in step.steps))
    return step
