"""
The scenarios, each with what is true of it: slow requests, and ways to lose or keep the context.
"""

from typing import Any

from collector.demo.topology import Call, Fault, Query, Route, Step, Together, Work
from tests.lab.failures import FAILURES
from tests.lab.scenario import INJECTED_MS, Behaviour, Carrier, Policy, Scenario, Truth
from tests.lab.surroundings import SURROUNDINGS

_SLOW = int(INJECTED_MS)
_GATEWAY = "gateway apim"


def _chain(*front: Step, basket: tuple[Step, ...] = (Work(2),)) -> dict[str, Behaviour]:
    """The front calls the basket, after what else it does."""
    steps = (Work(2), *front, Call("basket"))
    return {"front": Behaviour(steps), "basket": Behaviour(basket)}


def _slow(hop: str, phase: str, **more: Any) -> Truth:
    return Truth(hop, phase=phase, injected_ms=INJECTED_MS, **more)


def _carried(carrier: Carrier, shows: str, **truth: Any) -> Scenario:
    """A slow basket, so that the hop to be blamed is only found if the context is kept."""
    return Scenario(
        f"carries-{carrier}",
        shows,
        _slow("service basket", "app", **truth),
        policy=Policy(carries=carrier),
        services=_chain(basket=(Work(_SLOW),)),
    )


_TIMES = (
    Scenario("plain", "nothing is injected", Truth(), services=_chain()),
    Scenario(
        "slow-inbound-policy",
        "the gateway is slow before it calls",
        _slow(_GATEWAY, "gateway"),
        policy=Policy(delay_ms=_SLOW),
        services=_chain(),
    ),
    Scenario(
        "slow-outbound-policy",
        "the gateway is slow after the answer",
        _slow(_GATEWAY, "gateway"),
        policy=Policy(after_ms=_SLOW),
        services=_chain(),
    ),
    Scenario(
        "slow-network",
        "the way from the gateway to the mesh is slow",
        _slow("", "network"),
        policy=Policy(network_ms=_SLOW),
        services=_chain(),
    ),
    Scenario(
        "slow-edge-filter",
        "a fault filter of the mesh ingress delays",
        _slow("edge istio-ingressgateway", "edge_proxy"),
        edge={"fault": Fault(delay_ms=_SLOW)},
        services=_chain(),
    ),
    Scenario(
        "slow-front",
        "the first application is slow",
        _slow("service front", "app"),
        services=_chain(Work(_SLOW)),
    ),
    Scenario(
        "slow-basket",
        "the second application is slow",
        _slow("service basket", "app"),
        services=_chain(basket=(Work(_SLOW),)),
    ),
    Scenario(
        "slow-outbound-sidecar",
        "the caller's sidecar delays the call",
        _slow("service basket", "mesh_proxy"),
        services={
            "front": Behaviour(
                (Work(2), Call("basket")), routes=(Route("basket", fault=Fault(delay_ms=_SLOW)),)
            ),
            "basket": Behaviour(),
        },
    ),
    Scenario(
        "slow-inbound-sidecar",
        "the callee's sidecar delays the call",
        _slow("service gatekeeper", "mesh_proxy"),
        services={
            "front": Behaviour((Work(2), Call("gatekeeper"))),
            "gatekeeper": Behaviour(),
        },
    ),
    Scenario(
        "slow-database",
        "a query of the second application is slow",
        _slow("dependency postgresql/shop", "dependency"),
        services=_chain(basket=(Work(2), Query("SELECT * FROM item", _SLOW))),
    ),
    Scenario(
        "slow-outside-service",
        "a service without proxy and spans is slow",
        _slow("service outside", "dependency"),
        services={
            "front": Behaviour((Work(2), Call("outside"))),
            "outside": Behaviour((Work(_SLOW),)),
        },
    ),
    Scenario(
        "parallel-calls",
        "two calls at once, the longer one counts",
        _slow("service basket", "app"),
        services={
            "front": Behaviour((Work(2), Together((Call("prices"), Call("basket"))))),
            "basket": Behaviour((Work(_SLOW),)),
            "prices": Behaviour((Work(60),)),
        },
    ),
    Scenario(
        "mirrored",
        "a copy of the call is slower than the call",
        _slow("service basket", "app"),
        services={
            "front": Behaviour(
                (Work(2), Call("basket")), routes=(Route("basket", mirror_to="basket-next"),)
            ),
            "basket": Behaviour((Work(_SLOW),)),
            "basket-next": Behaviour((Work(2 * _SLOW),)),
        },
    ),
    Scenario(
        "put-off-call",
        "a call that the application does not wait for takes longer than the request",
        _slow("service front", "app"),
        services={
            "front": Behaviour((Work(2), Call("basket", is_put_off=True), Work(_SLOW))),
            "basket": Behaviour((Work(3 * _SLOW),)),
        },
    ),
    Scenario(
        "unmeasured-backend",
        "the gateway's row says nothing of its backend; the second application is slow",
        _slow("service basket", "app", findings=frozenset({"CLIENT_TIME_MISSING"})),
        policy=Policy(leaves_out=("BackendTime", "BackendResponseCode", "ClientTime")),
        services=_chain(basket=(Work(_SLOW),)),
    ),
    Scenario(
        "unmeasured-client",
        "the gateway's row does not say what its client took; the gateway or its client is slow",
        _slow(_GATEWAY, "unexplained", findings=frozenset({"CLIENT_TIME_MISSING"})),
        policy=Policy(leaves_out=("ClientTime",), after_ms=_SLOW),
        services=_chain(),
    ),
    Scenario(
        "cache-hit",
        "the gateway answers from its cache",
        Truth(tier=None, has_spans=False, is_answered=True),
        policy=Policy(is_cached=True),
        services=_chain(),
    ),
    Scenario(
        "slow-external-gateway",
        "two gateways, the outer one is slow",
        _slow("gateway apim-external", "gateway", records=2),
        outer=Policy(delay_ms=_SLOW),
        services=_chain(),
    ),
    Scenario(
        "slow-internal-gateway",
        "two gateways, the inner one is slow",
        _slow(_GATEWAY, "gateway", records=2),
        outer=Policy(),
        policy=Policy(delay_ms=_SLOW),
        services=_chain(),
    ),
)

_ROWS = (
    Scenario(
        "late-record",
        "the gateway's row comes after everything else",
        _slow("service basket", "app"),
        policy=Policy(record="late"),
        services=_chain(basket=(Work(_SLOW),)),
    ),
    Scenario(
        "lost-record",
        "the gateway's row never comes",
        _slow("service basket", "app", tier=None, records=0, is_provisional=True),
        policy=Policy(record="never"),
        services=_chain(basket=(Work(_SLOW),)),
    ),
    Scenario(
        "gateway-without-log",
        "neither the caller nor the gateway report anything",
        _slow("edge istio-ingressgateway", "edge_proxy", tier=None, records=0, is_provisional=True),
        policy=Policy(record="never"),
        edge={"fault": Fault(delay_ms=_SLOW)},
        services=_chain(),
        is_traced=False,
    ),
    Scenario(
        "unsampled",
        "the gateway decides against a trace; the mesh keeps access logs",
        _slow(
            "service basket", "app", tier=1, findings=frozenset({"SAMPLED_00", "ONLY_ACCESS_LOGS"})
        ),
        policy=Policy(carries="unsampled"),
        services=_chain(basket=(Work(_SLOW),)),
    ),
    Scenario(
        "unsampled-without-logs",
        "the gateway decides against a trace, nobody logs",
        Truth(
            tier=None,
            has_spans=False,
            findings=frozenset({"SAMPLED_00"}),
            expected={"spans": "not_sampled"},
        ),
        policy=Policy(carries="unsampled"),
        services=_chain(),
        mesh="clocks",
    ),
)

_CONTEXTS = (
    _carried("traceparent-passed", "the caller's traceparent goes on unchanged", tier=1),
    _carried("correlation-id", "the correlation id is the trace id, no headers are logged", tier=2),
    _carried(
        "x-request-id",
        "only the correlation id as x-request-id is shared",
        tier=3,
        findings=frozenset({"APIM_W3C_OFF"}),
    ),
    _carried(
        "client-request-id",
        "only the client's own x-request-id is shared",
        tier=3,
        findings=frozenset({"APIM_W3C_OFF"}),
    ),
    _carried(
        "zero-parent",
        "a traceparent that nobody may read, next to x-request-id",
        tier=3,
        findings=frozenset({"ZERO_PARENT"}),
    ),
    _carried(
        "b3",
        "the gateway speaks B3 to a mesh that reads W3C, next to x-request-id",
        tier=3,
        findings=frozenset({"NEW_ROOT_AT_HOP"}),
    ),
    Scenario(
        "carries-nothing",
        "gateway and mesh share no id at all",
        Truth(_GATEWAY, phase="gateway", injected_ms=INJECTED_MS, tier=None, has_spans=False),
        policy=Policy(carries="nothing", delay_ms=_SLOW),
        services=_chain(),
    ),
    Scenario(
        "b3-island",
        "one service speaks B3 and Zipkin, its caller both",
        # The caller's sidecar sends B3 on as it is: the callee names the application as its parent.
        _slow("service legacy", "app", findings=frozenset({"SIBLING_NOT_CHILD"})),
        services={
            "bridge": Behaviour((Work(2), Call("legacy"))),
            "legacy": Behaviour((Work(_SLOW),)),
        },
    ),
    Scenario(
        "64-bit-ids",
        "gateway and mesh use B3 with 64-bit trace ids",
        _slow("service basket", "app"),
        policy=Policy(carries="b3-64"),
        services=_chain(basket=(Work(_SLOW),)),
        mesh="zipkin-64",
    ),
    Scenario(
        "stripped-headers",
        "an application forwards no headers: the trace ends at it",
        _slow("service stripper", "app"),
        services={
            "front": Behaviour((Work(2), Call("stripper"))),
            "stripper": Behaviour((Work(_SLOW), Call("basket"))),
            "basket": Behaviour(),
        },
    ),
)


SCENARIOS = (*_TIMES, *_ROWS, *_CONTEXTS, *FAILURES, *SURROUNDINGS)
"""Every kind of the full run."""

SMALL = frozenset(
    {
        "plain",
        "slow-inbound-policy",
        "slow-basket",
        "carries-x-request-id",
        "late-record",
        "refused-401",
        "basket-fails",
        "gateway-timeout",
        "edge-abort",
        "sidecar-timeout",
    }
)
"""The kinds that run with the tests: one mesh of three proxies."""
