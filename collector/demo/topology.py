"""
The description of a mesh: services, who calls whom, and how the proxies between them behave.

Plain frozen values without any I/O. `envoy_config` turns them into Envoy bootstraps, `service` into
running applications, `mesh` starts both.

Source: Istio 1.28 for the names (service.name `<app>.<namespace>`, node ids, clusters).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ExportProtocol = Literal["otlp-grpc", "otlp-http", "zipkin-json", "zipkin-protobuf", "none"]
Propagation = Literal["w3c", "b3", "b3-multi", "w3c+b3"]
Instrumentation = Literal["sdk", "headers", "none"]
AccessLog = Literal["otlp", "grpc-als", "json-file"]

SERVICE_PORT = 8080  # the port that Istio-like names carry; the real sockets use free ports


@dataclass(frozen=True, slots=True)
class Tracer:
    """
    How a proxy traces.

    An OpenTelemetry tracer reads and writes W3C `traceparent`, a Zipkin tracer B3 (it reads the
    single header too and writes the multi headers); `is_w3c_accepted` lets Zipkin fall back to
    W3C. `spawns_upstream_span` None means Istio's habit: on at gateways, off at sidecars.
    """

    protocol: ExportProtocol = "otlp-grpc"
    spawns_upstream_span: bool | None = None
    sampling_percent: float = 100.0
    is_trace_id_128_bit: bool = True
    is_span_shared: bool = False
    is_w3c_accepted: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What Envoy's fault filter does to a share of requests. A status of 0 aborts nothing."""

    delay_ms: int = 0
    delay_percent: int = 100
    abort_status: int = 0
    abort_percent: int = 100


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Envoy's local rate limit: a bucket of `tokens`, filled up each `interval_ms`."""

    tokens: int
    interval_ms: int = 1000


@dataclass(frozen=True, slots=True)
class Route:
    """
    How a proxy sends requests on to one service.

    Zero and empty mean Envoy's default: no retries, no mirror, no limit; a `timeout_ms` of 0 is
    no timeout. `prefix` selects by path; several routes to one service need different ones.
    `is_authorizer_down`: the proxy asks an authorization service first, and nobody runs it.
    """

    to: str
    prefix: str = "/"
    timeout_ms: int = 0
    retries: int = 0
    retry_on: str = "5xx,reset,connect-failure"
    per_try_timeout_ms: int = 0
    idle_timeout_ms: int = 0
    is_hedged: bool = False
    mirror_to: str = ""
    fault: Fault | None = None
    max_requests: int = 0
    max_pending: int = 0
    max_connections: int = 0
    rate_limit: RateLimit | None = None
    is_authorizer_down: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """Time that the application spends by itself; `span` names an internal span around it."""

    duration_ms: float
    span: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """A database call as a client span without a callee that reports spans."""

    statement: str
    duration_ms: float
    system: str = "postgresql"
    database: str = "shop"


@dataclass(frozen=True, slots=True)
class Call:
    """
    A request to another service, through the own sidecar when there is one.

    `is_put_off`: it is begun and not waited for. `is_silent`: its span does not say how it ended.
    """

    to: str
    path: str = "/"
    timeout_ms: int = 10_000
    is_failure_tolerated: bool = False
    is_put_off: bool = False
    is_silent: bool = False


@dataclass(frozen=True, slots=True)
class Together:
    """Calls and work done at the same time."""

    steps: tuple["Step", ...]


Step = Work | Query | Call | Together


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    What an application does for a path: the steps in order, then an answer.

    `fail_first` answers 503 that many times per request id before it works, which is what a retry
    policy needs; `fail_percent` fails a share of all requests. A `grpc_status` is a failure as gRPC
    has it: inside of an HTTP 200.
    """

    prefix: str = "/"
    steps: tuple[Step, ...] = (Work(2),)
    status: int = 200
    fail_first: int = 0
    fail_percent: int = 0
    grpc_status: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """
    One application with its sidecar.

    `inbound_*` belong to the sidecar's inbound listener. `instrumentation` "headers" forwards the
    trace headers without writing spans, "none" drops them. `tracer` None takes the mesh's.
    `waypoint` names a waypoint proxy that callers go through instead of a sidecar. With `is_down`
    nothing listens behind the sidecar; with `has_no_endpoints` proxies know the service, but no
    place to send to. `replica_of` names the service that this is another pod of.
    """

    name: str
    namespace: str = "shop"
    revision: str = "v1"
    has_sidecar: bool = True
    waypoint: str = ""
    routes: tuple[Route, ...] = ()
    endpoints: tuple[Endpoint, ...] = (Endpoint(),)
    tracer: Tracer | None = None
    inbound_fault: Fault | None = None
    inbound_rate_limit: RateLimit | None = None
    instrumentation: Instrumentation = "sdk"
    propagation: Propagation = "w3c"
    export: Literal["grpc", "http"] = "grpc"
    is_down: bool = False
    has_no_endpoints: bool = False
    replica_of: str = ""

    @property
    def app(self) -> str:
        """What the service is called, whichever of its pods this is."""
        return self.replica_of or self.name

    @property
    def host(self) -> str:
        """The name in the cluster: `<app>.<namespace>.svc.cluster.local`."""
        return f"{self.app}.{self.namespace}.svc.cluster.local"

    @property
    def all_routes(self) -> tuple[Route, ...]:
        """The routes as given, and a plain one for each service that is called without."""
        steps = [step for endpoint in self.endpoints for step in endpoint.steps]
        known = {route.to for route in self.routes}
        return (*self.routes, *(Route(name) for name in sorted(called_services(steps) - known)))

    @property
    def pod(self) -> str:
        """A pod name in the shape of a Deployment's."""
        return f"{self.app}-{self.revision}-6d9f7c5b84-{pod_suffix(self.name)}"


@dataclass(frozen=True, slots=True)
class Gateway:
    """The mesh ingress: an Envoy of type router in front of the services."""

    routes: tuple[Route, ...]
    name: str = "istio-ingressgateway"
    namespace: str = "istio-system"
    tracer: Tracer | None = None
    is_request_id_preserved: bool = False


@dataclass(frozen=True, slots=True)
class Topology:
    """
    A whole mesh. `gateway` None means that tests call the first service's inbound listener.

    `access_logs` may hold several kinds; all proxies write them.
    """

    name: str
    services: tuple[Service, ...]
    gateway: Gateway | None = None
    tracer: Tracer = field(default_factory=Tracer)
    access_logs: tuple[AccessLog, ...] = ()

    def service(self, name: str) -> Service:
        """
        Get a service by its name.

        Raises:
            KeyError: the topology has no such service.
        """
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(f"topology {self.name} has no service {name}")

    def pods_of(self, service: Service) -> list[Service]:
        """Return the service with its replicas, each of which is a pod."""
        return [each for each in self.services if each.app == service.app]


def pod_suffix(name: str) -> str:
    """Return five letters that look like a pod's random suffix and are the same on each run."""
    alphabet = "bcdfghjklmnpqrstvwxz2456789"
    value = sum(ord(letter) * 31**place for place, letter in enumerate(name)) + 7919
    letters = ""
    for _ in range(5):
        value, place = divmod(value * 48271 % 2_147_483_647, len(alphabet))
        letters += alphabet[place]
    return letters


def step_to_json(step: Step) -> dict[str, Any]:
    """Write a step as JSON values, tagged with its kind."""
    if isinstance(step, Together):
        return {"kind": "together", "steps": [step_to_json(part) for part in step.steps]}
    kinds = {Work: "work", Query: "query", Call: "call"}
    fields = {name: getattr(step, name) for name in step.__dataclass_fields__}
    return {"kind": kinds[type(step)], **fields}


def step_from_json(value: Mapping[str, Any]) -> Step:
    """
    Read a step that `step_to_json` wrote.

    Raises:
        ValueError: the kind is not known.
    """
    fields = {name: part for name, part in value.items() if name != "kind"}
    match value["kind"]:
        case "work":
            return Work(**fields)
        case "query":
            return Query(**fields)
        case "call":
            return Call(**fields)
        case "together":
            return Together(tuple(step_from_json(part) for part in value["steps"]))
    raise ValueError(f"unknown kind of step: {value['kind']}")


def endpoint_to_json(endpoint: Endpoint) -> dict[str, Any]:
    """Write an endpoint as JSON values."""
    fields = {name: getattr(endpoint, name) for name in endpoint.__dataclass_fields__}
    return {**fields, "steps": [step_to_json(step) for step in endpoint.steps]}


def endpoint_from_json(value: Mapping[str, Any]) -> Endpoint:
    """Read an endpoint that `endpoint_to_json` wrote."""
    return Endpoint(**{**value, "steps": tuple(step_from_json(step) for step in value["steps"])})


def called_services(steps: Iterable[Step]) -> set[str]:
    """Collect the names of the services that the steps call."""
    names: set[str] = set()
    for step in steps:
        if isinstance(step, Call):
            names.add(step.to)
        elif isinstance(step, Together):
            names |= called_services(step.steps)
    return names
