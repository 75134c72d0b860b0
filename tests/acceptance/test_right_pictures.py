"""
What a service draws of traces as people have them: late, skewed, cut, in parts, told twice.

One case a kind: the rules behind each have unit tests of their own.
"""

import secrets
import uuid
from typing import Any

import pytest

from tests.acceptance.telling import Sender, bounds
from tests.service import Service

EDGE = "istio-ingressgateway.istio-system"
_NODES = {
    EDGE: "router~10.4.0.2~istio-ingressgateway-5b7d-x2x.istio-system~istio-system.svc",
    "": "sidecar~10.4.0.7~tills-6c4d-z9q.market~market.svc",
}


@pytest.fixture
def sender(service: Service) -> Sender:
    """A trace and ids that no other test has."""
    return Sender(service)


def proxied(service: str, status: int, flags: str = "-", **more: str) -> dict[str, Any]:
    """Return the attributes of an Istio proxy's span."""
    return {
        "component": "proxy",
        "node_id": _NODES.get(service, _NODES[""]),
        "upstream_cluster": "outbound|80||tills.market.svc.cluster.local",
        "http.status_code": status,
        "http.method": "POST",
        "response_flags": flags,
        **more,
    }


def find(timeline: Any, service: str, kind: str = "") -> Any:
    """Return the span of a service."""
    return next(
        span
        for span in timeline["spans"]
        if span["service"] == service and (not kind or span["kind"].lower() == kind)
    )


def test_a_verdict_that_a_late_record_can_overturn_is_provisional(service: Service) -> None:
    """Where records of the gateway come as a rule, one that is missing may blame another."""
    tills, api = f"tills-{secrets.token_hex(3)}", f"till-{secrets.token_hex(3)}"
    rows = []
    for number in range(25):
        usual = Sender(service)
        usual.start_ms -= 15_000 - 400 * number
        outgoing = secrets.token_hex(8)
        edge = usual.span(EDGE, 4, 40, outgoing, attributes=proxied(EDGE, 200))
        usual.span(tills, 6, 35, edge.span_id.hex(), attributes={"http.status_code": 200})
        usual.send()
        row: dict[str, Any] = {"TimeGenerated": usual.moment(), "Category": "GatewayLogs"}
        row |= {"CorrelationId": str(uuid.uuid4()), "TotalTime": 48, "BackendTime": 43}
        row |= {"ResponseCode": 200, "BackendResponseCode": 200, "ApiId": api, "Method": "POST"}
        row |= {"ClientTime": 1, "Url": "https://gw.example/till"}
        row |= {"BackendUrl": "https://mesh.example/till"}
        traceparent = f"00-{usual.trace_id}-{outgoing}-01"
        rows.append({**row, "BackendRequestHeaders": {"traceparent": traceparent}})
    usual.push("azure-apim", *rows)
    usual.until(
        f"/api/v1/requests?start=-1h&api={api}&joined=true&limit=50",
        lambda found: len(found["requests"]) == 25,
    )
    late = Sender(service)
    late.start_ms += 4_000
    edge = late.span(EDGE, 4, 500, secrets.token_hex(8), attributes=proxied(EDGE, 0, "DC"))
    late.span(tills, 6, 1_400, edge.span_id.hex(), attributes={"http.status_code": 200})
    late.send()
    timeline = late.until(
        f"/api/v1/requests/{late.trace_id}",
        lambda found: len(found["spans"]) == 2 and found["verdict"]["provisional"],
    )
    verdict = timeline["verdict"]
    assert verdict["layer"] != "client" or verdict["confidence"] <= 0.7
    assert verdict["settled_by"]
    row = late.row(service=tills, state="provisional")
    assert row["verdict_provisional"] is True
    assert any("provisional" in text for text in late.told())


def test_one_lying_clock_holds_nobody_up(service: Service) -> None:
    """A pod two hours behind is one in twenty: the others are done, and it is named."""
    stock = f"stock-{secrets.token_hex(3)}"
    for number in range(60):
        sender = Sender(service)
        sender.start_ms -= 8_000 - 100 * number
        behind = -7_200_000 if number % 20 == 0 else 0
        root = sender.span("kiosk", 0, 90, attributes={"http.status_code": 200}, host="node-k")
        host = "node-behind" if behind else "node-s"
        sender.span(stock, 8 + behind, 70, root.span_id.hex(), host=host)
        sender.send()
    timeline = sender.until(
        f"/api/v1/requests/{sender.trace_id}",
        lambda found: len(found["spans"]) == 2 and found["state"] in ("complete", "final"),
    )
    assert timeline["watermarks"]["spans"] > sender.moment(-600_000)
    sources = sender.until("/api/v1/sources", lambda found: bool(found["sources"]))["sources"]
    notes = [each["note"] for each in sources if each["source"] == stock]
    assert "clock" in notes[0]


def test_a_trace_id_cut_in_half_is_one_tree(sender: Sender) -> None:
    """By the long id or its last half: the stock's span under the call, and the cut is told."""
    half = sender.trace_id[16:]
    root = sender.span("kiosk", 0, 100, attributes={"http.status_code": 500}, error="")
    call = sender.span("kiosk", 5, 90, root.span_id.hex(), "client", error="")
    cut = "0" * 16 + half
    sender.span("stock", 8, 84, call.span_id.hex(), error="no connection", trace_id=cut)
    sender.send()
    for asked in (sender.trace_id, half):
        timeline = sender.timeline(asked, spans=3)
        assert (
            find(timeline, "stock")["parent_span_id"]
            == find(timeline, "kiosk", "client")["span_id"]
        )
        assert timeline["verdict"]["component"] == "stock"
        assert "ID_TRUNCATED_64" in {finding["rule"] for finding in timeline["findings"]}


def test_a_server_that_outlasts_its_call_is_put_into_it(sender: Sender) -> None:
    """Its clock is 400 ms behind, and the call ends at the headers, 3 ms before the server does."""
    here, there = (f"node-{secrets.token_hex(3)}" for _ in range(2))
    root = sender.span("kiosk", 0, 230, host=here)
    call = sender.span("kiosk", 10, 200, root.span_id.hex(), "client", host=here)
    server = sender.span("price", 15 - 400, 203, call.span_id.hex(), host=there)
    told = {"db.system": "postgresql"}
    sender.span("price", 20 - 400, 180, server.span_id.hex(), "client", attributes=told, host=there)
    sender.send()
    timeline = sender.timeline(spans=4)
    assert 8 <= find(timeline, "price", "server")["start_offset_ms"] <= 22
    assert 10 <= find(timeline, "price", "client")["start_offset_ms"] <= 32
    assert bounds(timeline, "dependency")[0] > 150


def test_reports_of_one_zipkin_span_are_one_span(sender: Sender) -> None:
    """The second has no time of its own: only the name, the route and that it failed."""
    span = {"id": secrets.token_hex(8), "localEndpoint": {"serviceName": "kiosk"}}
    timed = {"kind": "SERVER", "timestamp": sender.start_ms * 1_000, "duration": 9_000}
    tags = {"http.route": "/basket/{id}", "error": "sold out"}
    sender.report({**span, **timed, "name": "put"}, {**span, "name": "put basket", "tags": tags})
    timeline = sender.until(
        f"/api/v1/requests/{sender.trace_id}",
        lambda found: found["spans"] and found["spans"][0]["status"] == "error",
    )
    (only,) = timeline["spans"]
    assert (only["name"], only["duration_ms"]) == ("put basket", 9.0)
    assert only["attributes"]["http.route"] == "/basket/{id}"


def test_a_proxys_log_line_and_span_are_one_hop(sender: Sender) -> None:
    """The ingress tells of a request twice, and that is one hop whose times agree."""
    id_ = str(uuid.uuid4())
    told = {"guid:x-request-id": id_}
    edge = sender.span(EDGE, 0, 204, secrets.token_hex(8), attributes=proxied(EDGE, 503, **told))
    sender.span("tills", 3, 199, edge.span_id.hex(), error="", attributes={"http.status_code": 503})
    sender.send()
    sender.push(
        "envoy",
        {
            "start_time": sender.moment(),
            "method": "POST",
            "path": "/till",
            "protocol": "HTTP/2",
            "response_code": 503,
            "response_flags": "-",
            "response_code_details": "via_upstream",
            "duration": 205,
            "upstream_service_time": "203",
            "request_id": id_,
            "upstream_host": "10.4.0.7:80",
            "upstream_cluster": "outbound|80||tills.market.svc.cluster.local",
            "traceparent": f"00-{sender.trace_id}-{edge.span_id.hex()}-01",
        },
    )
    timeline = sender.timeline(id_, spans=2)
    outer = [hop for hop in timeline["hops"] if hop["role"] in ("gateway", "edge")]
    assert len(outer) == 1
    rules = {finding["rule"] for finding in timeline["findings"]}
    assert "TIMES_CONTRADICT" not in rules
    assert all(span["start_offset_ms"] >= -0.5 for span in timeline["spans"])


def test_an_nginx_request_id_is_no_fault(sender: Sender) -> None:
    """Its ids are 32 hex digits by design, and no finding says that they should be UUIDs."""
    id_ = secrets.token_hex(16)
    row = {"msec": f"{sender.start_ms / 1000:.3f}", "request_time": "0.120", "status": 200}
    sender.push("ingress-nginx", {**row, "request_id": id_, "path": "/till"})
    rules = {finding["rule"] for finding in sender.timeline(id_)["findings"]}
    assert "NON_UUID_REQUEST_ID" not in rules
