"""Envoy bootstraps: the names Istio would give, and the switches of the description."""

from pathlib import Path
from typing import Any

from collector.demo.envoy_config import Collectors, ConfigBuilder, Ports
from collector.demo.topology import (
    Call,
    Endpoint,
    Fault,
    Gateway,
    RateLimit,
    Route,
    Service,
    Topology,
    Tracer,
)

PORTS = Ports(
    gateway=1,
    apps={"front": 11, "back": 12},
    inbound={"front": 21, "back": 22},
    outbound={"front": 31, "back": 32},
)
BACK = Service("back")


def _build(
    front: Service, *, gateway: Gateway | None = None, tracer: Tracer | None = None, **options: Any
) -> dict[str, dict[str, Any]]:
    topology = Topology(
        "pair", (front, options.pop("back", BACK)), gateway, tracer or Tracer(), **options
    )
    ports = options.get("ports", PORTS)
    return ConfigBuilder(topology, ports, Collectors(otlp_grpc=4317), Path("logs")).build_all()


def _front(*routes: Route) -> Service:
    return Service("front", endpoints=(Endpoint(steps=(Call("back"),)),), routes=routes)


def _manager(bootstrap: dict[str, Any], listener: str) -> dict[str, Any]:
    [found] = [one for one in bootstrap["static_resources"]["listeners"] if one["name"] == listener]
    manager: dict[str, Any] = found["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


def _route(bootstrap: dict[str, Any], listener: str = "outbound") -> dict[str, Any]:
    hosts = _manager(bootstrap, listener)["route_config"]["virtual_hosts"]
    route: dict[str, Any] = hosts[0]["routes"][0]
    return route


def test_sidecar_is_named_as_istio_names_it() -> None:
    """Node id, service name and clusters have the form from which the mesh's roles are read."""
    sidecar = _build(_front())["front"]
    assert sidecar["node"]["id"].startswith("sidecar~10.244.")
    assert sidecar["node"]["id"].endswith(".shop~shop.svc.cluster.local")
    assert sidecar["node"]["cluster"] == "front.shop"
    clusters = [one["name"] for one in sidecar["static_resources"]["clusters"]]
    assert clusters[:2] == ["outbound|8080||back.shop.svc.cluster.local", "inbound|8080||"]
    assert _route(sidecar)["decorator"]["operation"] == "back.shop.svc.cluster.local:8080/*"


def test_gateways_write_two_spans_and_sidecars_one() -> None:
    """Without a wish of its own a tracer follows Istio: upstream spans at gateways only."""
    proxies = _build(_front(), gateway=Gateway((Route("front"),)))
    gateway = _manager(proxies["istio-ingressgateway"], "http.8080")
    assert gateway["tracing"]["spawn_upstream_span"] is True
    assert gateway["use_remote_address"] is True
    for listener in ("inbound", "outbound"):
        assert _manager(proxies["front"], listener)["tracing"]["spawn_upstream_span"] is False


def test_tracer_decides_for_itself() -> None:
    """A tracer that is told to spawn upstream spans does so in sidecars too."""
    proxies = _build(_front(), tracer=Tracer(spawns_upstream_span=True))
    assert _manager(proxies["front"], "inbound")["tracing"]["spawn_upstream_span"] is True


def test_zipkin_tracer_carries_its_options() -> None:
    """64-bit ids, shared spans and the W3C fallback reach the Zipkin provider."""
    tracer = Tracer(
        "zipkin-protobuf", is_trace_id_128_bit=False, is_span_shared=True, is_w3c_accepted=True
    )
    provider = _manager(_build(_front(), tracer=tracer)["front"], "outbound")["tracing"]["provider"]
    assert provider["name"] == "envoy.tracers.zipkin"
    config = provider["typed_config"]
    assert config["collector_endpoint_version"] == "HTTP_PROTO"
    assert config["trace_id_128bit"] is False
    assert config["shared_span_context"] is True
    assert config["trace_context_option"] == "USE_B3_WITH_W3C_PROPAGATION"


def test_no_tracer_means_no_tracing() -> None:
    """A mesh without a tracer has no tracing block at all, access logs stay."""
    proxies = _build(_front(), tracer=Tracer("none"), access_logs=("json-file", "grpc-als"))
    manager = _manager(proxies["front"], "inbound")
    assert "tracing" not in manager
    names = [log["name"] for log in manager["access_log"]]
    assert names == ["envoy.access_loggers.file", "envoy.access_loggers.http_grpc"]


def test_route_behaviour_reaches_envoy() -> None:
    """Retries, hedging, mirror, faults, limits and circuit breakers stand in route and cluster."""
    route = Route(
        "back",
        timeout_ms=1500,
        retries=2,
        per_try_timeout_ms=250,
        is_hedged=True,
        mirror_to="back",
        fault=Fault(delay_ms=100, abort_status=503, abort_percent=5),
        rate_limit=RateLimit(tokens=3, interval_ms=500),
        max_requests=4,
        is_authorizer_down=True,
    )
    sidecar = _build(_front(route))["front"]
    built = _route(sidecar)
    action = built["route"]
    assert action["timeout"] == "1.5s"
    assert action["retry_policy"]["num_retries"] == 2
    assert action["retry_policy"]["per_try_timeout"] == "0.25s"
    assert action["hedge_policy"] == {"hedge_on_per_try_timeout": True}
    assert action["request_mirror_policies"] == [{"cluster": action["cluster"]}]
    filters = built["typed_per_filter_config"]
    assert filters["envoy.filters.http.fault"]["abort"]["percentage"]["numerator"] == 5
    bucket = filters["envoy.filters.http.local_ratelimit"]["token_bucket"]
    assert (bucket["max_tokens"], bucket["fill_interval"]) == (3, "0.5s")
    assert "check_settings" in filters["envoy.filters.http.ext_authz"]["config"]
    cluster = sidecar["static_resources"]["clusters"][0]
    assert cluster["circuit_breakers"]["thresholds"] == [{"max_requests": 4}]


def test_callers_go_where_the_callee_listens() -> None:
    """A callee's waypoint comes before its sidecar, and its sidecar before the application."""
    ports = Ports(apps={"back": 12}, inbound={"back": 22}, waypoints={"back": 42})
    assert ports.entry(Service("back", has_sidecar=False, waypoint="waypoint")) == 42
    assert ports.entry(Service("back")) == 22
    assert ports.entry(Service("back", has_sidecar=False)) == 12


def test_replicas_are_endpoints_of_one_service() -> None:
    """Callers know one cluster with an endpoint a pod; each pod has a proxy of the same name."""
    again = Service("back-2", replica_of="back")
    ports = Ports(
        apps={"front": 11, "back": 12, "back-2": 13},
        inbound={"front": 21, "back": 22, "back-2": 23},
        outbound={"front": 31, "back": 32, "back-2": 33},
    )
    topology = Topology("pods", (_front(), BACK, again))
    built = ConfigBuilder(topology, ports, Collectors(otlp_grpc=4317), Path("logs")).build_all()
    [outbound] = [
        each["load_assignment"]["endpoints"][0]["lb_endpoints"]
        for each in built["front"]["static_resources"]["clusters"]
        if each["name"] == "outbound|8080||back.shop.svc.cluster.local"
    ]
    addresses = [each["endpoint"]["address"]["socket_address"] for each in outbound]
    assert [each["port_value"] for each in addresses] == [22, 23]
    assert built["back-2"]["node"]["cluster"] == built["back"]["node"]["cluster"] == "back.shop"
    assert built["back-2"]["node"]["id"] != built["back"]["node"]["id"]
    assert (again.host, again.pod == BACK.pod) == (BACK.host, False)
