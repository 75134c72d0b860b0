"""Gateway records made of spans: which spans are a gateway's, and what is read from them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from collector.decode.records.from_spans import (
    ServiceRule,
    parse_service_rules,
    reconcile,
    views_from_spans,
)
from collector.errors import ConfigError
from collector.model import GatewayRecord, Id, Span

TRACE, CALLER = "7e" * 16, "c1" * 8
T = 1_767_225_600_000_000_000
MS = 10**6


def _span(number: int, parent: str, start_ms: int, end_ms: int, **fields: Any) -> Span:
    values = {"name": "x", "service": "edge", "kind": "Server"} | fields
    return Span(
        trace_id=TRACE,
        span_id=f"{number:016x}",
        parent_span_id=parent,
        start_ns=T + start_ms * MS,
        end_ns=T + end_ms * MS,
        **values,
    )


def records_from_spans(
    spans: Sequence[Span], rules: Sequence[ServiceRule] = ()
) -> list[GatewayRecord]:
    return [view.record for view in views_from_spans(spans, rules)]


def record_from_span(span: Span) -> GatewayRecord | None:
    return next(iter(records_from_spans([span])), None)


def _kong() -> list[Span]:
    scope = {"scope": "kong-internal", "service": "kong"}
    root = _span(
        1,
        CALLER,
        0,
        100,
        name="kong",
        attributes={
            "http.method": "GET",
            "http.url": "https://api.tulip.example/shop/carts?lang=de",
            "http.status_code": "502",
            "http.route": "/shop",
            "kong.request.id": "3b9d27a1c4e84f0f9a6d5e2b7c810f42",
        },
        **scope,
    )
    plugin = _span(2, root.span_id, 1, 3, name="kong.access.plugin.jwt", kind="Internal", **scope)
    lookup = _span(3, root.span_id, 3, 4, name="kong.dns", kind="Client", **scope)
    tries = [
        _span(
            4 + n,
            root.span_id,
            start,
            end,
            name="kong.balancer",
            kind="Client",
            attributes={"net.peer.name": f"10.0.0.{n}", "http.status_code": "504"},
            **scope,
        )
        for n, (start, end) in enumerate([(5, 45), (46, 96)])
    ]
    return [tries[1], root, plugin, lookup, tries[0]]


def _spring() -> list[Span]:
    server = _span(
        1, CALLER, 0, 41, name="http get",
        attributes={"method": "GET", "status": "200", "uri": "UNKNOWN", "http.url": "/orders/42"},
    )  # fmt: skip
    client = _span(
        2, server.span_id, 1, 39, name="HTTP GET", kind="Client",
        attributes={
            "spring.cloud.gateway.route.id": "orders",
            "http.method": "GET",
            "http.status_code": "200",
            "http.uri": "http://orders:8080/v1/orders/42",
        },
    )  # fmt: skip
    return [server, client]


def test_a_kong_trace_gives_the_record_its_log_would_give() -> None:
    """The id is Kong's request id, the backend is the balancer's tries, and not the name lookup."""
    (record,) = records_from_spans(_kong())
    assert (record.gateway, record.record_id) == ("kong", "3b9d27a1c4e84f0f9a6d5e2b7c810f42")
    assert (record.trace_id, record.parent_span_id) == (TRACE, CALLER)
    assert record.outgoing_span_id == f"{5:016x}"
    assert (record.duration_ns, record.backend_ns, record.attempts) == (100 * MS, 90 * MS, 2)
    assert (record.path, record.route, record.host) == ("/shop/carts", "/shop", "api.tulip.example")
    assert record.attributes["url.query"] == "lang=de"
    assert (record.status, record.backend_status, record.is_error) == (502, 504, True)
    assert record.error_source == "backend"
    assert Id("kong_request_id", record.record_id) in record.ids
    assert "RETRY_INCLUDED" in record.quality


def test_a_spring_cloud_gateway_trace_is_recognised_by_its_route() -> None:
    """The server span alone could be any Spring service; the route id of its call tells."""
    server, client = _spring()
    (record,) = records_from_spans([server, client])
    assert record.gateway == "spring-cloud-gateway"
    assert record.record_id == server.span_id
    assert record.outgoing_span_id == client.span_id
    assert (record.route, record.operation, record.path) == ("orders", "orders", "/orders/42")
    assert (record.backend_host, record.backend_path) == ("orders:8080", "/v1/orders/42")
    assert (record.duration_ns, record.backend_ns) == (41 * MS, 38 * MS)
    assert record.api == "orders"
    assert records_from_spans([server]) == []
    assert record_from_span(server) is None


def test_a_client_of_spring_that_left_is_no_error() -> None:
    """Status and outcome are UNKNOWN when the connection was aborted, and the backend works on."""
    server, client = _spring()
    said = {"status": "UNKNOWN", "outcome": "UNKNOWN", "exception": "none"}
    server.attributes = {**server.attributes, **said}
    client.attributes = {**client.attributes, "http.status_code": "UNKNOWN"}
    (record,) = records_from_spans([server, client])
    assert (record.status, record.is_error, record.error_source) == (None, False, "client")
    server.status = "Error"
    (record,) = records_from_spans([server, client])
    assert (record.is_error, record.error_source) == (True, "gateway")


@pytest.mark.parametrize(
    ("uri", "host"), [("http://orders:8080", "orders:8080"), ("lb://orders", "orders")]
)
def test_spring_s_backend_is_the_route_s(uri: str, host: str) -> None:
    """The call's own address is that of the gateway; the route says where it was sent on to."""
    server, client = _spring()
    client.attributes = {
        **client.attributes,
        "http.uri": "http://edge.example/orders/42",
        "spring.cloud.gateway.route.uri": uri,
    }
    (record,) = records_from_spans([server, client])
    assert record.backend_host == host


@pytest.mark.parametrize(
    ("fields", "gateway"),
    [
        (
            {
                "attributes": {
                    "component": "proxy",
                    "upstream_cluster.name": "httproute/shop/orders/rule/0",
                    "guid:x-request-id": "84961386-0000-4000-8000-c5aee93b5c88",
                }
            },
            "envoy",
        ),
        ({"scope": "nginx", "attributes": {"http.target": "/a?b=c"}}, "ingress-nginx"),
        ({"service": "nginx"}, "ingress-nginx"),
    ],
)
def test_gateways_are_recognised_by_one_span(fields: dict[str, Any], gateway: str) -> None:
    """Envoy Gateway by its route's cluster, nginx by its module; the span's own id went out."""
    record = record_from_span(_span(1, CALLER, 0, 5, **fields))
    assert record is not None
    assert record.gateway == gateway
    assert record.outgoing_span_id == f"{1:016x}"


def test_an_envoy_span_has_the_identity_of_its_access_log_line() -> None:
    """Both carry x-request-id, so that log line and span are one request."""
    request_id = "84961386-0000-4000-8000-c5aee93b5c88"
    attributes = {
        "component": "proxy",
        "upstream_cluster": "httproute/shop/orders/rule/0",
        "guid:x-request-id": request_id,
        "http.status_code": "0",
    }
    record = record_from_span(_span(1, "", 0, 5, attributes=attributes))
    assert record is not None
    assert record.record_id == request_id
    assert record.status is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kind": "Internal", "scope": "nginx"},
        {"attributes": {"component": "proxy", "upstream_cluster": "outbound|80||a.b.svc"}},
        {"attributes": {"component": "proxy", "upstream_cluster": "inbound|80||"}},
        {"kind": "Client", "attributes": {"spring.cloud.gateway.route.id": "a"}},
    ],
)
def test_other_spans_are_no_gateway_s(fields: dict[str, Any]) -> None:
    """Applications, sidecars and Istio's own edge are left to the mesh."""
    assert record_from_span(_span(1, "", 0, 5, **fields)) is None


def test_any_service_can_be_named_a_gateway() -> None:
    """The setting names it; only its entry counts, not its calls, not other services."""
    rules = parse_service_rules("edge = traefik, shop-gw=tyk")
    assert rules == (ServiceRule("edge", "traefik"), ServiceRule("shop-gw", "tyk"))
    entry = _span(1, "", 0, 9)
    call = _span(2, entry.span_id, 1, 8, kind="Client")
    app = _span(3, call.span_id, 2, 7, service="app")
    (record,) = records_from_spans([app, call, entry], rules)
    assert (record.gateway, record.record_id) == ("traefik", entry.span_id)
    assert record.outgoing_span_id == call.span_id


def test_two_gateways_in_one_trace_are_two_records() -> None:
    """An outer gateway in front of an inner one: each has its own record, in order of start."""
    outer = _kong()
    inner = _span(20, outer[0].span_id, 50, 90, scope="nginx", service="ingress")
    records = records_from_spans([inner, *outer])
    assert [record.gateway for record in records] == ["kong", "ingress-nginx"]
    assert records[1].parent_span_id == records[0].outgoing_span_id


@pytest.mark.parametrize("text", ["edge", "=kong", "edge=", "a=b,c"])
def test_a_rule_that_is_no_pair_is_a_configuration_error(text: str) -> None:
    """A typo stops the start instead of silently naming no gateway."""
    with pytest.raises(ConfigError, match="HOPLINE_GATEWAY_SPANS"):
        parse_service_rules(text)


def test_no_rule_is_no_rule() -> None:
    """The empty setting means the built-in rules alone."""
    assert parse_service_rules("") == ()


def test_a_cycle_of_parents_ends() -> None:
    """Hostile spans that are each other's parents are walked once."""
    first = _span(1, f"{2:016x}", 0, 9, service="nginx")
    second = _span(2, f"{1:016x}", 0, 9, service="nginx", kind="Internal")
    assert records_from_spans([first, second]) == []
    orphan = _span(1, "", 0, 9, service="nginx")
    itself = _span(3, f"{3:016x}", 0, 9, service="nginx", kind="Internal")
    assert len(records_from_spans([orphan, itself])) == 1


def test_a_view_names_the_spans_it_stands_for() -> None:
    """The gateway's own spans, its plugins and calls included, and nothing of the next service."""
    mesh = _span(30, f"{5:016x}", 50, 90, service="edge")
    (view,) = views_from_spans([*_kong(), mesh])
    assert view.span_ids == {(TRACE, f"{number:016x}") for number in range(1, 6)}


def test_a_call_inside_a_call_is_one_call() -> None:
    """A client library's own span under the call is no second try."""
    server, client = _spring()
    inner = _span(9, client.span_id, 2, 38, kind="Client")
    (record,) = records_from_spans([inner, client, server])
    assert (record.attempts, record.outgoing_span_id) == (1, client.span_id)


def test_beside_its_log_record_only_the_trace_context_of_spans_is_left() -> None:
    """nginx logs its request id, its span has none: trace and time make them one."""
    span = _span(1, CALLER, 0, 148, service="nginx", attributes={"http.status_code": "200"})
    (made,) = records_from_spans([span])
    log = replace(made, record_id="6e1f0a2b", outgoing_span_id="", start_ns=T - 500 * MS, ids=())
    found = reconcile(made, [log])
    assert (found.record_id, found.start_ns) == ("6e1f0a2b", log.start_ns)
    assert (found.outgoing_span_id, found.parent_span_id) == (f"{1:016x}", CALLER)
    assert (found.duration_ns, found.status, found.instance) == (None, None, "")
    assert reconcile(made, []) is made
    for other in (
        replace(log, gateway="kong"),
        replace(log, trace_id="ab" * 16),
        replace(log, status=404),
        replace(log, start_ns=T + 60_000 * MS),
    ):
        assert reconcile(made, [other]) is made


def test_the_same_id_is_enough_without_a_trace_in_the_log() -> None:
    """Kong's log and span carry its request id, also when the log's plugin wrote no trace id."""
    (made,) = records_from_spans(_kong())
    log = replace(made, trace_id="", trace_id_source="", outgoing_span_id="")
    assert reconcile(made, [log]).trace_id == TRACE


def test_of_two_log_records_the_one_that_sent_the_span_is_meant() -> None:
    """Without that, two equally good ones leave the span's record alone."""
    (made,) = records_from_spans([_span(1, "", 0, 9, service="nginx")])
    first = replace(made, record_id="a", outgoing_span_id="")
    second = replace(made, record_id="b", outgoing_span_id="")
    assert reconcile(made, [first, second]) is made
    sent = replace(second, outgoing_span_id=made.outgoing_span_id)
    assert reconcile(made, [first, sent]).record_id == "b"


def test_what_another_hopline_exported_keeps_its_record() -> None:
    """Gateway, id and times of the record come back; the span is not a second request."""
    span = _span(
        1,
        CALLER,
        0,
        60,
        service="gateway-west",
        attributes={
            "hopline.gateway": "azure-apim",
            "hopline.record_id": "5f7c",
            "hopline.api": "lamps",
            "hopline.backend.status": "503",
            "hopline.backend.duration_ms": "41.5",
            "hopline.client.duration_ms": "lots",
            "http.response.status_code": "502",
        },
    )
    rules = [ServiceRule("gateway-west", "traefik")]
    [record] = records_from_spans([span], rules)
    assert (record.gateway, record.record_id) == ("azure-apim", "5f7c")
    assert (record.api, record.status, record.backend_status) == ("lamps", 502, 503)
    assert (record.duration_ns, record.backend_ns) == (60 * MS, 41_500_000)
    assert record.client_ns is None


def test_an_exported_span_without_its_gateway_is_an_ordinary_one() -> None:
    """One of the two marks alone says nothing."""
    assert records_from_spans([_span(1, "", 0, 60, attributes={"hopline.record_id": "5f7c"})]) == []
