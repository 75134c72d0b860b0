"""
The topologies that the battery runs, each a mesh of real Envoys that shows one thing.

`capture_envoy.py` runs each into a sink and keeps what the proxies and SDKs sent as fixtures.
"""

from dataclasses import dataclass

from collector.demo.topology import (
    Call,
    Endpoint,
    Fault,
    Gateway,
    Query,
    RateLimit,
    Route,
    Service,
    Together,
    Topology,
    Tracer,
    Work,
)

_EDGE = Gateway((Route("shop-front"),))
_ZIPKIN = Tracer("zipkin-json")


@dataclass(frozen=True, slots=True)
class Battle:
    """
    One topology with the request that is sent through it.

    `carrier` is how the client sends its trace context: `traceparent`, `b3-multi`, `b3-multi-64`.
    `times` requests are sent one after the other; only the last counts. `patience_s` is the
    client's timeout; a `status` of 0 means no answer. `spans` and `logs` count what arrives of the
    last request, in all its traces; `lost` of the spans lie in a trace that is not the client's.
    """

    topology: Topology
    shows: str
    path: str = "/"
    status: int = 200
    carrier: str = "traceparent"
    times: int = 1
    patience_s: float = 10.0
    spans: int = 0
    logs: int = 0
    lost: int = 0


def _front(*steps: Call | Work | Query | Together, **options: object) -> Service:
    return Service("shop-front", endpoints=(Endpoint(steps=(Work(3), *steps)),), **options)  # type: ignore[arg-type]  # fields of Service by name


def _callee(name: str, *steps: Call | Work | Query | Together, **options: object) -> Service:
    return Service(name, endpoints=(Endpoint(steps=steps or (Work(5),)),), **options)  # type: ignore[arg-type]  # fields of Service by name


def _failing(name: str, times: int) -> Service:
    return Service(name, endpoints=(Endpoint(steps=(Work(5),), fail_first=times),))


BATTLES = (
    Battle(
        Topology(
            "edge-and-sidecars",
            (_front(Call("basket")), _callee("basket", Work(4), Query("SELECT basket", 6))),
            _EDGE,
        ),
        "Istio 1.28 and later: the gateway writes SERVER and CLIENT, each sidecar one span",
        spans=9,
    ),
    Battle(
        Topology(
            "old-gateway",
            (_front(Call("basket")), _callee("basket")),
            Gateway((Route("shop-front"),), tracer=Tracer(spawns_upstream_span=False)),
        ),
        "Istio before 1.28: the gateway is a single CLIENT span",
        spans=7,
    ),
    Battle(
        Topology(
            "retry-that-succeeds",
            (_front(Call("basket"), routes=(Route("basket", retries=2),)), _failing("basket", 1)),
            _EDGE,
        ),
        "a sidecar retries: one CLIENT span, two SERVER spans under it",
        spans=10,
    ),
    Battle(
        Topology(
            "retry-with-attempt-spans",
            (_front(Call("basket"), routes=(Route("basket", retries=2),)), _failing("basket", 1)),
            _EDGE,
            tracer=Tracer(spawns_upstream_span=True),
        ),
        "a retry where each attempt has its own CLIENT span with retry.count",
        spans=15,
    ),
    Battle(
        Topology(
            "parallel-calls",
            (
                _front(Together((Call("basket"), Call("prices")))),
                _callee("basket", Work(30)),
                _callee("prices", Work(12)),
            ),
            _EDGE,
        ),
        "two calls at the same time",
        spans=12,
    ),
    Battle(
        Topology(
            "mirrored",
            (
                _front(Call("basket"), routes=(Route("basket", mirror_to="basket-next"),)),
                _callee("basket"),
                _callee("basket-next", Work(60)),
            ),
            _EDGE,
        ),
        "shadow traffic: the copy is slower than the answer that the client got",
        spans=11,
    ),
    Battle(
        Topology(
            "delay-injected",
            (
                _front(Call("basket"), routes=(Route("basket", fault=Fault(delay_ms=120)),)),
                _callee("basket"),
            ),
            _EDGE,
            access_logs=("otlp",),
        ),
        "the fault filter of the caller's sidecar delays (flag DI)",
        spans=8,
        logs=4,
    ),
    Battle(
        Topology(
            "abort-injected",
            (_front(Call("basket")), _callee("basket", inbound_fault=Fault(abort_status=503))),
            _EDGE,
            access_logs=("otlp",),
        ),
        "the fault filter of the callee's sidecar aborts (flag FI)",
        status=502,
        spans=7,
        logs=4,
    ),
    Battle(
        Topology(
            "access-log-service",
            (_front(Call("basket")), _callee("basket", is_down=True)),
            _EDGE,
            access_logs=("grpc-als",),
        ),
        "an application that is down, with access logs by Envoy's own gRPC protocol",
        status=502,
        spans=7,
    ),
    Battle(
        Topology(
            "abort-before-the-router",
            (_front(Call("basket")), _callee("basket", inbound_fault=Fault(abort_status=503))),
            _EDGE,
            access_logs=("grpc-als",),
        ),
        "an abort whose access log line, by Envoy's own protocol, names the caller's span",
        status=502,
        spans=7,
    ),
    Battle(
        Topology(
            "upstream-timeout",
            (
                _front(Call("basket"), routes=(Route("basket", timeout_ms=60),)),
                _callee("basket", Work(250)),
            ),
            _EDGE,
            access_logs=("otlp",),
        ),
        "the caller's sidecar gives up (flag UT, 504) while the callee works on",
        status=502,
        spans=8,
        logs=4,
    ),
    Battle(
        Topology(
            "circuit-open",
            (
                _front(
                    Together((Call("basket"), Call("basket"), Call("basket"))),
                    routes=(Route("basket", max_requests=1, max_pending=1, max_connections=1),),
                ),
                # long enough that all three calls meet, on a busy machine too
                _callee("basket", Work(1500)),
            ),
            _EDGE,
            access_logs=("otlp",),
        ),
        "a circuit breaker lets one of three parallel calls through (flag UO)",
        status=502,
        spans=12,
        logs=6,
    ),
    Battle(
        Topology(
            "rate-limited",
            (
                _front(Call("basket")),
                _callee("basket", inbound_rate_limit=RateLimit(tokens=1, interval_ms=60_000)),
            ),
            _EDGE,
            access_logs=("otlp",),
        ),
        "the callee's sidecar limits the rate (429, flag RL); the caller passes it on as is",
        times=2,
        spans=7,
        logs=4,
    ),
    Battle(
        Topology(
            "application-down",
            (_front(Call("basket")), _callee("basket", is_down=True)),
            _EDGE,
            access_logs=("otlp",),
        ),
        "nobody listens behind the callee's sidecar (flag UF)",
        status=502,
        spans=7,
        logs=4,
    ),
    Battle(
        Topology("client-gone", (_front(Work(300)),), _EDGE, access_logs=("otlp",)),
        "the client gives up and goes (flag DC, status 0)",
        status=0,
        patience_s=0.1,
        spans=4,
        logs=2,
    ),
    Battle(
        Topology(
            "applications-without-spans",
            (
                _front(Call("basket"), instrumentation="headers"),
                _callee("basket", instrumentation="headers"),
            ),
            _EDGE,
        ),
        "applications that forward the trace headers and write no spans",
        spans=5,
    ),
    Battle(
        Topology(
            "context-dropped",
            (_front(Call("basket"), instrumentation="none"), _callee("basket")),
            _EDGE,
        ),
        "an application that forwards no headers: the trace starts again behind it",
        spans=6,
        lost=3,
    ),
    Battle(
        Topology(
            "callee-without-proxy",
            (_front(Call("basket")), _callee("basket", has_sidecar=False)),
            _EDGE,
        ),
        "a service outside the mesh: only its own span tells of it",
        spans=7,
    ),
    Battle(
        Topology(
            "waypoint",
            (
                _front(Call("basket"), has_sidecar=False, waypoint="waypoint"),
                _callee("basket", has_sidecar=False, waypoint="waypoint"),
            ),
            _EDGE,
        ),
        "ambient: no sidecars, one waypoint in front of both services",
        spans=7,
    ),
    Battle(
        Topology(
            "hedged",
            (
                _front(
                    Call("basket"),
                    routes=(Route("basket", retries=1, per_try_timeout_ms=40, is_hedged=True),),
                ),
                _callee("basket", Work(70)),
            ),
            _EDGE,
        ),
        "a hedge: a second attempt starts while the first still runs",
        spans=10,
    ),
    Battle(
        Topology(
            "otlp-over-http",
            (_front(Call("basket"), export="http"), _callee("basket", export="http")),
            _EDGE,
            tracer=Tracer("otlp-http"),
        ),
        "OTLP over HTTP from proxies and applications",
        spans=8,
    ),
    Battle(
        Topology(
            "zipkin-b3",
            (_front(Call("basket"), propagation="b3-multi"), _callee("basket", propagation="b3")),
            _EDGE,
            tracer=_ZIPKIN,
        ),
        "Zipkin tracers and B3 headers; applications send OTLP",
        carrier="b3-multi",
        spans=8,
    ),
    Battle(
        Topology(
            "zipkin-shared-64-bit",
            (
                _front(Call("basket"), instrumentation="headers"),
                _callee("basket", instrumentation="headers"),
            ),
            _EDGE,
            tracer=Tracer("zipkin-json", is_trace_id_128_bit=False, is_span_shared=True),
        ),
        "Zipkin with shared spans and 64-bit trace ids, as Envoy Gateway defaults to",
        carrier="b3-multi-64",
        spans=5,
    ),
    Battle(
        Topology(
            "zipkin-protobuf",
            (
                _front(Call("basket"), instrumentation="headers"),
                _callee("basket", instrumentation="headers"),
            ),
            _EDGE,
            tracer=Tracer("zipkin-protobuf"),
        ),
        "Zipkin's protobuf encoding, in which Envoy writes span ids the wrong way round",
        carrier="b3-multi",
        spans=5,
    ),
    Battle(
        Topology(
            "w3c-into-zipkin",
            (_front(Call("basket"), propagation="w3c+b3"), _callee("basket", propagation="b3")),
            _EDGE,
            tracer=Tracer("zipkin-json", is_w3c_accepted=True),
        ),
        "a Zipkin mesh that accepts the traceparent of the gateway in front of it",
        spans=8,
    ),
    Battle(
        Topology(
            "b3-island",
            (
                _front(Call("basket"), propagation="w3c+b3"),
                _callee("basket", propagation="b3", tracer=_ZIPKIN),
            ),
            _EDGE,
        ),
        "one service of a W3C mesh still on Zipkin and B3; its caller's application sends both",
        spans=8,
    ),
    Battle(
        Topology(
            "access-logs-only",
            (
                _front(Call("basket"), instrumentation="headers"),
                _callee("basket", instrumentation="headers"),
            ),
            _EDGE,
            tracer=Tracer("none"),
            access_logs=("otlp",),
        ),
        "no tracer at all: access logs that share x-request-id and the client's traceparent",
        logs=4,
    ),
)
