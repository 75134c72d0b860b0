"""
Envoy bootstraps from a description, one per proxy, with the names that Istio gives things.

A sidecar has an outbound listener (its application's calls, chosen by Host) and an inbound listener
(in front of its application). A gateway has one listener, a waypoint one per service. Real Istio
steers traffic with iptables and ztunnel; here applications are told their sidecar's port instead.

Source: Istio pilot/pkg/networking/core/tracing.go for names and tags; Envoy 1.40 API v3
(config.bootstrap, config.listener, config.route).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from collector.demo.envoy_parts import (
    ALS_CLUSTER,
    AUTHORIZATION_CLUSTER,
    OTLP_CLUSTER,
    OTLP_HTTP_CLUSTER,
    TYPE,
    ZIPKIN_CLUSTER,
    Json,
    access_logs,
    cluster,
    http_filters,
    outbound_cluster,
    route_action,
    route_filters,
    runtime,
    tracing,
)
from collector.demo.topology import (
    SERVICE_PORT,
    Gateway,
    Route,
    Service,
    Topology,
    Tracer,
    pod_suffix,
)

_MESH_ID = "cluster.local"


@dataclass(frozen=True, slots=True)
class Collectors:
    """Ports on this machine that telemetry goes to. 0: nobody listens there."""

    otlp_grpc: int = 0
    otlp_http: int = 0
    zipkin: int = 0
    access_log_service: int = 0


@dataclass(slots=True)
class Ports:
    """The sockets of a running mesh, by service name."""

    gateway: int = 0
    apps: dict[str, int] = field(default_factory=dict)
    inbound: dict[str, int] = field(default_factory=dict)
    outbound: dict[str, int] = field(default_factory=dict)
    waypoints: dict[str, int] = field(default_factory=dict)

    def entry(self, service: Service) -> int:
        """Return the port that callers of a service use: its waypoint, its sidecar or itself."""
        if service.waypoint:
            return self.waypoints[service.name]
        return self.inbound[service.name] if service.has_sidecar else self.apps[service.name]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a proxy calls itself."""

    kind: str  # router, sidecar or waypoint
    app: str
    namespace: str
    pod: str
    revision: str

    @property
    def service_name(self) -> str:
        """Istio's service name of a proxy: `<app>.<namespace>`."""
        return f"{self.app}.{self.namespace}"

    @property
    def node_id(self) -> str:
        """Istio's node id: kind, pod address, pod and namespace, DNS domain."""
        address = f"10.244.{sum(self.app.encode()) % 200}.{sum(self.pod.encode()) % 250 + 2}"
        domain = f"{self.namespace}.svc.cluster.local"
        return f"{self.kind}~{address}~{self.pod}.{self.namespace}~{domain}"

    @property
    def tags(self) -> dict[str, str]:
        """The custom tags that Istio adds to each span."""
        return {
            "istio.canonical_service": self.app,
            "istio.canonical_revision": self.revision,
            "istio.namespace": self.namespace,
            "istio.mesh_id": _MESH_ID,
            "istio.cluster_id": "Kubernetes",
        }


class ConfigBuilder:
    """Builds the bootstraps of all proxies of one topology."""

    def __init__(
        self, topology: Topology, ports: Ports, collectors: Collectors, log_folder: Path
    ) -> None:
        self._topology = topology
        self._ports = ports
        self._collectors = collectors
        self._log_folder = log_folder

    def build_all(self) -> dict[str, Json]:
        """Return one bootstrap per proxy, keyed by the proxy's name."""
        bootstraps: dict[str, Json] = {}
        if self._topology.gateway is not None:
            bootstraps[self._topology.gateway.name] = self._gateway(self._topology.gateway)
        for service in self._topology.services:
            if service.has_sidecar:
                bootstraps[service.name] = self._sidecar(service)
        for name in sorted({service.waypoint for service in self._topology.services} - {""}):
            bootstraps[name] = self._waypoint(name)
        return bootstraps

    def _gateway(self, gateway: Gateway) -> Json:
        pod = f"{gateway.name}-5c7b8d9f66-{pod_suffix(gateway.name)}"
        identity = Identity("router", gateway.name, gateway.namespace, pod, "latest")
        tracer = gateway.tracer or self._topology.tracer
        routes = [self._route(route) for route in gateway.routes]
        hosts = [{"name": "*:80", "domains": ["*"], "routes": routes}]
        manager = self._connection_manager(identity, tracer, hosts, is_gateway=True)
        manager["use_remote_address"] = True
        manager["preserve_external_request_id"] = gateway.is_request_id_preserved
        listeners = [_listener("http.8080", self._ports.gateway, "OUTBOUND", manager)]
        return self._bootstrap(identity, listeners, self._clusters(gateway.routes))

    def _sidecar(self, service: Service) -> Json:
        identity = Identity(
            "sidecar", service.app, service.namespace, service.pod, service.revision
        )
        tracer = service.tracer or self._topology.tracer
        hosts = [
            self._virtual_host(name, routes) for name, routes in _by_callee(service.all_routes)
        ]
        outbound = self._connection_manager(identity, tracer, hosts)
        inbound_cluster = f"inbound|{SERVICE_PORT}||"
        inbound = self._connection_manager(
            identity, tracer, [_inbound_host(service, inbound_cluster)]
        )
        listeners = [
            _listener("outbound", self._ports.outbound[service.name], "OUTBOUND", outbound),
            _listener("inbound", self._ports.inbound[service.name], "INBOUND", inbound),
        ]
        clusters = self._clusters(service.all_routes)
        clusters.append(cluster(inbound_cluster, self._ports.apps[service.name]))
        return self._bootstrap(identity, listeners, clusters)

    def _waypoint(self, name: str) -> Json:
        behind = [service for service in self._topology.services if service.waypoint == name]
        namespace = behind[0].namespace
        pod = f"{name}-7d5c6b8f44-{pod_suffix(name)}"
        identity = Identity("waypoint", name, namespace, pod, "latest")
        listeners, clusters = [], []
        for service in behind:
            name_of_cluster = f"inbound-vip|{SERVICE_PORT}|http|{service.host}"
            hosts = [_inbound_host(service, name_of_cluster)]
            manager = self._connection_manager(identity, self._topology.tracer, hosts)
            port = self._ports.waypoints[service.name]
            listeners.append(_listener(f"main_internal_{service.name}", port, "INBOUND", manager))
            clusters.append(cluster(name_of_cluster, self._ports.apps[service.name]))
        return self._bootstrap(identity, listeners, clusters)

    def _virtual_host(self, callee: str, routes: Sequence[Route]) -> Json:
        service = self._topology.service(callee)
        return {
            "name": f"{service.host}:{SERVICE_PORT}",
            "domains": _domains(service),
            "routes": [self._route(route) for route in routes],
        }

    def _route(self, route: Route) -> Json:
        service = self._topology.service(route.to)
        mirror = self._topology.service(route.mirror_to) if route.mirror_to else None
        mirror_cluster = f"outbound|{SERVICE_PORT}||{mirror.host}" if mirror else ""
        target = f"outbound|{SERVICE_PORT}||{service.host}"
        return {
            "name": "default",
            "match": {"prefix": route.prefix},
            "route": route_action(route, target, mirror_cluster),
            "decorator": {"operation": f"{service.host}:{SERVICE_PORT}{route.prefix}*"},
            "typed_per_filter_config": route_filters(
                route.fault, route.rate_limit, asks_first=route.is_authorizer_down
            ),
        }

    def _clusters(self, routes: Sequence[Route]) -> list[Json]:
        wanted: dict[str, Route | None] = {route.to: route for route in reversed(routes)}
        for route in routes:
            if route.mirror_to:
                wanted.setdefault(route.mirror_to, None)
        services = [(self._topology.service(name), route) for name, route in wanted.items()]
        return [
            outbound_cluster(who, [*map(self._ports.entry, self._topology.pods_of(who))], route)
            for who, route in services
        ]

    def _connection_manager(
        self,
        identity: Identity,
        tracer: Tracer,
        hosts: Sequence[Json],
        *,
        is_gateway: bool = False,
    ) -> Json:
        spawns = tracer.spawns_upstream_span
        file_path = str(self._log_folder / f"{identity.app}.access.log")
        name = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
        manager: Json = {
            "@type": TYPE + name,
            "stat_prefix": "http",
            "server_name": "istio-envoy",
            "route_config": {"name": "routes", "virtual_hosts": list(hosts)},
            "http_filters": http_filters(),
            "access_log": access_logs(self._topology.access_logs, file_path, identity.app),
        }
        if tracer.protocol != "none":
            manager["tracing"] = tracing(
                tracer,
                identity.service_name,
                spawns=is_gateway if spawns is None else spawns,
                tags=identity.tags,
            )
        return manager

    def _bootstrap(
        self, identity: Identity, listeners: Sequence[Json], clusters: Sequence[Json]
    ) -> Json:
        return {
            "node": {
                "id": identity.node_id,
                "cluster": identity.service_name,
                "locality": {"zone": "westeurope-1"},
            },
            "admin": {
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            },
            "layered_runtime": runtime(),
            "static_resources": {
                "listeners": list(listeners),
                "clusters": [*clusters, *self._collector_clusters()],
            },
        }

    def _collector_clusters(self) -> list[Json]:
        ports = self._collectors
        known = [
            (OTLP_CLUSTER, ports.otlp_grpc, True),
            (OTLP_HTTP_CLUSTER, ports.otlp_http, False),
            (ZIPKIN_CLUSTER, ports.zipkin, False),
            (ALS_CLUSTER, ports.access_log_service, True),
            (AUTHORIZATION_CLUSTER, 0, False),
        ]
        # Port 9 (discard) keeps a reference to a collector valid that nobody runs.
        return [cluster(name, port or 9, is_http2=is_http2) for name, port, is_http2 in known]


def _by_callee(routes: Sequence[Route]) -> list[tuple[str, list[Route]]]:
    grouped: dict[str, list[Route]] = {}
    for route in routes:
        grouped.setdefault(route.to, []).append(route)
    return list(grouped.items())


def _domains(service: Service) -> list[str]:
    names = [service.name, f"{service.name}.{service.namespace}", service.host]
    return [*names, *(f"{name}:{SERVICE_PORT}" for name in names)]


def _inbound_host(service: Service, cluster_name: str) -> Json:
    route = {
        "name": "default",
        "match": {"prefix": "/"},
        "route": {"cluster": cluster_name, "timeout": "0s"},
        "decorator": {"operation": f"{service.host}:{SERVICE_PORT}/*"},
        "typed_per_filter_config": route_filters(service.inbound_fault, service.inbound_rate_limit),
    }
    name = f"inbound|http|{SERVICE_PORT}"
    return {"name": f"{name}|{service.name}", "domains": ["*"], "routes": [route]}


def _listener(name: str, port: int, direction: str, manager: Json) -> Json:
    chain = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "traffic_direction": direction,
        "filter_chains": [chain],
    }
