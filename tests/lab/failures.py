"""
The scenarios in which a request fails, and who failed first.
"""

from typing import Any

from collector.demo.topology import Call, Fault, Query, RateLimit, Route, Step, Together, Work
from tests.lab.scenario import Behaviour, Policy, Scenario, Truth

_GATEWAY = "gateway apim"
_EDGE = "edge istio-ingressgateway"
_PATIENCE_MS = 150
_TOO_LONG = Work(500)


def _chain(
    *front: Step,
    to: str = "basket",
    callee: Behaviour | None = None,
    route: Route | None = None,
    status: int = 200,
) -> dict[str, Behaviour]:
    """The front calls one other service, after what else it does."""
    routes = (route,) if route is not None else ()
    steps = (Work(2), *front, Call(to))
    return {"front": Behaviour(steps, status, routes=routes), to: callee or Behaviour()}


def _failed(hop: str, layer: str, class_: str, *findings: str, **more: Any) -> Truth:
    return Truth(hop, layer, class_, findings=frozenset(findings), **more)


def _refused(status: int, class_: str) -> Scenario:
    return Scenario(
        f"refused-{status}",
        f"the gateway answers {status} without a call",
        _failed(_GATEWAY, "gateway", class_, tier=None, has_spans=False, is_answered=True),
        status=status,
        policy=Policy(refuses=status),
    )


_GATEWAYS = (
    _refused(401, "authentication"),
    _refused(403, "authorization"),
    _refused(404, "routing"),
    _refused(429, "rate_limit"),
    Scenario(
        "gateway-timeout",
        "the gateway gives up first",
        _failed(_GATEWAY, "gateway", "timeout", "TIMEOUT_LONGER_INSIDE", outcome="zombie"),
        status=504,
        policy=Policy(timeout_ms=_PATIENCE_MS),
        services=_chain(callee=Behaviour((_TOO_LONG,))),
        takes_ms=_PATIENCE_MS,
    ),
    Scenario(
        "gateway-timeout-behind",
        "the gateway gives up first; a service behind the second application is slow",
        _failed(
            _GATEWAY,
            "gateway",
            "timeout",
            outcome="zombie",
            reason="of it for outside",
            may_find=frozenset({"TIMEOUT_LONGER_INSIDE"}),
        ),
        status=504,
        policy=Policy(timeout_ms=_PATIENCE_MS),
        services={
            "front": Behaviour((Call("basket"),)),
            "basket": Behaviour((Call("outside"),)),
            "outside": Behaviour((_TOO_LONG,)),
        },
        takes_ms=_PATIENCE_MS,
    ),
    Scenario(
        "fallback-after-timeout",
        "the gateway gives up and an on-error policy answers 200 instead",
        Truth(
            outcome="masked",
            findings=frozenset({"TIMEOUT_LONGER_INSIDE"}),
            reason="Timeout",
            acts=frozenset({"timeout"}),
        ),
        policy=Policy(timeout_ms=_PATIENCE_MS, falls_back=True),
        services=_chain(_TOO_LONG),
        takes_ms=_PATIENCE_MS,
    ),
    Scenario(
        "mesh-unreachable",
        "nobody listens where the gateway calls",
        _failed("", "network", "unreachable", tier=None, has_spans=False, is_provisional=True),
        status=500,
        policy=Policy(is_backend_down=True),
    ),
    Scenario(
        "broken-outbound-policy",
        "the gateway makes an error of a good answer",
        _failed(_GATEWAY, "gateway", "policy", outcome="manufactured"),
        status=500,
        policy=Policy(breaks_with=500),
        services=_chain(),
    ),
    Scenario(
        "client-abort",
        "the caller goes away",
        _failed("", "client", "client_abort", outcome="abandoned"),
        status=0,
        services=_chain(_TOO_LONG),
        patience_s=_PATIENCE_MS / 1000,
        takes_ms=_PATIENCE_MS,
    ),
)

_EDGES = (
    Scenario(
        "edge-timeout",
        "the route of the mesh ingress times out",
        _failed("service front", "mesh", "timeout", "TIMEOUT_LONGER_INSIDE"),
        status=504,
        edge={"timeout_ms": _PATIENCE_MS},
        services=_chain(_TOO_LONG),
        takes_ms=_PATIENCE_MS,
    ),
    Scenario(
        "edge-abort",
        "a fault filter of the mesh ingress aborts",
        _failed(_EDGE, "edge", "fault_injection"),
        status=503,
        edge={"fault": Fault(abort_status=503)},
        services=_chain(),
    ),
    Scenario(
        "edge-idle-timeout",
        "the stream of the mesh ingress is idle too long: the first application is silent",
        _failed("service front", "mesh", "timeout", may_find=frozenset({"TIMEOUT_LONGER_INSIDE"})),
        status=504,
        edge={"idle_timeout_ms": _PATIENCE_MS},
        services=_chain(_TOO_LONG),
        takes_ms=_PATIENCE_MS,
    ),
    Scenario(
        "edge-authorizer-down",
        "the mesh ingress asks an authorization service that nobody runs",
        _failed("service authorization", "mesh", "unreachable"),
        status=403,
        edge={"is_authorizer_down": True},
        services=_chain(),
    ),
    Scenario(
        "edge-rate-limit",
        "the mesh ingress limits the rate",
        _failed(_EDGE, "edge", "rate_limit", "RATE_LIMIT_BEHIND_GATEWAY"),
        status=429,
        edge={"rate_limit": RateLimit(tokens=1, interval_ms=600_000)},
        services=_chain(),
    ),
)

_ANSWERS = (
    Scenario(
        "edge-without-route",
        "the mesh ingress has no route for the path",
        _failed(_EDGE, "edge", "routing"),
        status=404,
    ),
    Scenario(
        "front-knows-nothing",
        "the first application answers 404",
        _failed("service front", "app", "client_error"),
        status=404,
        services=_chain(status=404),
    ),
    Scenario(
        "front-limits",
        "the first application answers 429 by itself",
        _failed("service front", "app", "client_error"),
        status=429,
        services=_chain(status=429),
    ),
    Scenario(
        "front-forbids",
        "the first application answers 403 by itself",
        _failed("service front", "app", "client_error"),
        status=403,
        services=_chain(status=403),
    ),
    Scenario(
        "one-of-two-fails",
        "of two calls at once the faster one fails",
        _failed("service basket", "app", "server_error", may_find=frozenset({"OUTSIDE_PARENT"})),
        status=502,
        services={
            "front": Behaviour((Work(2), Together((Call("prices"), Call("basket"))))),
            "basket": Behaviour((Work(20),), status=500),
            "prices": Behaviour((Work(100),)),
        },
        takes_ms=100,
    ),
    Scenario(
        "silent-client-fails",
        "the second application answers 500, the call's own span does not say how it ended",
        _failed("service basket", "app", "server_error"),
        status=502,
        services={
            "front": Behaviour((Work(2), Call("basket", is_silent=True))),
            "basket": Behaviour(status=500),
        },
    ),
    Scenario(
        "grpc-fails",
        "the first application fails as gRPC does, inside of a 200",
        _failed("service front", "app", "unavailable", outcome="failed"),
        services={"front": Behaviour((Work(2),), grpc_status=14)},
    ),
    Scenario(
        "handled-before-fatal",
        "a call fails and is dealt with, the next one fails for good",
        _failed("service basket", "app", "server_error"),
        status=502,
        services={
            "front": Behaviour((Call("prices", is_failure_tolerated=True), Call("basket"))),
            "prices": Behaviour(status=500),
            "basket": Behaviour(status=500),
        },
    ),
    Scenario(
        "two-items",
        "two things are asked of one service, the first is refused and done without",
        Truth("service basket", "none", "server_error", outcome="masked", acts=frozenset()),
        services={
            "front": Behaviour(
                (Call("basket", "/1", is_failure_tolerated=True), Call("basket", "/2"))
            ),
            "basket": Behaviour(fail_first=1),
        },
    ),
    Scenario(
        "put-off-call-fails",
        "a call that the application does not wait for fails after the answer",
        Truth(
            outcome="ok",
            class_="server_error",
            component="basket",
            reason="answered, but basket failed afterwards",
        ),
        services={
            "front": Behaviour((Work(2), Call("basket", is_put_off=True))),
            "basket": Behaviour((Work(60),), status=500),
        },
    ),
    Scenario(
        "slow-and-failing",
        "the second application is slow and fails, after a slow query that works",
        _failed("service basket", "app", "server_error"),
        status=502,
        services={
            "front": Behaviour((Query("SELECT * FROM visit", 120), Call("basket"))),
            "basket": Behaviour((Work(60),), status=500),
        },
        takes_ms=180,
    ),
    Scenario(
        "copy-fails",
        "only the copy of a call fails",
        Truth(outcome="ok"),
        services={
            "front": Behaviour(
                (Work(2), Call("basket")), routes=(Route("basket", mirror_to="basket-next"),)
            ),
            "basket": Behaviour(),
            "basket-next": Behaviour(status=500),
        },
    ),
)

_SIDECARS = (
    Scenario(
        "sidecar-timeout",
        "the caller's sidecar gives up first",
        _failed("service basket", "mesh", "timeout", "TIMEOUT_LONGER_INSIDE"),
        status=502,
        services=_chain(
            callee=Behaviour((_TOO_LONG,)), route=Route("basket", timeout_ms=_PATIENCE_MS)
        ),
        takes_ms=_PATIENCE_MS,
    ),
    Scenario(
        "sidecar-abort",
        "a fault filter of the caller's sidecar aborts",
        _failed("service basket", "mesh", "fault_injection"),
        status=502,
        services=_chain(route=Route("basket", fault=Fault(abort_status=503))),
    ),
    Scenario(
        "application-down",
        "nobody listens behind the callee's sidecar",
        _failed("service down", "mesh", "unreachable"),
        status=502,
        services=_chain(to="down"),
    ),
    Scenario(
        "service-down",
        "nobody listens where the caller's sidecar calls",
        _failed("service unplugged", "mesh", "unreachable"),
        status=502,
        services=_chain(to="unplugged"),
    ),
    Scenario(
        "no-healthy-upstream",
        "the callee has no endpoints",
        _failed("service gone", "mesh", "unhealthy"),
        status=502,
        services=_chain(to="gone"),
    ),
    Scenario(
        "circuit-open",
        "a circuit breaker lets one of three calls through",
        # The application answers without waiting for the call that got through.
        _failed("service fragile", "mesh", "overload", may_find=frozenset({"OUTSIDE_PARENT"})),
        status=502,
        services={
            "front": Behaviour(
                (Work(2), Together((Call("fragile"), Call("fragile"), Call("fragile")))),
                routes=(Route("fragile", max_requests=1, max_pending=1, max_connections=1),),
            ),
            "fragile": Behaviour((Work(120),)),
        },
        takes_ms=120,
        is_alone=True,
    ),
)

_APPLICATIONS = (
    Scenario(
        "front-fails",
        "the first application answers 500",
        _failed("service front", "app", "server_error"),
        status=500,
        services=_chain(status=500),
    ),
    Scenario(
        "basket-fails",
        "the second application answers 500",
        _failed("service basket", "app", "server_error"),
        status=502,
        services=_chain(callee=Behaviour(status=500)),
    ),
    Scenario(
        "outside-service-fails",
        "a service without proxy and spans answers 503",
        _failed("service outside", "app", "server_error"),
        status=502,
        services=_chain(to="outside", callee=Behaviour(status=503)),
    ),
    Scenario(
        "application-timeout",
        "the calling application gives up first",
        _failed("service basket", "app", "timeout", "TIMEOUT_LONGER_INSIDE", component="front"),
        status=502,
        services={
            "front": Behaviour((Work(2), Call("basket", timeout_ms=_PATIENCE_MS))),
            "basket": Behaviour((_TOO_LONG,)),
        },
        takes_ms=_PATIENCE_MS,
    ),
    Scenario(
        "retry-that-succeeds",
        "the second try works, the caller notices nothing",
        Truth("service basket", "none", "server_error", outcome="masked"),
        services=_chain(callee=Behaviour(fail_first=1), route=Route("basket", retries=2)),
        takes_ms=30,
    ),
    Scenario(
        "retry-storm",
        "gateway and sidecar both retry what keeps failing",
        _failed("service basket", "app", "server_error", "RETRIES_MULTIPLIED"),
        status=502,
        policy=Policy(tries=2),
        services=_chain(callee=Behaviour(status=503), route=Route("basket", retries=2)),
        takes_ms=250,
    ),
)

FAILURES = (*_GATEWAYS, *_EDGES, *_ANSWERS, *_SIDECARS, *_APPLICATIONS)
"""The kinds that end in an error, or would have."""
