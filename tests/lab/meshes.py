"""
The meshes that scenarios run in: few proxies for many scenarios, which paths tell apart.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from deploy.demo.topology import (
    Call,
    Endpoint,
    Fault,
    Gateway,
    Route,
    Service,
    Step,
    Together,
    Topology,
    Tracer,
    called_services,
)
from tests.lab.scenario import INJECTED_MS, Behaviour, Scenario

CLOCK_OFFSETS_MS = {"ahead": 500, "behind": -200, "slightly-ahead": 50}
"""How wrong the clocks of some services are: the application's and its sidecar's alike."""

_KINDS = {
    service.name: service
    for service in (
        Service("basket-next", has_sidecar=False),
        Service("prices", has_sidecar=False),
        Service("stripper", instrumentation="none"),
        Service("outside", has_sidecar=False, instrumentation="headers"),
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
    is_short = name == "zipkin-64"
    tracer = Tracer("zipkin-json", is_trace_id_128_bit=False) if is_short else Tracer()
    services = [
        _build_service(service, scenarios, "b3-multi" if is_short else "")
        for service in sorted(_names(scenarios))
    ]
    edge = Gateway(tuple(_edge_routes(scenarios)), is_request_id_preserved=True)
    return Topology(name, tuple(services), edge, tracer, () if name == "clocks" else ("otlp",))


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


def _build_service(name: str, scenarios: Iterable[Scenario], propagation: str) -> Service:
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
    if propagation:
        service = replace(service, propagation=propagation)  # type: ignore[arg-type]  # a literal
    return replace(service, endpoints=tuple(endpoints) or (Endpoint(),), routes=tuple(routes))


def _endpoint(scenario: Scenario, behaviour: Behaviour) -> Endpoint:
    return Endpoint(
        path_of(scenario, ""),
        tuple(_along(scenario, step) for step in behaviour.steps),
        behaviour.status,
        behaviour.fail_first,
    )


def _along(scenario: Scenario, step: Step) -> Step:
    match step:
        case Call():
            return replace(step, path=path_of(scenario, "inner"))
        case Together():
            return Together(tuple(_along(scenario, part) for part in step.steps))
    return step
