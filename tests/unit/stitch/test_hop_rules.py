"""Linkerd, ambient, missing pieces: rules by which spans become hops that no story tells."""

import pytest

from collector.model import Span
from collector.stitch.timeline import Timeline
from collector.stitch.tree.roles import service_name
from tests.unit.stitch.building import LONG_AFTER, TraceBuilder, record, stitch
from tests.unit.stitch.scenarios import picture

OUTBOUND = {"direction": "outbound", "server.address": "carts.shop.svc.cluster.local"}
LOST = "dead0000dead0000"


def linkerd(
    trace: TraceBuilder, at: float, ms: float, parent: Span | str | None, *, pod: str, inbound: bool
) -> Span:
    """Add the server and the client span of one Linkerd proxy; return the inner one."""
    attributes = {"direction": "inbound"} if inbound else OUTBOUND
    resource = {"k8s.deployment.name": pod}
    outer = trace.span(
        "linkerd-proxy", at, ms, parent, "Server", attributes=attributes, resource=resource
    )
    return trace.span(
        "linkerd-proxy", at + 0.5, ms - 1, outer, "Client", attributes=attributes, resource=resource
    )


def stitched(trace: TraceBuilder) -> Timeline:
    return stitch([], trace.spans, now_ns=LONG_AFTER)


def told(timeline: Timeline) -> set[str]:
    return {finding.rule for finding in timeline.findings}


def test_linkerd_never_starts_a_trace() -> None:
    """The application's client span is the root; no proxy in front of it is missed or made up."""
    trace = TraceBuilder()
    client = trace.span("web", 0, 60, None, "Client")
    out = linkerd(trace, 5, 50, client, pod="web", inbound=False)
    inward = linkerd(trace, 8, 44, out, pod="carts", inbound=True)
    trace.span("carts", 10, 40, inward, "Server")
    timeline = stitched(trace)
    assert [line.strip() for line in picture(timeline)] == ["service web", "service carts"]
    assert timeline.root_span_id == client.span_id
    assert told(timeline) == set()


def test_linkerd_goes_on_with_the_trace_of_the_gateway() -> None:
    """Proxies record what the gateway sampled: its span never arrives and is not asked for."""
    trace = TraceBuilder()
    inward = linkerd(trace, 10, 80, "c0ffee0000000001", pod="carts", inbound=True)
    trace.span("carts", 12, 70, inward, "Server")
    known = record(
        total=100, backend=90, trace_id=trace.trace_id, outgoing_span_id="c0ffee0000000001"
    )
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    assert [line.strip() for line in picture(timeline)] == ["gateway shop-apim", "service carts"]
    assert "ORPHAN" not in told(timeline)


def test_linkerd_writes_nothing_about_an_error() -> None:
    """The failed call is drawn from the application's client span, inferred and failed."""
    trace = TraceBuilder()
    inward = linkerd(trace, 0, 60, None, pod="web", inbound=True)
    web = trace.span("web", 2, 50, inward, "Server", status="Error")
    attributes = {"server.address": "carts.shop", "http.response.status_code": "503"}
    trace.span("web", 5, 30, web, "Client", status="Error", attributes=attributes)
    timeline = stitched(trace)
    callee = timeline.hops[-1]
    assert (callee.service, callee.is_inferred) == ("carts.shop", True)
    assert (timeline.verdict.component, timeline.verdict.class_) == ("carts.shop", "server_error")
    assert timeline.hops[callee.parent].service == "web"


def test_two_of_four_linkerd_spans_are_still_one_hop() -> None:
    """When only the caller's proxy recorded, caller, proxy and callee are one visit still."""
    trace = TraceBuilder()
    root = trace.span("web", 0, 60, None, "Server")
    client = trace.span("web", 3, 54, root, "Client")
    out = linkerd(trace, 5, 50, client, pod="web", inbound=False)
    trace.span("carts", 10, 40, out, "Server")
    assert picture(stitched(trace)) == ["service web", "  service carts"]


def test_waypoint_that_says_nothing_leaves_no_hole() -> None:
    """What names a waypoint's span that never arrived is placed by time, and a finding says so."""
    trace = TraceBuilder()
    edge = trace.edge(0, 60)
    shop = trace.span("shop", 4, 50, edge, "Server")
    trace.span("shop", 10, 30, shop, "Client", attributes={"server.address": "stock.shop"})
    trace.span("stock", 14, 20, LOST, "Server")
    timeline = stitched(trace)
    orphan = timeline.spans[-1]
    assert (orphan.service, orphan.is_orphan, orphan.raw_parent_span_id) == ("stock", True, LOST)
    assert any(f.rule == "ORPHAN" and LOST in f.message for f in timeline.findings)
    services = [hop.service for hop in timeline.hops]
    assert services.count("stock") == 1
    assert timeline.hops[orphan.hop].parent == timeline.spans[1].hop


def test_waypoint_whose_callee_says_nothing_draws_it() -> None:
    """The waypoint belongs to the visit of the callee that it names, which is inferred."""
    trace = TraceBuilder()
    edge = trace.edge(0, 60)
    shop = trace.span("shop", 4, 50, edge, "Server")
    client = trace.span("shop", 10, 30, shop, "Client", attributes={"server.address": "stock.shop"})
    trace.proxy(
        "waypoint", "waypoint", 12, 26, client, "Server", cluster="inbound-vip|80|http|stock.shop"
    )
    timeline = stitched(trace)
    last = timeline.hops[-1]
    assert (last.role, last.service, last.is_inferred) == ("service", "stock.shop", True)
    assert timeline.hops[last.parent].service == "shop"


def test_orphans_of_one_missing_parent_are_counted_once() -> None:
    """A finding says which span is missing and under which service its children were placed."""
    trace = TraceBuilder()
    edge = trace.edge(0, 100)
    trace.sidecar_in("orders", 5, 90, edge)
    for at in (20, 50):
        trace.sidecar_out("orders", "stock", at, 20, None)
        trace.spans[-1].parent_span_id = LOST
    timeline = stitched(trace)
    [orphans] = [f for f in timeline.findings if f.rule == "ORPHAN"]
    assert orphans.message.startswith(f"2 spans without parent: span {LOST} never arrived")
    assert "placed under orders.shop by time" in orphans.message
    assert len(timeline.spans) == len(trace.spans)


def test_callee_without_spans_is_inferred_and_says_from_what() -> None:
    """The hop of a silent service exists, is marked, and names the client span it rests on."""
    trace = TraceBuilder()
    edge = trace.edge(0, 100)
    inward = trace.sidecar_in("orders", 5, 90, edge)
    out = trace.sidecar_out("orders", "stock", 20, 30, inward)
    callee = stitched(trace).hops[-1]
    assert (callee.service, callee.is_inferred) == ("stock.shop", True)
    assert callee.span_ids == (out.span_id,)
    assert callee.notes == ("no span of this service arrived: drawn from its caller's client span",)


def test_server_side_of_an_old_ingress_gateway_is_inferred_and_marked() -> None:
    """A gateway proxy before Istio 1.28 is one CLIENT span, and still the edge's whole visit."""
    trace = TraceBuilder()
    edge = trace.sidecar_out("istio-ingressgateway", "orders", 0, 60, None, node_kind="router")
    trace.sidecar_in("orders", 2, 50, edge)
    first, second = stitched(trace).hops
    assert (first.role, second.service) == ("edge", "orders.shop")
    assert first.notes == ("the server side of the edge proxy is inferred from its client span",)


@pytest.mark.parametrize(
    ("resource", "attributes", "name"),
    [
        ({"service.name": "a"}, {"istio.canonical_service": "b"}, "a"),
        ({"service.name": "linkerd-proxy"}, {"istio.canonical_service": "b"}, "b"),
        ({"k8s.deployment.name": "c"}, {"istio.canonical_service": "unknown"}, "c"),
        ({"k8s.pod.name": "d-6d9f7c5b84-abcde"}, {"node_id": "x"}, "d"),
        ({}, {"node_id": "sidecar~10.0.0.1~e-6d9f7c5b84-abcde.shop~shop.svc"}, "e"),
        ({}, {"upstream_cluster": "inbound|80|http|f.shop.svc.cluster.local"}, "f.shop"),
        ({"service.name": "unknown_service:java"}, {}, "unknown_service:java"),
    ],
)
def test_service_names_in_their_order(
    resource: dict[str, str], attributes: dict[str, str], name: str
) -> None:
    """Resource, Istio's canonical service, Kubernetes, node id, cluster; generic names last."""
    span = TraceBuilder().span("", 0, 1, attributes=attributes, resource=resource)
    span.service = resource.get("service.name", "")
    assert service_name(span) == name
