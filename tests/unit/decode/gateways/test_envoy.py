"""Formats of Envoy's access log that people really have: whose names and operators they choose."""

import json
from typing import Any

import pytest

from collector.decode.gateways import get_adapter
from collector.model import GatewayRecord

ADAPTER = get_adapter("envoy")
ID = "7b1e0c52-93aa-4d10-8f57-2c6d9e01f3a4"
TRACE, SPAN = "5c" * 16, "a7" * 8
DEFAULT = (
    '[2026-03-04T05:06:07.089Z] "GET /lanes/9?x=1 HTTP/1.1" 200 - 0 120 7 6 "203.0.113.4" '
    f'"rover/2.1" "{ID}" "lanes.example" "10.8.0.4:8080"'
)
ISTIO_TAIL = (
    f'0 120 7 6 "203.0.113.4" "rover/2.1" "{ID}" "lanes.example" "10.8.0.4:8080" '
    "outbound|80||lanes.port.svc.cluster.local 10.8.0.3:1 10.8.0.3:80 10.8.0.9:2 - default"
)
HEAD = '[2026-03-04T05:06:07.089Z] "GET /lanes/9 HTTP/1.1" 200 -'


def _one(body: Any) -> GatewayRecord:
    text = body if isinstance(body, str) else json.dumps(body)
    decoded = ADAPTER.decode(text.encode())
    assert not decoded.rejected, decoded.rejected
    (record,) = decoded.records
    return record


@pytest.mark.parametrize(
    "line",
    [
        DEFAULT,
        f"ACCESS {DEFAULT}",
        f'{HEAD} via_upstream - "-" {ISTIO_TAIL}',
        f'{HEAD} "-" {ISTIO_TAIL}',
        f'{HEAD} "-" "-" {ISTIO_TAIL}',
        f"{HEAD} {ISTIO_TAIL.removesuffix(' default')}",
        f'{HEAD} via_upstream - "-" {ISTIO_TAIL} 17 "my own" key=value',
        f'{DEFAULT} "team-a" 0.7',
        f'2026-03-04T05:06:07.1Z stdout F {HEAD} via_upstream - "-" {ISTIO_TAIL}',
    ],
    ids=["envoy", "emissary", "istio", "istio-1.6", "istio-1.4", "no-route", "more", "own", "cri"],
)
def test_text_formats_of_all_ages_are_read(line: str) -> None:
    """The default of Envoy, Emissary's prefix, Istio's of several versions, and what users add."""
    record = _one(line)
    assert (record.method, record.path, record.status) == ("GET", "/lanes/9", 200)
    assert (record.record_id, record.host) == (ID, "lanes.example")
    assert (record.duration_ns, record.backend_ns) == (7_000_000, 6_000_000)
    assert record.attributes["user_agent.original"] == "rover/2.1"
    assert record.backend_host == "10.8.0.4:8080"


@pytest.mark.parametrize(
    "more", [TRACE, f'"{TRACE}"', f"00-{TRACE}-{SPAN}-01", f'"x" "00-{TRACE}-{SPAN}-01" 7']
)
def test_a_trace_that_is_appended_is_found(more: str) -> None:
    """%TRACE_ID% and %REQ(TRACEPARENT)% may stand anywhere behind the default format."""
    record = _one(f"{DEFAULT} {more}")
    assert (record.trace_id, record.record_id) == (TRACE, ID)
    assert record.outgoing_span_id in ("", SPAN)


def test_quotes_in_a_user_agent_move_nothing() -> None:
    """A client that writes quotes into its name cannot pass for another id or host."""
    line = DEFAULT.replace("rover/2.1", 'a" "not-an-id" "evil.example" "1.1.1.1:1')
    record = _one(line)
    assert (record.record_id, record.host) == (ID, "lanes.example")
    assert _one(f"{line} appended").host == "lanes.example"


FACTS = {
    "start": "2026-03-04T05:06:07.089Z",
    "method": "GET",
    "path": "/lanes/9",
    "status": 200,
    "total": 12,
    "upstream": "10",
    "host": "lanes.example",
    "address": "10.8.0.4:8080",
    "cluster": "kube_port_lanes_80",
    "id": ID,
}
NAMES = {
    "kgateway": {
        "start": "start_time",
        "status": "response_code",
        "total": "total_duration",
        "upstream": "resp_upstream_service_time",
        "host": "authority",
        "address": "upstreamHost",
        "cluster": "upstreamCluster",
        "id": "request_id",
    },
    "gloo": {
        "start": "systemTime",
        "method": "httpMethod",
        "path": "originalPath",
        "status": "responseCode",
        "total": "totalDuration",
        "upstream": "upstreamServiceTime",
        "host": "authority",
        "address": "upstreamHost",
        "cluster": "upstreamCluster",
        "id": "requestId",
    },
    "envoy-gateway": {
        "start": "start_time",
        "path": "x-envoy-origin-path",
        "status": "response_code",
        "total": "duration",
        "upstream": "x-envoy-upstream-service-time",
        "host": ":authority",
        "address": "upstream_host",
        "cluster": "upstream_cluster",
        "id": "x-request-id",
    },
    "contour": {
        "start": "@timestamp",
        "status": "response_code",
        "total": "duration",
        "upstream": "upstream_service_time",
        "host": "authority",
        "address": "upstream_host",
        "cluster": "upstream_cluster",
        "id": "request_id",
    },
    "somebody's": {
        "start": "request_start_time",
        "method": "request_method",
        "path": "request_path",
        "total": "duration_ms",
        "upstream": "resp_x_envoy_upstream_service_time",
        "address": "upstream_remote_address",
        "cluster": "upstream_cluster_raw",
        "id": "req_id",
    },
}


@pytest.mark.parametrize("flavour", NAMES)
def test_json_formats_differ_in_their_names_only(flavour: str) -> None:
    """kgateway, Gloo, Envoy Gateway, Contour and hand-made formats say the same."""
    record = _one({NAMES[flavour].get(fact, fact): value for fact, value in FACTS.items()})
    assert (record.method, record.path, record.status) == ("GET", "/lanes/9", 200)
    assert (record.duration_ns, record.backend_ns) == (12_000_000, 10_000_000)
    assert (record.host, record.backend_host) == ("lanes.example", "10.8.0.4:8080")
    assert (record.record_id, record.backend_id) == (ID, "kube_port_lanes_80")


def test_a_format_without_duration_leaves_it_unknown() -> None:
    """What a format leaves out is null, and no reason to lose the record."""
    record = _one({"start_time": FACTS["start"], "response_code": 200, "upstream_host": "h:1"})
    assert record.duration_ns is None


@pytest.mark.parametrize(
    "entry",
    [
        {
            "start_time": "2026-03-04T05:06:07.089Z",
            "method": None,
            "path": None,
            "protocol": None,
            "response_code": 0,
            "response_flags": "-",
            "duration": 5303,
            "upstream_host": "10.0.0.5:8443",
        },
        {
            "start_time": "2026-03-04T05:06:07.089Z",
            "method": "-",
            "path": "-",
            "response_code": "0",
            "response_flags": "UF,URX",
            "upstream_cluster": "plain",
        },
        {
            "start_time": "2026-03-04T05:06:07.089Z",
            "response_code": 0,
            "response_flags": "-",
            "bytes_received": 640,
            "bytes_sent": 72,
            "duration": 88,
            "upstream_host": "10.0.0.6:5432",
            "upstream_cluster": "ledger_db",
        },
        '[2026-03-04T05:06:07.089Z] "- - -" 0 - - - "-" 17341 8453 5303 - "-" "-" "-" "-" '
        '"10.0.0.5:8443" outbound|8443||db.port.svc.cluster.local 10.0.0.3:1 10.0.0.3:8443 '
        "10.0.0.9:2 - -",
        '[2026-03-04T05:06:07.089Z] "- - -" 0 NR 0 0 0 - "-" "-" "-" "-" "-"',
    ],
    ids=["json", "json-dashes", "json-without-empty-values", "istio-text", "envoy-text"],
)
def test_a_tcp_connection_is_no_request(entry: Any) -> None:
    """A TCP proxy's line has no method, no path and no status: it is passed over, and counted."""
    text = entry if isinstance(entry, str) else json.dumps(entry)
    decoded = ADAPTER.decode(text.encode())
    assert not decoded.records and not decoded.rejected
    assert [each.code for each in decoded.ignored] == ["session"]


def test_a_request_of_a_short_format_stays_a_request() -> None:
    """Neither method nor path is in the format, and the client left before an answer."""
    entry = {"start_time": FACTS["start"], "response_code": 0, "response_flags": "DC"}
    record = _one({**entry, "duration": 900, "request_id": ID})
    assert (record.record_id, record.status) == (ID, None)


def test_a_request_that_broke_the_protocol_stays_a_request() -> None:
    """Without method and path, but answered: Envoy refused it, and that is worth knowing."""
    record = _one('[2026-03-04T05:06:07.089Z] "- - HTTP/1.1" 400 DPE 0 11 0 - "-" "-" "-" "-" "-"')
    assert (record.status, record.error_reason) == (400, "DownstreamProtocolError")


@pytest.mark.parametrize(
    "time",
    [
        {"start_time": "2026-03-04T05:06:07.089Z", "request_time": "48"},
        {"request_time": "2026-03-04T05:06:07.089Z", "duration": 48},
    ],
)
def test_names_of_nginx_have_the_units_of_envoy(time: dict[str, Any]) -> None:
    """Who moves from nginx keeps its names: the numbers are Envoy's milliseconds all the same."""
    entry = {
        **time,
        "request_method": "PUT",
        "request_uri": "/berths/4?wide=1",
        "request_authority": "quay.example",
        "status": 201,
        "response_flags": "-",
        "upstream_response_time": "41",
        "http_x_forwarded_for": "198.51.100.23",
        "request_id": ID,
    }
    record = _one(entry)
    assert (record.duration_ns, record.backend_ns) == (48_000_000, 41_000_000)
    assert record.start_ns == 1_772_600_767_089_000_000
    assert (record.method, record.host, record.path) == ("PUT", "quay.example", "/berths/4")
    assert record.client_address == "198.51.100.23"


def test_ids_of_gateways_before_it_are_kept() -> None:
    """A format that logs another gateway's header joins the two."""
    line = {"start_time": FACTS["start"], "response_code": 200, "response_flags": "-"}
    record = _one({**line, "request_id": ID, "x-azure-ref": "0kLm/ZAAAA", "x-appgw-trace-id": None})
    assert [(each.kind, each.value) for each in record.ids] == [
        ("x_request_id", ID),
        ("tracking_id", "0kLm/ZAAAA"),
    ]


def test_a_port_that_goes_without_saying_is_not_kept() -> None:
    """Clients of gRPC and Front Door write it, people who search do not."""
    line = {"start_time": FACTS["start"], "response_code": 200, "response_flags": "-"}
    hosts = ("quay.example:443", "quay.example:80", "quay.example:8443", "[2001:db8::80]")
    found = [_one({**line, "authority": host}).host for host in hosts]
    assert found == ["quay.example", "quay.example", "quay.example:8443", "[2001:db8::80]"]
