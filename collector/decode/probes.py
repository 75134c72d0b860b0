"""
Health probes: requests that nobody made, only something that asks whether the gateway is alive.

They are kept, because a failing probe says much, but a gateway that is idle and probed every five
seconds would else look busy, fast and without errors.

Source: Kubernetes kubelet (`kube-probe/`), AWS Elastic Load Balancing and Route 53 health checks,
Google Cloud health checks, Azure Load Balancer, Application Gateway, Front Door and API Management,
Envoy and HAProxy active health checks; gRPC Health Checking Protocol; Kubernetes, Spring Boot
Actuator, MicroProfile Health and Prometheus endpoints.
"""

from collector.model import GatewayRecord

_PROBERS = (
    "kube-probe/",
    "ELB-HealthChecker/",
    "Amazon-Route53-Health-Check-Service",
    "GoogleHC/",
    "GoogleStackdriverMonitoring-UptimeChecks",
    "Envoy/HC",
    "Load Balancer Agent",
    "Edge Health Probe",
    "AlwaysOn",
    "Consul Health Check",
    "HAProxy/healthcheck",
    "Blackbox Exporter/",
    "Prometheus/",
)
# The last segments of paths that are asked for nothing else.
_ENDPOINTS = frozenset(
    ("healthz", "readyz", "livez", "status-0123456789abcdef", "internal-status-0123456789abcdef")
)
# Those that an API may have as well, below something of its own: only near the root.
_NEAR_ROOT = frozenset(("health", "healthcheck", "health-check", "_health"))
_BELOW_HEALTH = (
    *(f"/health/{each}" for each in ("live", "ready", "started", "startup")),
    *(f"/health/{each}" for each in ("liveness", "readiness")),
    *(f"/-/{each}" for each in ("healthy", "ready")),
)
_GRPC_HEALTH = "/grpc.health.v1.Health/"
_MOST_SEGMENTS = 2
_ASKING = ("GET", "HEAD", "")


def is_probe(record: GatewayRecord) -> bool:
    """Tell whether *record* is of a health probe: by who asked, or by what was asked for."""
    agent = record.attributes.get("user_agent.original", "")
    return is_probing(agent, record.method, record.path)


def is_probing(agent: str, method: str, path: str) -> bool:
    """Tell the same of a request that only spans tell of; *path* is without its query."""
    if agent.startswith(_PROBERS):
        return True
    last = path[path.rfind("/") + 1 :]
    if last in _ENDPOINTS:
        return method in _ASKING
    if last in _NEAR_ROOT:
        return method in _ASKING and path.count("/") <= _MOST_SEGMENTS
    if path.endswith(_BELOW_HEALTH):
        return method in _ASKING
    return path.startswith(_GRPC_HEALTH)
