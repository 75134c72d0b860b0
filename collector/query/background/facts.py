"""
What is kept of a stitched request: a `StitchedRequest` with its hops.

Pure. Features that say where a hop ran come from its own spans (the application's first, then its
proxies'), never from the caller's side of the call.

Source: semantic conventions for resources (k8s.*, cloud.*, service.version); Istio's canonical
revision; Envoy's span tags (response_flags, upstream_cluster, peer.address).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from collector.decode.probes import is_probing
from collector.decode.quality import STREAMING
from collector.decode.urls import is_event_stream, is_tunnel
from collector.model import GatewayRecord, Span
from collector.query.reports.join_count import best_link
from collector.stitch.timeline import Hop, Timeline, TimelineSpan
from collector.stitch.tree.roles import response_flags
from collector.store import StitchedHop, StitchedRequest

_POD = ("k8s.pod.name", "service.instance.id")
_NODE = ("k8s.node.name", "host.name")
_ZONE = (
    "cloud.availability_zone",
    "topology.kubernetes.io/zone",
    "k8s.node.label.topology.kubernetes.io/zone",
)
_VERSION = (
    "service.version", "istio.canonical_revision", "k8s.pod.labels.version",
    "k8s.pod.label.app.kubernetes.io/version", "container.image.tag", "container.image.tags",
)  # fmt: skip
_UPSTREAM = ("upstream_address", "upstream_cluster.name", "upstream_cluster")
# What a client's own span says of whom it called; a server's says the same of its caller.
_CALLED = ("network.peer.address", "net.sock.peer.addr", "server.address", "net.peer.name")
_AGENT = ("user_agent.original", "http.user_agent", "user_agent", "User-Agent")
_METHOD = ("http.request.method", "http.method")
_HOST = ("http.host", "server.address", "net.host.name")
_PATH = ("url.path", "http.target")
_PLACED = frozenset((*_POD, *_NODE, *_ZONE, *_VERSION))
# The caller's side of a call: it ran where the caller runs.
_CALLERS_SIDE: Final = frozenset({"client_proxy"})
_CALLING: Final = frozenset({"Client", "Producer"})
_RANK = {"app": 0, "server_proxy": 1, "edge": 2, "waypoint": 3, "gateway": 4, "dependency": 5}
_MAX_TEXT = 200
_MOST_WEIGHT = 2**32 - 1


def facts_of(
    timeline: Timeline,
    spans: Sequence[Span],
    *,
    place: int,
    one_of: int,
    stratum: str,
    received_ns: int,
    tenant: str = "",
) -> StitchedRequest:
    """
    Return what is kept of *timeline*, which was made of *spans* among others.

    *place*, *one_of* so many and *stratum* say how it was drawn; *received_ns* until when parts are
    in. A gateway's log that is a sample itself has a weight of its own.
    """
    record = main_record(timeline)
    root = _root_attributes(timeline)
    hops = _hops(timeline, spans)
    phases = {phase.name: phase.duration_ns for phase in timeline.phases}
    duration_ns, open_ns = timeline.duration_ns, None
    if _stays_open(timeline, record, root):
        duration_ns, open_ns, phases = None, duration_ns or 0, {}
        hops = [_without_life(hop, open_ns) for hop in hops]
    link = best_link(timeline, record)
    seen = record or GatewayRecord(gateway="", record_id="", start_ns=timeline.start_ns)
    # a NaN stands for one
    record_weight = min(max(1.0, seen.weight), _MOST_WEIGHT)
    method = seen.method or _first(root, _METHOD)
    path = (seen.path or _first(root, _PATH)).partition("?")[0]
    return StitchedRequest(
        request_id=timeline.id,
        place=place,
        weight=round(min(one_of * record_weight, _MOST_WEIGHT)),
        record_weight=record_weight,
        stratum=stratum,
        origin="record" if record else "trace" if spans else "log",
        is_probe=record.is_probe if record else is_probing(_first(root, _AGENT), method, path),
        start_ns=timeline.start_ns,
        duration_ns=duration_ns,
        open_ns=open_ns,
        trace_id=timeline.trace_id,
        gateway=seen.gateway,
        instance=seen.instance,
        api=seen.api,
        api_revision=seen.api_revision,
        operation=seen.operation,
        product=seen.product,
        consumer=seen.consumer,
        client=_family(_agent(seen, root)),
        region=seen.region,
        method=method,
        host=seen.host or _first(root, _HOST),
        route=_cut(seen.route or root.get("http.route", "") or _root_name(timeline)),
        path=_cut(path),
        status=timeline.status,
        is_error=timeline.is_error,
        error_reason=seen.error_reason,
        cache=seen.cache,
        policies=sorted({f"{act.layer}:{act.feature}" for act in timeline.acts}),
        backend_host=seen.backend_host,
        backend_status=seen.backend_status,
        backend_ns=seen.backend_ns,
        request_bytes=seen.request_bytes,
        response_bytes=seen.response_bytes,
        quality=tuple(seen.quality),
        client_ns=phases.get("client"),
        gateway_ns=phases.get("gateway"),
        cache_ns=phases.get("cache"),
        network_ns=phases.get("network"),
        edge_proxy_ns=phases.get("edge_proxy"),
        mesh_proxy_ns=phases.get("mesh_proxy"),
        app_ns=phases.get("app"),
        dependency_ns=phases.get("dependency"),
        unexplained_ns=phases.get("unexplained"),
        verdict_layer=timeline.verdict.layer,
        verdict_component=timeline.verdict.component,
        verdict_class=timeline.verdict.class_,
        verdict_confidence=timeline.verdict.confidence,
        outcome=timeline.verdict.outcome,
        state=timeline.state,
        is_joined=_is_joined(timeline, record),
        join_tier=link.tier if link else None,
        join_confidence=link.confidence if link else None,
        services=sorted({hop.service for hop in hops if hop.role in ("edge", "service")} - {""}),
        retries=min(sum(hop.attempt > 1 for hop in hops), 65_535),
        flags=sorted({flag for hop in hops for flag in hop.flags}),
        received_ns=received_ns,
        tenant=tenant,
        hops=hops,
    )


def main_record(timeline: Timeline) -> GatewayRecord | None:
    """Return the record that the request is named by, else its first one, `None` without any."""
    records = [merged.record for merged in timeline.gateway_records]
    named = (each for each in records if each.record_id == timeline.id)
    return next(named, records[0] if records else None)


def _is_joined(timeline: Timeline, record: GatewayRecord | None) -> bool | None:
    """Tell whether record and mesh are joined; `None` where the gateway answered by itself."""
    if record is None:
        return False
    has_mesh = any(each.role != "gateway" and not each.is_inferred for each in timeline.spans)
    if not has_mesh and record.backend_ns is None and record.backend_status is None:
        return None
    return has_mesh


def _stays_open(timeline: Timeline, record: GatewayRecord | None, root: Mapping[str, str]) -> bool:
    """Tell whether a request became a connection whose life is no time of an answer."""
    if record is not None:
        return record.kind == "websocket" or STREAMING in record.quality
    is_stream = is_event_stream(root.get("http.response.header.content-type", ""))
    return is_stream or is_tunnel(_first(root, _METHOD), timeline.status)


def _without_life(hop: StitchedHop, open_ns: int) -> StitchedHop:
    """Return a hop of such a request: what held the connection has no time of its own."""
    if hop.duration_ns is not None and 2 * hop.duration_ns < open_ns:
        return replace(hop, critical_ns=0)
    return replace(hop, duration_ns=None, self_ns=None, critical_ns=0, proxy_ns=0)


def _root_attributes(timeline: Timeline) -> Mapping[str, str]:
    """Return the attributes of the outermost span that is not made of a gateway record."""
    for span in timeline.spans:
        if span.raw_span_id:
            return span.attributes
    return {}


def _root_name(timeline: Timeline) -> str:
    return next((span.name for span in timeline.spans if span.raw_span_id), "")


def _agent(record: GatewayRecord, root: Mapping[str, str]) -> str:
    return _first(record.attributes, _AGENT) or _first(root, _AGENT)


def _family(agent: str) -> str:
    """Return the product of a user agent without its version: `okhttp` of `okhttp/4.12.0`."""
    return re.split(r"[/ (]", agent, maxsplit=1)[0][:_MAX_TEXT]


def _hops(timeline: Timeline, spans: Sequence[Span]) -> list[StitchedHop]:
    stored = {(span.trace_id, span.span_id): span for span in spans}
    of_hop: dict[int, list[TimelineSpan]] = {}
    for span in timeline.spans:
        of_hop.setdefault(span.hop, []).append(span)
    services = [hop.service for hop in timeline.hops]
    return [
        _hop(
            hop,
            services[hop.parent] if 0 <= hop.parent < len(services) else "",
            of_hop.get(hop.index, ()),
            stored,
        )
        for hop in timeline.hops
    ]


def _hop(
    hop: Hop,
    caller: str,
    parts: Sequence[TimelineSpan],
    stored: Mapping[tuple[str, str], Span],
) -> StitchedHop:
    own = [part for part in parts if part.role not in _CALLERS_SIDE]
    if len(own) > 1:
        own.sort(key=_rank)
    pod = node = zone = version = ""
    # of a service that sends no spans there are only its caller's
    if not hop.is_inferred:
        places = _places(own, stored)
        pod, node = _first_of(places, _POD) or hop.instance, _first_of(places, _NODE)
        zone, version = _first_of(places, _ZONE), _first_of(places, _VERSION)
    return StitchedHop(
        role=hop.role,
        service=hop.service,
        operation=_cut(hop.name),
        caller=caller,
        parent=hop.parent,
        pod=_cut(pod),
        node=_cut(node),
        zone=_cut(zone),
        version=_cut(version),
        upstream=_cut(_upstream(parts)),
        start_offset_ns=hop.start_offset_ns,
        duration_ns=hop.duration_ns,
        self_ns=hop.self_ns,
        critical_ns=hop.critical_ns,
        proxy_ns=hop.proxy_ns,
        attempt=hop.attempt,
        attempts=hop.attempts,
        status=hop.status,
        is_error=_is_failed(hop.status) or any(part.status == "error" for part in own),
        flags=sorted({flag for part in parts for flag in response_flags(part.attributes)}),
        is_inferred=hop.is_inferred,
        is_mirrored=hop.is_mirrored,
        is_async=hop.is_async,
    )


def _rank(part: TimelineSpan) -> int:
    return _RANK.get(part.role, 9)


def _places(
    own: Sequence[TimelineSpan], stored: Mapping[tuple[str, str], Span]
) -> list[Mapping[str, str]]:
    """Return what may say where a hop ran: the resources of its own spans, then the spans."""
    # the caller's own span of the call ran where the caller does
    ran = [part for part in own if part.role != "app" or part.kind not in _CALLING]
    resources = [
        span.resource
        for part in ran
        if (span := stored.get((part.trace_id, part.raw_span_id))) is not None
    ]
    # a span of the service may carry what its resource lacks
    said = (*resources, *[part.attributes for part in ran])
    return [each for each in said if not _PLACED.isdisjoint(each)]


def _upstream(parts: Sequence[TimelineSpan]) -> str:
    if told := _first_of([part.attributes for part in parts], _UPSTREAM):
        return told
    return _first_of([part.attributes for part in parts if part.kind == "Client"], _CALLED)


def _is_failed(status: str) -> bool:
    return status == "error" or (status.isdecimal() and int(status) >= 500)


def _first(values: Mapping[str, str], names: Iterable[str]) -> str:
    return next((values[name] for name in names if values.get(name)), "")


def _first_of(groups: Sequence[Mapping[str, str]], names: Iterable[str]) -> str:
    for name in names:
        for values in groups:
            if value := values.get(name):
                return value
    return ""


def _cut(text: str) -> str:
    return text[:_MAX_TEXT]
