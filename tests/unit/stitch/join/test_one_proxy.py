"""The access log line and the spans of one proxy are one hop."""

from typing import Any

import pytest

from collector.model import GatewayRecord, Id
from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import LONG_AFTER, MS, TRACE, TraceBuilder, record, stitch
from tests.unit.stitch.scenarios import picture

_REQUEST = "0f6f2c2e-51b3-4f0e-8b4e-2f4c3e9a7d10"
_CLUSTER = "outbound|8080||orders.shop.svc.cluster.local"


def line(**more: Any) -> GatewayRecord:
    """Return the ingress gateway's access log line."""
    given: dict[str, Any] = {
        "gateway": "envoy",
        "record_id": _REQUEST,
        "instance": "",
        "ids": (Id("x_request_id", _REQUEST),),
        "total": 205,
        "backend": 203,
        "status": 503,
        "backend_status": 503,
        "backend_id": _CLUSTER,
        "trace_id": TRACE,
        "resolution_ns": MS,
        "path": "/orders",
        **more,
    }
    return record(**given)


def mesh(trace: TraceBuilder, *, has_upstream_span: bool = False) -> str:
    """Add the ingress' spans, the sidecar's and the application's; returns the id it sent on."""
    own: dict[str, Any] = {"code": 503, "cluster": _CLUSTER, "request_id": _REQUEST}
    edge = trace.edge(0.3, 204.4, "c1c1c1c1c1c1c1c1", **own)
    sent = edge
    if has_upstream_span:
        sent = trace.proxy("istio-ingressgateway", "router", 0.6, 203.8, edge, "Client", **own)
    inward = trace.sidecar_in("orders", 2, 201, sent, code=503, request_id=_REQUEST)
    trace.span("orders", 3, 199, inward, "Server", status="Error")
    return sent.span_id


def told(records: list[GatewayRecord], trace: TraceBuilder) -> Timeline:
    """Return the timeline of the line's request."""
    return stitch(records, trace.spans, now_ns=LONG_AFTER, subject=records[0].record_id)


@pytest.mark.parametrize("has_upstream_span", [False, True])
@pytest.mark.parametrize("is_header_logged", [True, False])
def test_a_line_and_the_spans_of_one_proxy_are_one_hop(
    has_upstream_span: bool, is_header_logged: bool
) -> None:
    """The header names the proxy's own span; without it the request id and the cluster tell."""
    trace = TraceBuilder()
    sent = mesh(trace, has_upstream_span=has_upstream_span)
    known = line(outgoing_span_id=sent) if is_header_logged else line(trace_id="")
    timeline = told([known], trace)
    assert picture(timeline) == ["gateway istio-ingressgateway.shop", "  service orders"]
    assert not {"TIMES_CONTRADICT", "CLOCK"} & {finding.rule for finding in timeline.findings}
    assert all(span.start_offset_ns >= 0 for span in timeline.spans)
    assert sum(phase.duration_ns for phase in timeline.phases) == timeline.duration_ns == 205 * MS


@pytest.mark.parametrize(
    "more",
    [{"backend_id": "httproute/edge/mesh/rule/0"}, {"total": 260, "backend": 250, "at": -20}],
    ids=["another cluster", "another time"],
)
def test_another_envoy_in_front_is_a_hop_of_its_own(more: dict[str, Any]) -> None:
    """An Envoy gateway before the mesh's ingress has the same request id and is no part of it."""
    trace = TraceBuilder()
    mesh(trace)
    timeline = told([line(**more)], trace)
    assert [hop.role for hop in timeline.hops][:2] == ["gateway", "edge"]


@pytest.mark.parametrize(
    ("request_id", "is_told"),
    [
        ("8f3bc7d1e5a94026b1c8d7e6f5a4b3c2", False),
        ("8F3BC7D1-E5A9-4026-B1C8-D7E6F5A4B3C2", False),
        ("order-77812", True),
        ("8f3bc7d1e5a94026b1c8d7e6f5a4b3cg", True),
    ],
)
def test_a_request_id_of_32_digits_is_a_uuid(request_id: str, is_told: bool) -> None:
    """nginx makes ids without dashes: the rule speaks of those that are none."""
    known = line(gateway="ingress-nginx", ids=(Id("x_request_id", request_id),))
    rules = {finding.rule for finding in told([known], TraceBuilder()).findings}
    assert ("NON_UUID_REQUEST_ID" in rules) is is_told


def fronted(
    known: GatewayRecord, *, ms: float = 122.3, at: float = 0.4, path: str = "/orders"
) -> list[str]:
    """Return the picture of a line beside a server span of web-front, which called orders."""
    trace = TraceBuilder()
    told_by = {"http.target": path, "http.method": "GET", "http.status_code": "200"}
    own = trace.span("web-front", at, ms, "c1" * 8, "Server", attributes=told_by)
    trace.span("orders", 2, 118, own, "Server", attributes={"http.status_code": "200"})
    return picture(told([known], trace))


_NAMING = [
    {"outgoing_span_id": "a000000000000001"},
    {"parent_span_id": "c1c1c1c1c1c1c1c1"},
    {"parent_span_id": "c1c1c1c1c1c1c1c1", "outgoing_span_id": "a000000000000001"},
    {},
]


@pytest.mark.parametrize("ids", _NAMING, ids=["own", "caller", "both", "trace only"])
@pytest.mark.parametrize("gateway", ["ingress-nginx", "traefik", "haproxy", "shop-front"])
def test_any_proxy_that_logs_and_traces_is_one_hop(ids: dict[str, str], gateway: str) -> None:
    """No name tells that line and span are of one proxy: it took longer than what it called."""
    known = line(gateway=gateway, total=123, backend=120, status=200, backend_status=200, **ids)
    assert fronted(known) == ["gateway web-front", "  service orders"]


@pytest.mark.parametrize(
    ("more", "span"),
    [
        ({"backend": 122}, {"ms": 121.6}),
        ({}, {"path": "/other"}),
        ({"status": 404}, {}),
        ({}, {"at": -30}),
        ({"gateway": "azure-apim"}, {}),
        ({"gateway": "kong", "backend": 40}, {}),
    ],
    ids=[
        "as long as the call",
        "another path",
        "another status",
        "another time",
        "sends no spans",
        "streams after its headers",
    ],
)
def test_what_a_proxy_called_stays_a_hop_of_its_own(
    more: dict[str, Any], span: dict[str, Any]
) -> None:
    """A span that can be the called service's, or cannot be the proxy's, is not taken for its."""
    given = {"gateway": "ingress-nginx", "total": 123, "backend": 120, "status": 200, **more}
    drawn = fronted(line(**{"backend_status": 200, **given}), **span)
    assert any(each.strip() == "service web-front" for each in drawn)
