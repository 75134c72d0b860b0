"""
Who emitted a span, and on which side of a call it stands.

The service of a span is the first of: resource `service.name` unless that is a proxy's generic
name; `istio.canonical_service`; Kubernetes resource attributes; the workload in `node_id`; the
workload that an inbound `upstream_cluster` belongs to.

Source: envoyproxy/envoy tracer_impl.cc (tags, span kinds), istio pilot tracing.go (custom tags,
node ids), linkerd2-proxy `direction` attribute, OpenTelemetry semantic conventions 1.x (HTTP, RPC,
database, messaging), Kong kong/observability/otlp.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from collector.decode.envoy.access_log import instance_of_node
from collector.decode.outcome import GRPC_FAULTS, read_grpc_status
from collector.model import Span
from collector.stitch.tree.nodes import Node

_GENERIC_NAMES = frozenset(
    {"", "envoy", "proxy", "istio-proxy", "linkerd-proxy", "sidecar", "unknown", "unknown_service"}
)
_CLIENT_KINDS = frozenset({"Client", "Producer"})
_SERVER_KINDS = frozenset({"Server", "Consumer"})
# `<workload>-<replica set hash>-<pod>` and `<workload>-<ordinal>` to the workload.
_POD_SUFFIX = re.compile(r"(-[0-9a-f]{6,10})?-[0-9a-z]{5}$|-\d+$")
_WORKLOAD_KEYS = (
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.job.name",
    "app",
)
_STATUS_KEYS = ("http.response.status_code", "http.status_code", "status")
_CODES = {str(code): code for code in range(1000)}
_GRPC_KEYS = ("rpc.grpc.status_code", "grpc.status_code", "rpc.response.status_code")
_SYSTEM_KEYS = ("db.system", "db.system.name", "db.type", "messaging.system")
_PEER_KEYS = (
    "peer.service",
    "service.peer.name",
    "server.address",
    "net.peer.name",
    "http.host",
    "peer.hostname",
)
_URL_KEYS = ("url.full", "http.url")
_OWN_AUTHORITY_KEYS = ("server.address", "http.host", "net.host.name")
_PEER_ADDRESS_KEYS = ("network.peer.address", "net.peer.ip", "peer.address")
_DESTINATION_KEYS = (
    "messaging.destination.name",
    "messaging.destination",
    "messaging.kafka.topic",
    "message_bus.destination",
)
_EXTERNAL_CLUSTERS = ("passthroughcluster", "blackholecluster", "inboundpassthroughcluster")


def identify(node: Node) -> None:
    """Fill in the fields of *node* that follow from its own span alone."""
    span = node.span
    if span is None:
        return
    attributes, resource = node.attributes, span.resource
    node.proxy = _proxy_kind(span)
    node.is_proxy = node.proxy != ""
    node.service = service_name(span)
    node.instance = _instance(attributes, resource)
    node.host = resource.get("k8s.node.name") or resource.get("host.id") or node.instance
    node.status_code = status_code(attributes)
    node.grpc_status = _grpc_status(attributes)
    node.is_error = _is_error(span, node)
    node.is_async = span.kind == "Consumer"
    if node.proxy:
        _identify_proxy(node, span)
    else:
        _identify_app(node, span)
    node.is_mirrored = node.is_proxy and _is_mirrored(span)


def service_name(span: Span) -> str:
    """Return the name of the service that a span belongs to, in the documented order."""
    name = span.service or span.resource.get("service.name", "")
    if not _is_generic(name):
        return name
    attributes, resource = span.attributes, span.resource
    canonical = attributes.get("istio.canonical_service", "")
    if canonical and canonical != "unknown":
        return canonical
    for key in _WORKLOAD_KEYS:
        if resource.get(key):
            return resource[key]
    pod = resource.get("k8s.pod.name", "")
    if pod:
        return _POD_SUFFIX.sub("", pod)
    return _workload_of_node(attributes.get("node_id", "")) or _own_cluster(attributes) or name


@lru_cache(maxsize=1024)
def callee_of_cluster(cluster: str) -> str:
    """
    Return the service behind an Envoy cluster name, or "" for an inbound or catch-all cluster.

    `outbound|9080||reviews.shop.svc.cluster.local` is `reviews.shop`, and so is a waypoint's
    `inbound-vip|9080|http|reviews…`; a plain name is itself.
    """
    lower = cluster.lower()
    is_vip = lower.startswith("inbound-vip|")
    if not cluster or cluster == "-" or (lower.startswith("inbound") and not is_vip):
        return ""
    if lower in _EXTERNAL_CLUSTERS:
        return ""
    if (is_vip or lower.startswith("outbound")) and cluster.count("|") >= 3:
        cluster = cluster.split("|")[3]
    return cluster.partition(".svc.")[0] if ".svc." in cluster else cluster


def is_external_cluster(cluster: str) -> bool:
    """Tell whether an Envoy cluster leads out of the mesh."""
    lower = cluster.lower()
    if lower.startswith("outbound") and cluster.count("|") >= 3:
        host = cluster.split("|")[3]
        return ".svc." not in host and "." in host
    return lower in _EXTERNAL_CLUSTERS


def status_code(attributes: Mapping[str, str]) -> int | None:
    """Return the HTTP status, 0 when a proxy saw no response, `None` when none is recorded."""
    for key in _STATUS_KEYS:
        text = attributes.get(key)
        if text:
            known = _CODES.get(text)
            if known is not None:
                return known
    return None


def response_flags(attributes: Mapping[str, str]) -> tuple[str, ...]:
    """Return Envoy's response flags of a span, none for `-`."""
    text = attributes.get("response_flags", "")
    if not text or text == "-":
        return ()
    return tuple(flag.strip() for flag in text.split(",") if flag.strip())


def flags_of(node: Node) -> tuple[str, ...]:
    """Return Envoy's response flags of a span or of a gateway's record."""
    if node.record is None:
        return response_flags(node.attributes)
    written = node.record.record.attributes.get("envoy.response_flags", "")
    return response_flags({"response_flags": written})


def dependency_system(attributes: Mapping[str, str]) -> str:
    """Return the database or queue that a client span talks to, or ""."""
    return _first_of(attributes, _SYSTEM_KEYS)


def broker_name(attributes: Mapping[str, str]) -> str:
    """Return the queue or topic that a producer or consumer names, "" if it names none."""
    peer = attributes.get("peer.service", "")
    if peer:
        return peer
    system = attributes.get("messaging.system", "")
    destination = _first_of(attributes, _DESTINATION_KEYS)
    return "/".join(part for part in (system, destination) if part)


def _proxy_kind(span: Span) -> str:
    attributes = span.attributes
    if "node_id" in attributes or attributes.get("component") == "proxy":
        prefix = attributes.get("node_id", "").partition("~")[0]
        return prefix if prefix in ("sidecar", "router", "waypoint") else "envoy"
    if span.resource.get("telemetry.sdk.name") == "envoy" or "upstream_cluster" in attributes:
        return "envoy"
    if attributes.get("direction") in ("inbound", "outbound") and (
        "linkerd" in span.service or not span.scope
    ):
        return "linkerd"
    return ""


def _identify_proxy(node: Node, span: Span) -> None:
    attributes = span.attributes
    cluster = attributes.get("upstream_cluster", "") or attributes.get("upstream_cluster.name", "")
    node.side = _side_of_proxy(span, cluster)
    node.role = "client_proxy" if node.side == "client" else "server_proxy"
    if node.proxy == "linkerd":
        # Each Linkerd proxy emits a server and a client span; the direction tells whose pod it is.
        node.role = "client_proxy" if attributes["direction"] == "outbound" else "server_proxy"
    elif node.proxy == "waypoint" or cluster.startswith("inbound-vip"):
        node.role = "waypoint"
    elif node.proxy == "router":
        node.role = "edge"
    elif cluster.startswith("inbound"):
        # With an upstream span of its own the inbound proxy has a client span to its application.
        node.role = "server_proxy"
    elif cluster.startswith("outbound"):
        # And the outbound proxy a server span, above one client span a try.
        node.role = "client_proxy"
    node.callee = callee_of_cluster(cluster)
    if node.proxy == "linkerd" and node.role == "client_proxy":
        node.callee = attributes.get("server.address", "").partition(".svc.")[0]


def _side_of_proxy(span: Span, cluster: str) -> str:
    if span.kind in _CLIENT_KINDS:
        return "client"
    if span.kind in _SERVER_KINDS:
        return "server"
    if cluster.startswith("inbound") or span.name.startswith("ingress"):
        return "server"
    return "client" if cluster.startswith("outbound") or "egress" in span.name else "server"


def _identify_app(node: Node, span: Span) -> None:
    attributes = span.attributes
    # Without a kind a span that names its peer is a call, as Zipkin takes it.
    if span.kind in _CLIENT_KINDS or (span.kind == "Unspecified" and "peer.service" in attributes):
        node.side = "client"
        node.callee = (
            _first_of(attributes, _PEER_KEYS)
            or _host_of(_first_of(attributes, _URL_KEYS))
            or _first_of(attributes, _PEER_ADDRESS_KEYS)
            # the libraries of clouds name the service that they call, and no host
            or attributes.get("rpc.service", "")
        )
        system = dependency_system(attributes)
        if span.kind == "Producer" or attributes.get("messaging.system"):
            node.callee = broker_name(attributes)
        elif system:
            name = attributes.get("db.name") or attributes.get("db.namespace") or ""
            node.callee = attributes.get("peer.service") or (f"{system}/{name}" if name else system)
    elif span.kind in _SERVER_KINDS:
        node.side = "server"
    if span.scope == "kong-internal" or "kong.request.id" in span.attributes:
        node.role = "gateway"


def _grpc_status(attributes: Mapping[str, str]) -> int | None:
    text = _first_of(attributes, _GRPC_KEYS)
    return read_grpc_status(text) if text else None


def _is_error(span: Span, node: Node) -> bool:
    attributes, code = node.attributes, node.status_code
    if span.status == "Error" or attributes.get("error") == "true":
        return True
    if code is not None and (code >= 500 or (code == 0 and response_flags(attributes))):
        return True
    return node.grpc_status in GRPC_FAULTS


def _first_of(attributes: Mapping[str, str], keys: Sequence[str]) -> str:
    for key in keys:
        if text := attributes.get(key):
            return text
    return ""


def _host_of(url: str) -> str:
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0]


def _instance(attributes: Mapping[str, str], resource: Mapping[str, str]) -> str:
    node_id = attributes.get("node_id", "")
    if node_id.count("~") == 3:
        return instance_of_node(node_id)
    return (
        resource.get("k8s.pod.name")
        or resource.get("host.name")
        or resource.get("service.instance.id")
        or node_id
        or attributes.get("net.host.ip", "")
    )


def _workload_of_node(node_id: str) -> str:
    parts = node_id.split("~")
    pod = parts[2].partition(".")[0] if len(parts) == 4 else ""
    return _POD_SUFFIX.sub("", pod)


def _own_cluster(attributes: Mapping[str, str]) -> str:
    cluster = attributes.get("upstream_cluster.name") or attributes.get("upstream_cluster", "")
    parts = cluster.split("|")
    # `inbound|9080|http|reviews.shop.svc.cluster.local`: older Istio names the workload here.
    if len(parts) == 4 and parts[0].startswith("inbound") and parts[3]:
        return parts[3].partition(".svc.")[0]
    return ""


@lru_cache(maxsize=1024)
def _is_generic(name: str) -> bool:
    lower = name.lower()
    return lower in _GENERIC_NAMES or lower.startswith("unknown_service")


def _is_mirrored(span: Span) -> bool:
    # Envoy names its span of the copy `mirror` and appends `-shadow` to the copy's authority.
    if span.name == "mirror":
        return True
    authority = _host_of(_first_of(span.attributes, _URL_KEYS))
    if not authority and span.kind == "Server":
        # a caller's peer of that name may be a service that is called so
        authority = _first_of(span.attributes, _OWN_AUTHORITY_KEYS)
    return "-shadow" in authority and authority.partition(":")[0].endswith("-shadow")
