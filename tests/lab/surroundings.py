"""
The scenarios in which a slow or failing request meets something odd: other meshes, clocks, twins.

What is injected is the same as elsewhere, so that only the surroundings can lead astray.
"""

from typing import Any

from collector.demo.topology import Call, Route, Together, Work
from tests.lab.scenario import INJECTED_MS, Behaviour, Carrier, Policy, Scenario, Truth

_SLOW = int(INJECTED_MS)
_CHAIN = {"front": Behaviour((Work(2), Call("basket"))), "basket": Behaviour((Work(_SLOW),))}
_FAILING = {"front": Behaviour((Work(2), Call("basket"))), "basket": Behaviour(status=500)}


def _slow(hop: str = "service basket", phase: str = "app", **more: Any) -> Truth:
    return Truth(hop, phase=phase, injected_ms=INJECTED_MS, **more)


def _failed(hop: str, layer: str, class_: str, *findings: str, **more: Any) -> Truth:
    return Truth(hop, layer, class_, findings=frozenset(findings), **more)


def _in_mesh(mesh: str, shows: str, *findings: str, **truth: Any) -> tuple[Scenario, Scenario]:
    """The second application is slow, and fails, in a mesh of another kind."""
    found = frozenset(findings)
    return (
        Scenario(
            f"slow-{mesh}",
            f"{shows}; the second application is slow",
            _slow(findings=found, **truth),
            services=_CHAIN,
            mesh=mesh,
        ),
        Scenario(
            f"fails-{mesh}",
            f"{shows}; the second application answers 500",
            _failed("service basket", "app", "server_error", *findings, **truth),
            status=502,
            services=_FAILING,
            mesh=mesh,
        ),
    )


_MESHES = (
    *_in_mesh("old-edge", "the ingress sends one client span only"),
    *_in_mesh("bare", "applications send no spans"),
    *_in_mesh("logs-only", "nobody sends spans, only access logs", "ONLY_ACCESS_LOGS", tier=1),
    *_in_mesh("ambient", "a waypoint instead of sidecars"),
)


def _off(name: str, shows: str, **truth: Any) -> Scenario:
    services = {
        "front": Behaviour((Work(2), Call(name))),
        name: Behaviour((Work(_SLOW),)),
    }
    truth_of = _slow(f"service {name}", findings=frozenset({"CLOCK"}), **truth)
    return Scenario(f"clock-{name}", shows, truth_of, services=services, mesh="clocks")


_CLOCKS = (
    _off("ahead", "the callee's clock is half a second fast"),
    _off("behind", "the callee's clock is 200 ms slow"),
    _off("slightly-ahead", "the callee's clock is 50 ms fast"),
    _off("far-ahead", "the callee's clock is 5 s fast"),
    _off("hours-behind", "the callee's clock is two hours slow", expected={"spans": "arrived"}),
    _off(
        "longer-and-behind",
        "a slow clock, and the callee outlasts the call by 3 ms",
        may_find=frozenset({"OUTSIDE_PARENT"}),
    ),
    Scenario(
        "clocks-disagree",
        "a fast clock calls a slow one",
        _slow("service behind", findings=frozenset({"CLOCK"})),
        services={
            "front": Behaviour((Work(2), Call("ahead"))),
            "ahead": Behaviour((Work(2), Call("behind"))),
            "behind": Behaviour((Work(_SLOW),)),
        },
        mesh="clocks",
    ),
    Scenario(
        "clock-and-timeout",
        "the caller gives up on a callee whose clock is fast",
        # A callee that starts when nobody waits any more may have been queueing.
        _failed(
            "service ahead",
            "mesh",
            "timeout",
            "TIMEOUT_LONGER_INSIDE",
            may_find=frozenset({"CLOCK"}),
        ),
        status=502,
        services={
            "front": Behaviour((Work(2), Call("ahead")), routes=(Route("ahead", timeout_ms=150),)),
            "ahead": Behaviour((Work(500),)),
        },
        mesh="clocks",
        takes_ms=150,
    ),
    Scenario(
        "clock-edge-behind",
        "the ingress's clock is 350 ms slow",
        _slow(findings=frozenset({"CLOCK"})),
        services=_CHAIN,
        mesh="edge-clock",
    ),
    Scenario(
        "clock-gateway-ahead",
        "the gateway's clock is 3 s fast",
        _slow(findings=frozenset({"CLOCK", "CLOCK_FUTURE"})),
        policy=Policy(clock_ms=3_000),
        services=_CHAIN,
    ),
    Scenario(
        "clock-gateway-behind",
        "the gateway's clock is 400 ms slow, only x-request-id is shared",
        _slow(tier=3, findings=frozenset({"CLOCK", "APIM_W3C_OFF"})),
        policy=Policy(clock_ms=-400, carries="x-request-id"),
        services=_CHAIN,
    ),
)

_LOST = (
    Scenario(
        "server-span-lost",
        "the server span of an application is lost, the calls that it made are not",
        _slow("service basket", may_find=frozenset({"ORPHAN"})),
        services={
            "front": Behaviour((Work(2), Call("lossy"))),
            "lossy": Behaviour((Work(2), Call("basket"))),
            "basket": Behaviour((Work(_SLOW),)),
        },
        mesh="lossy",
    ),
    Scenario(
        "parent-of-two-lost",
        "two calls at once name a server span that never came",
        _slow("service basket", may_find=frozenset({"ORPHAN"})),
        services={
            "adrift": Behaviour((Work(2), Together((Call("prices"), Call("basket"))))),
            "basket": Behaviour((Work(_SLOW),)),
            "prices": Behaviour((Work(60),)),
        },
        mesh="lossy",
    ),
    Scenario(
        "64-bit-ids-without-record",
        "a gateway that reports nothing sends half of the caller's trace id",
        _slow(tier=None, records=0, is_provisional=True),
        policy=Policy(carries="b3-64", record="never"),
        services=_CHAIN,
        mesh="zipkin-64",
    ),
    Scenario(
        "ids-cut-inside",
        "one service reports under half of the trace id, and no gateway's row tells the rest",
        _slow(
            "service short",
            tier=None,
            records=0,
            is_provisional=True,
            findings=frozenset({"ID_TRUNCATED_64"}),
        ),
        policy=Policy(record="never"),
        services={
            "front": Behaviour((Work(2), Call("short"))),
            "short": Behaviour((Work(_SLOW),)),
        },
        mesh="lossy",
    ),
    Scenario(
        "gateway-that-left-and-is-late",
        "the gateway gives up, and its row is still expected: to the mesh it is a client that left",
        _failed(
            "",
            "client",
            "client_abort",
            may_find=frozenset({"TIMEOUT_LONGER_INSIDE"}),
            tier=None,
            records=0,
            is_provisional=True,
        ),
        status=504,
        policy=Policy(timeout_ms=150, record="never"),
        services={
            "front": Behaviour((Work(2), Call("basket"))),
            "basket": Behaviour((Work(500),)),
        },
        takes_ms=150,
    ),
)

_TWINS = (
    Scenario(
        "same-trace-again",
        "the caller sends two requests in one trace",
        _slow(),
        services=_CHAIN,
        twin="before",
    ),
    Scenario(
        "same-trace-passed-on",
        "two requests in one trace, the gateway has no span id of its own",
        _slow(tier=1),
        policy=Policy(carries="traceparent-passed"),
        services=_CHAIN,
        twin="before",
    ),
    Scenario(
        "same-request-id-again",
        "the caller sends two requests with one x-request-id",
        _slow(tier=3, findings=frozenset({"APIM_W3C_OFF"})),
        policy=Policy(carries="client-request-id"),
        services=_CHAIN,
        twin="before",
    ),
    Scenario(
        "sent-again-after-a-failure",
        "a failed request is sent again under the same header, which the gateway passes on",
        _failed("service basket", "app", "server_error", tier=1),
        status=502,
        policy=Policy(carries="traceparent-passed"),
        services=_FAILING,
        twin="after",
    ),
    Scenario(
        "two-at-once-under-one-header",
        "two requests at once under one header, which the gateway passes on",
        _slow(tier=1),
        policy=Policy(carries="traceparent-passed"),
        services=_CHAIN,
        twin="beside",
    ),
    Scenario(
        "record-twice",
        "the gateway's row is delivered twice",
        _slow(),
        policy=Policy(record="twice"),
        services=_CHAIN,
    ),
)

_TWO_GATEWAYS = (
    Scenario(
        "inner-gateway-refuses",
        "the inner one of two gateways limits the rate",
        _failed(
            "gateway apim",
            "gateway",
            "rate_limit",
            component="apim",
            tier=None,
            records=2,
            has_spans=False,
            is_answered=True,
        ),
        status=429,
        outer=Policy(),
        policy=Policy(refuses=429, is_inbound_logged=True),
    ),
    Scenario(
        "outer-gateway-timeout",
        "the outer one of two gateways gives up",
        _failed(
            "gateway apim-external",
            "gateway",
            "timeout",
            "TIMEOUT_LONGER_INSIDE",
            component="apim-external",
            records=2,
        ),
        status=504,
        outer=Policy(timeout_ms=150),
        services={"front": Behaviour((Work(500),))},
        takes_ms=150,
    ),
    Scenario(
        "basket-fails-behind-two",
        "an application behind two gateways fails",
        _failed("service basket", "app", "server_error", records=2),
        status=502,
        outer=Policy(),
        services=_FAILING,
    ),
)

_DEEP = ("front", "basket", "stock", "ledger")


def _deep(last: Behaviour) -> dict[str, Behaviour]:
    calls = zip(_DEEP, _DEEP[1:], strict=False)
    return {name: Behaviour((Work(2), Call(callee))) for name, callee in calls} | {_DEEP[-1]: last}


_DEPTHS = (
    Scenario(
        "slow-fourth",
        "the fourth application of a chain is slow",
        _slow("service ledger"),
        services=_deep(Behaviour((Work(_SLOW),))),
    ),
    Scenario(
        "fourth-fails",
        "the fourth application of a chain answers 500, all others 502",
        _failed("service ledger", "app", "server_error"),
        status=502,
        services=_deep(Behaviour(status=500)),
    ),
    Scenario(
        "tolerated-failure",
        "the second application fails, the first does without it",
        Truth("service basket", "none", "server_error", outcome="masked"),
        services={
            "front": Behaviour((Work(2), Call("basket", is_failure_tolerated=True))),
            "basket": Behaviour(status=500),
        },
    ),
    Scenario(
        "sidecar-rate-limit",
        "the callee's sidecar limits the rate, the caller does without it",
        Truth(
            "service limited",
            "none",
            "rate_limit",
            outcome="masked",
            findings=frozenset({"RATE_LIMIT_BEHIND_GATEWAY"}),
        ),
        services={
            "front": Behaviour((Work(2), Call("limited"))),
            "limited": Behaviour(),
        },
    ),
    Scenario(
        "gateway-retry-that-succeeds",
        "the gateway's second try works, the caller notices nothing",
        Truth("service front", "none", "server_error", outcome="masked"),
        policy=Policy(tries=2),
        services={"front": Behaviour(fail_first=1)},
    ),
    Scenario(
        "per-try-timeout",
        "the first try runs into the sidecar's limit of a try, and so does the second",
        _failed("service basket", "mesh", "timeout", "TIMEOUT_LONGER_INSIDE"),
        status=502,
        services={
            "front": Behaviour(
                (Work(2), Call("basket")),
                routes=(Route("basket", retries=1, per_try_timeout_ms=100),),
            ),
            "basket": Behaviour((Work(400),)),
        },
        takes_ms=250,
    ),
)


def _in_crowd(name: str, shows: str, truth: Truth, carrier: Carrier, weight: int) -> Scenario:
    return Scenario(
        f"crowd-{name}",
        shows,
        truth,
        policy=Policy(carries=carrier, operation="crowd"),
        services={
            "front": Behaviour((Work(2), Call("basket"))),
            "basket": Behaviour((Work(20),)),
        },
        mesh="crowd",
        takes_ms=INJECTED_MS + 100,
        weight=weight,
    )


_CROWD = (
    _in_crowd("with-ids", "many requests of one route, joined by id", Truth(), "traceparent", 3),
    _in_crowd(
        "without-ids",
        "requests of the same route that share no id",
        Truth(tier=4, may_join=True, findings=frozenset({"APIM_W3C_OFF"})),
        "nothing",
        2,
    ),
)

SURROUNDINGS = (*_MESHES, *_CLOCKS, *_LOST, *_TWINS, *_TWO_GATEWAYS, *_DEPTHS, *_CROWD)
"""The kinds with odd surroundings."""
