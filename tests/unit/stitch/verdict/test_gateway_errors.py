"""What a gateway's own record decides, and what it leaves open."""

import json
from typing import Any

import pytest

from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import LONG_AFTER, TraceBuilder, record, stitch


def told(**fields: Any) -> Timeline:
    return stitch([record(total=100, **fields)], [], now_ns=LONG_AFTER)


def judged(**fields: Any) -> str:
    verdict = told(**fields).verdict
    return f"{verdict.layer} {verdict.component} {verdict.class_}"


def test_a_websocket_that_its_backend_closed_is_the_backends() -> None:
    """The handshake's 101 says nothing of how the connection ended."""
    timeline = told(
        status=101,
        kind="websocket",
        backend_host="chat.example",
        error_source="backend",
        error_message="closed without a close frame",
        is_error=True,
    )
    verdict = timeline.verdict
    assert (verdict.layer, verdict.component, verdict.class_) == ("app", "chat.example", "reset")
    assert verdict.reason == "closed without a close frame"
    assert timeline.is_error


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"status": 502, "error_reason": "ERRORINFO_UPSTREAM_NO_LIVE", "backend_id": "pool"},
            "network pool unhealthy",
        ),
        (
            {"status": 502, "error_reason": "ERRORINFO_UPSTREAM_CLOSED_CONNECTION"},
            "network backend reset",
        ),
        (
            {"status": 504, "error_reason": "ERRORINFO_UPSTREAM_TIMED_OUT"},
            "gateway shop-apim timeout",
        ),
        (
            {"status": 408, "error_reason": "ERRORINFO_CLIENT_TIMED_OUT", "error_source": "client"},
            "client client timeout",
        ),
        (
            {"status": 400, "error_reason": "InvalidHost", "error_source": "client"},
            "client client protocol",
        ),
        (
            {"status": 403, "error_reason": "WAF rule 942100", "attempts": 0},
            "gateway shop-apim authorization",
        ),
        ({"status": 403, "error_reason": "WAF_BLOCK"}, "gateway shop-apim authorization"),
        ({"status": 503, "error_reason": "NoHealthyUpstream"}, "network backend unhealthy"),
        (
            {
                "status": 403,
                "error_reason": "UnauthorizedExternalService",
                "attributes": {
                    "envoy.response_flags": "UAEX",
                    "envoy.response_code_details": "ext_authz_error",
                },
            },
            "dependency external authorization service unavailable",
        ),
        (
            {
                "status": 403,
                "error_reason": "UnauthorizedExternalService",
                "attributes": {"envoy.response_code_details": "ext_authz_denied"},
            },
            "gateway shop-apim authorization",
        ),
    ],
)
def test_a_gateways_reason_decides_who_and_what(fields: dict[str, Any], expected: str) -> None:
    """Each product's words for the same things; the reason is told as it was written."""
    assert judged(**fields) == expected
    assert fields["error_reason"] in told(**fields).verdict.reason


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("UPE", "network backend protocol"),
        ("LH", "network backend unhealthy"),
        ("UO", "network backend overload"),
        ("OM", "gateway shop-apim overload"),
        ("LR", "gateway shop-apim reset"),
        ("NC", "gateway shop-apim routing"),
        ("RLSE", "dependency rate limit service unavailable"),
    ],
)
def test_a_flag_in_a_record_says_the_same_as_in_a_span(flag: str, expected: str) -> None:
    """Which end of the proxy failed, and how, is the flag's to say."""
    assert judged(status=503, attributes={"envoy.response_flags": flag}) == expected


def test_a_refusal_is_surely_the_gateways_only_if_it_called_nobody() -> None:
    """A format without backend columns does not say who answered 404."""
    surely = told(status=404, attempts=0).verdict
    assert (surely.layer, surely.class_, surely.confidence) == ("gateway", "routing", 0.95)
    perhaps = told(status=404).verdict
    assert (perhaps.layer, perhaps.class_, perhaps.confidence) == ("gateway", "routing", 0.6)
    assert "does not show whether a backend was called" in perhaps.reason


def test_a_gateway_that_shows_that_it_called_nobody_is_told_so() -> None:
    """A limit of nginx answers 503 with an empty upstream: there is no doubt about a backend."""
    assert told(status=503, attempts=0).verdict.reason == "status 503; it called no backend"


def test_errors_that_were_dealt_with_are_acts_and_not_the_verdict() -> None:
    """Two tries timed out, the third was answered: nobody failed, and what happened is told."""
    error = {"reason": "Timeout", "source": "forward-request", "section": "backend"}
    handled = {"gateway.handled_errors": json.dumps([error, error])}
    timeline = told(status=200, backend=80, backend_status=200, attributes=handled)
    assert (timeline.verdict.layer, timeline.verdict.outcome) == ("none", "masked")
    assert not timeline.is_error
    [act] = timeline.acts
    assert (act.feature, act.layer) == ("timeout", "gateway")
    assert act.detail == "dealt with forward-request: Timeout (in backend) (2 times)"


def test_an_error_before_the_last_one_is_an_act_beside_the_verdict() -> None:
    """The verdict is the last error's; the one before it was dealt with."""
    handled = {"gateway.handled_errors": json.dumps([{"reason": "QuotaExceeded"}])}
    timeline = told(status=504, error_reason="Timeout", attributes=handled)
    assert timeline.verdict.reason.startswith("Timeout")
    assert [act.feature for act in timeline.acts] == ["rate_limit", "timeout"]


def test_a_firewalls_rules_are_acts_of_the_request() -> None:
    """Also those that only matched."""
    rules = {"waf.rule.942100": "Matched: SQL injection", "waf.rule.949110": "Blocked: score 5"}
    timeline = told(status=403, error_reason="WAF rule 949110", attempts=0, attributes=rules)
    details = {act.detail for act in timeline.acts}
    assert {f"WAF rule {name[9:]}: {text}" for name, text in rules.items()} <= details


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"gateway": "kong", "instance": "b7a3c1d2-4e5f-4a6b-8c7d-9e0f1a2b3c4d"}, "kong"),
        ({"gateway": "kong", "instance": "9f3c1e5a7b2d4f60"}, "kong"),
        ({"gateway": "kong", "instance": "10.4.1.7"}, "kong"),
        ({"gateway": "kong", "instance": "kong-west"}, "kong-west"),
        ({"gateway": "kong", "instance": "kong-0"}, "kong"),
        ({"gateway": "kong", "instance": ""}, "kong"),
        ({"gateway": "envoy", "instance": "edge-6d9f7c5b84-abcde"}, "edge"),
        ({"gateway": "envoy", "instance": "router~10.1.1.1~edge-1.ns~x"}, "envoy"),
        ({"gateway": "azure-apim", "instance": "apim-books"}, "apim-books"),
        ({"gateway": "kong", "instance": "x", "attributes": {"service.name": "front"}}, "front"),
    ],
)
def test_a_gateway_is_named_by_its_deployment(fields: dict[str, Any], name: str) -> None:
    """An id of an instance, a pod or an address is no component."""
    assert told(status=500, **fields).hops[0].service == name


def test_a_consumer_that_failed_afterwards_is_told() -> None:
    """The request was answered; the message it sent was not worked on."""
    trace = TraceBuilder()
    orders = trace.span("orders", 0, 30, kind="Server")
    publish = trace.span("orders", 10, 4, orders, "Producer")
    trace.span("payments", 40, 400, publish, "Consumer", status="Error", status_message="declined")
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    verdict = timeline.verdict
    assert (verdict.layer, verdict.component, verdict.outcome) == ("none", "payments", "ok")
    assert verdict.reason == (
        "answered, but payments failed afterwards (span status Error: declined)"
    )
    assert not timeline.is_error


@pytest.mark.parametrize(
    "end", [{"attributes": {"rpc.grpc.status_code": "4"}}, {"status": "Unset"}]
)
def test_a_stream_that_ends_by_its_deadline_is_no_failure(end: dict[str, Any]) -> None:
    """So do all of them; a message that failed beside it is another matter."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 80, kind="Server")
    trace.span("shop", 20, 20_000, shop, "Client", **end)
    assert stitch([], trace.spans, now_ns=LONG_AFTER).verdict.reason == ""


def test_a_call_that_was_put_off_and_failed_is_told() -> None:
    """Nobody waited for it, and nobody else would hear of it."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 80, kind="Server")
    call = trace.span("shop", 70, 300, shop, "Client", status="Error", status_message="refused")
    assert call
    verdict = stitch([], trace.spans, now_ns=LONG_AFTER).verdict
    assert verdict.reason.startswith("answered, but ")


@pytest.mark.parametrize(
    "where",
    [
        {"http.url": "http://shop.example-shadow/basket"},
        {"url.full": "http://shop.example-shadow:8080/basket"},
        {"server.address": "shop.example-shadow", "url.path": "/basket"},
        {"http.host": "shop.example-shadow:8080", "http.target": "/basket"},
    ],
    ids=lambda where: next(iter(where)),
)
def test_a_copys_failure_is_the_copys(where: dict[str, str]) -> None:
    """A mirrored request that fails takes nothing from the answer and is not told of it."""
    trace = TraceBuilder()
    edge = trace.edge(0, 60)
    trace.sidecar_in("basket-next", 5, 700, edge, code=500, attributes=where)
    assert stitch([], trace.spans, now_ns=LONG_AFTER).verdict.reason == ""


def test_a_404_that_was_dealt_with_is_not_masked() -> None:
    """Client spans call it an error; the caller had its answer."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 80, kind="Server", attributes={"http.status_code": "200"})
    trace.span(
        "shop", 10, 20, shop, "Client", status="Error", attributes={"http.status_code": "404"}
    )
    assert stitch([], trace.spans, now_ns=LONG_AFTER).verdict.outcome == "ok"


@pytest.mark.parametrize("flag", ["UR", "UC", "UPE"])
def test_an_answer_that_broke_off_is_no_good_one(flag: str) -> None:
    """The status had been sent on: the caller has a part of the body."""
    said = {"envoy.response_flags": flag}
    known = {
        "gateway": "envoy",
        "backend_host": "10.9.1.2:80",
        "error_source": "backend",
        "error_reason": "UpstreamRemoteReset",
    }
    timeline = told(**known, attributes=said)
    assert (timeline.verdict.layer, timeline.verdict.component) == ("network", "10.9.1.2:80")
    assert (timeline.verdict.outcome, timeline.is_error) == ("failed", False)
    ended = told(**known, attributes={**said, "rpc.grpc.status_code": "0"})
    assert ended.verdict.layer == "none"


def test_a_proxy_names_the_upstream_that_broke_off() -> None:
    """The caller's sidecar passed the status on, and then no more."""
    trace = TraceBuilder()
    web = trace.span("web", 0, 99, None, "Server")
    said = {"http.status_code": "200", "response_flags": "UR"}
    trace.sidecar_out("web", "orders", 2, 90, web, attributes=said)
    web.attributes = {"http.status_code": "502"}
    verdict = stitch([], trace.spans, now_ns=LONG_AFTER).verdict
    assert (verdict.layer, verdict.class_, verdict.outcome) == ("mesh", "reset", "failed")
    assert "orders" in verdict.component


def test_a_gateway_timeout_is_a_timeout_whoever_answers_it() -> None:
    """nginx logs 504 as its upstream's when no answer came in time."""
    logged = told(status=504, backend_status=504, backend_host="10.9.1.2:80", backend=99)
    assert logged.verdict.class_ == "timeout"
    assert "waited" in logged.verdict.reason


def test_a_delay_that_was_injected_at_the_gateway_is_an_act() -> None:
    """Nothing failed, and the time is explained."""
    timeline = told(gateway="envoy", attributes={"envoy.response_flags": "DI"})
    assert timeline.verdict.layer == "none"
    assert [act.feature for act in timeline.acts] == ["fault_injection"]


@pytest.mark.parametrize(("backend", "said"), [({}, "whether"), ({"backend": 70}, "what")])
def test_what_a_record_does_not_show_of_its_backend_is_said(
    backend: dict[str, int], said: str
) -> None:
    """A format with the integration's time and without its status shows that it was called."""
    reason = told(gateway="aws-api-gateway", status=500, is_error=True, **backend).verdict.reason
    assert f"does not show {said}" in reason
