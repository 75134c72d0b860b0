"""How far inwards a failure is followed, and where it stops."""

from typing import Any

import pytest

from collector.model import Id, Span, SpanEvent
from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import LONG_AFTER, MS, START, TRACE, TraceBuilder, record, stitch

SENT = "c0ffee0000000001"
FAILED: dict[str, Any] = {"status": "Error", "attributes": {"http.response.status_code": "500"}}


def judged(trace: TraceBuilder, *records: Any) -> tuple[str, str]:
    """Return layer and component of the verdict."""
    verdict = stitch(list(records), trace.spans, now_ns=LONG_AFTER).verdict
    return verdict.layer, verdict.component


def said(code: int) -> dict[str, Any]:
    return {"attributes": {"http.response.status_code": str(code)}}


def threw(at: float, type_: str, message: str) -> list[SpanEvent]:
    told = {"exception.type": type_, "exception.message": message}
    return [SpanEvent(START + int(at * MS), "exception", told)]


@pytest.mark.parametrize("kinds", [["Client"], ["Internal", "Client"], ["Internal"] * 5])
def test_a_call_without_a_status_is_looked_through(kinds: list[str]) -> None:
    """Balancers, steps and clients that say nothing of how they ended do not hide who failed."""
    trace = TraceBuilder()
    step: Span = trace.span("shop", 0, 100, kind="Server", **FAILED)
    for kind in kinds:
        step = trace.span("shop", 5, 90, step, kind)
    trace.span("stock", 10, 80, step, "Server", **FAILED)
    assert judged(trace) == ("app", "stock")


@pytest.mark.parametrize(
    "end", [{"status": "Ok"}, said(200), {"attributes": {"rpc.grpc.status_code": "0"}}]
)
def test_a_call_that_says_it_worked_is_not_looked_through(end: dict[str, Any]) -> None:
    """What failed below a call that was answered well was dealt with there."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 100, kind="Server", **FAILED)
    call = trace.span("shop", 5, 90, shop, "Client", **end)
    trace.span("stock", 10, 80, call, "Server", **FAILED)
    assert judged(trace) == ("app", "shop")


def test_kongs_balancer_does_not_hide_the_service_and_its_node_is_no_component() -> None:
    """Kong's own spans: the entry failed, the balancer says nothing, orders failed behind it."""
    trace = TraceBuilder()
    node_id = {"service.instance.id": "b7a3c1d2-4e5f-4a6b-8c7d-9e0f1a2b3c4d"}
    entry = trace.span(
        "kong",
        0,
        200,
        kind="Server",
        name="kong",
        attributes={"kong.request.id": "5" * 32, "http.status_code": "503"},
        resource=node_id,
        scope="kong-internal",
        status="Error",
    )
    balancer = trace.span(
        "kong",
        20,
        170,
        entry,
        "Client",
        name="kong.balancer",
        resource=node_id,
        scope="kong-internal",
    )
    trace.span("orders", 25, 160, balancer, "Server", **FAILED)
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert (timeline.verdict.layer, timeline.verdict.component) == ("app", "orders")
    assert [hop.service for hop in timeline.hops] == ["kong", "orders"]


def test_of_two_failures_one_after_the_other_the_last_is_fatal() -> None:
    """A cache that failed was dealt with, or the query after it would not have been made."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 100, kind="Server", **FAILED)
    redis = {"attributes": {"db.system": "redis"}, "status": "Error"}
    trace.span("shop", 2, 6, shop, "Client", name="GET", status_message="refused", **redis)
    mysql = {"attributes": {"db.system": "mysql"}, "status": "Error"}
    trace.span("shop", 10, 80, shop, "Client", name="SELECT", status_message="deadlock", **mysql)
    assert judged(trace) == ("dependency", "mysql")


def test_of_two_failures_side_by_side_the_first_counts() -> None:
    """When one of two parallel calls fails the other is cancelled and fails as a consequence."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 60, kind="Server", **FAILED)
    trace.span("prices", 5, 30, shop, "Server", **FAILED)
    trace.span("stock", 6, 33, shop, "Server", **FAILED)
    assert judged(trace) == ("app", "prices")


def failed_then_worked(message: str, **more: Any) -> Timeline:
    """A call to stock fails with 'pool empty', a later one works, the service fails after that."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 60, kind="Server", status_message=message, **FAILED)
    trace.span("stock", 5, 10, shop, "Server", status_message="pool empty", **FAILED)
    trace.span("audit", 20, 10, shop, "Server", **said(200))
    return stitch([], trace.spans, now_ns=LONG_AFTER, **more)


def test_a_service_that_went_on_and_failed_in_its_own_words_failed_itself() -> None:
    """After a handled failure another call worked; the message at the end is the service's."""
    verdict = failed_then_worked("index out of range").verdict
    assert (verdict.component, verdict.confidence) == ("shop", 0.9)
    assert verdict.reason == "status 500: index out of range"


@pytest.mark.parametrize("message", ["no price: pool empty", "call of STOCK failed"])
def test_a_service_that_passes_the_words_on_failed_by_its_callee(message: str) -> None:
    """It cleaned up after itself, and says whose failure it was."""
    verdict = failed_then_worked(message).verdict
    assert (verdict.component, verdict.confidence) == ("stock", 0.9)


def test_a_service_that_went_on_without_a_word_leaves_doubt() -> None:
    """Either can be; the callee is named, and not surely."""
    verdict = failed_then_worked("").verdict
    assert (verdict.component, verdict.confidence) == ("stock", 0.6)


def test_an_exception_is_the_reason_where_no_status_message_is() -> None:
    """SDKs record exceptions as events, and the last one is what it ended with."""
    trace = TraceBuilder()
    events = [*threw(10, "CacheMiss", "key 7"), *threw(40, "PoolEmpty", "waited 40 ms")]
    trace.span("orders", 0, 50, kind="Server", events=events, **FAILED)
    verdict = stitch([], trace.spans, now_ns=LONG_AFTER).verdict
    assert verdict.reason == "status 500: PoolEmpty: waited 40 ms"


@pytest.mark.parametrize(
    ("code", "class_", "is_error"),
    [
        ("2", "server_error", True),
        ("4", "timeout", True),
        ("14", "unavailable", True),
        ("7", "authorization", True),
        ("16", "authentication", True),
        ("8", "rate_limit", True),
        ("5", "client_error", True),
        ("UNAVAILABLE", "unavailable", True),
    ],
)
def test_a_grpc_failure_inside_a_200_is_a_failure(code: str, class_: str, is_error: bool) -> None:
    """Proxies saw a 200; the application's span says what its trailers said."""
    trace = TraceBuilder()
    edge = trace.edge(0, 50)
    inward = trace.sidecar_in("orders", 1, 48, edge)
    trace.span("orders", 2, 46, inward, "Server", attributes={"rpc.grpc.status_code": code})
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    verdict = timeline.verdict
    assert (verdict.layer, verdict.component, verdict.class_) == ("app", "orders", class_)
    assert verdict.outcome == "failed"
    assert verdict.reason.startswith("gRPC status ")
    assert timeline.is_error == is_error
    assert timeline.hops[-1].status == "error"


def test_a_gateway_that_answered_otherwise_did_not_fail() -> None:
    """It turned the failure into an answer of its own, and its consumer noticed nothing."""
    trace = TraceBuilder()
    trace.span("orders", 5, 60, SENT, "Server", attributes={"rpc.grpc.status_code": "14"})
    fields = {"total": 80, "backend": 65, "trace_id": TRACE, "outgoing_span_id": SENT}
    told = {"rpc.grpc.status_code": "0"}
    timeline = stitch([record(attributes=told, **fields)], trace.spans, now_ns=LONG_AFTER)
    assert (timeline.verdict.outcome, timeline.is_error) == ("masked", False)
    timeline = stitch([record(**fields)], trace.spans, now_ns=LONG_AFTER)
    assert (timeline.verdict.outcome, timeline.is_error) == ("failed", True)


def test_a_grpc_call_that_its_caller_cancelled_is_nobodys_failure() -> None:
    """CANCELLED is the client's doing: neither the request nor its hop nor its span failed."""
    trace = TraceBuilder()
    trace.span("orders", 0, 40, kind="Server", attributes={"rpc.grpc.status_code": "1"})
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert not timeline.is_error
    assert [each.status for each in timeline.hops] == ["unset"]
    assert [each.status for each in timeline.spans] == ["unset"]
    assert timeline.verdict.layer in ("none", "client")


def test_a_grpc_failure_of_a_backend_without_spans_is_the_backends() -> None:
    """A record alone: the status is in the trailers that the gateway passed on."""
    told = {"rpc.grpc.status_code": "14", "rpc.grpc.message": "draining"}
    known = record(
        total=30, backend=25, attributes=told, backend_host="orders:50051", is_error=True
    )
    verdict = stitch([known], [], now_ns=LONG_AFTER).verdict
    assert (verdict.layer, verdict.component) == ("app", "orders:50051")
    assert verdict.reason == (
        "gRPC status 14 (UNAVAILABLE) of the backend, of which no span is known: draining"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"status": None, "error_source": "client"},
        {"status": 499},
        {"status": 200, "error_reason": "ClientConnectionFailure", "backend_status": 200},
    ],
)
def test_a_client_that_left_abandoned_the_request(fields: dict[str, Any]) -> None:
    """However a gateway writes it; what the application answered nobody got."""
    trace = TraceBuilder()
    trace.span("pay", 5, 9_000, SENT, "Server", **said(200))
    known = record(total=5_000, backend=4_990, trace_id=TRACE, outgoing_span_id=SENT, **fields)
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    assert (timeline.verdict.layer, timeline.verdict.outcome) == ("client", "abandoned")
    assert not timeline.is_error
    assert timeline.status == fields["status"]


def test_the_end_of_a_websocket_is_its_clients_to_choose() -> None:
    """A proxy flags DC when the client closes a connection that was switched long ago."""
    trace = TraceBuilder()
    trace.edge(0, 60_000, code=101, flags="DC")
    assert judged(trace) == ("none", "")


def test_a_download_that_was_broken_off_is_abandoned() -> None:
    """The head of a 200 was sent, then the client went away."""
    trace = TraceBuilder()
    trace.edge(0, 800, code=200, flags="DC")
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert timeline.verdict.outcome == "abandoned"


def test_a_silent_upstream_is_not_the_clients_timeout() -> None:
    """SI with 504: the stream was idle because nobody answered; with 408 its client was."""
    trace = TraceBuilder()
    trace.sidecar_out(
        "istio-ingressgateway", "price", 0, 300, None, node_kind="router", code=504, flags="SI"
    )
    verdict = stitch([], trace.spans, now_ns=LONG_AFTER).verdict
    assert (verdict.layer, verdict.class_) == ("mesh", "timeout")
    assert "price" in verdict.component
    trace = TraceBuilder()
    trace.edge(0, 300, code=408, flags="SI")
    assert judged(trace)[0] == "client"


def authorized(code: int, details: str = "") -> TraceBuilder:
    trace = TraceBuilder()
    told = {"response_code_details": details} if details else {}
    trace.edge(0, 200, code=code, flags="UAEX", attributes=told)
    return trace


@pytest.mark.parametrize(("code", "details"), [(403, "ext_authz_error"), (503, "")])
def test_an_authorization_service_that_is_down_is_named(code: int, details: str) -> None:
    """Envoy's flag is the same as for a denial; its details, or a 5xx, tell them apart."""
    trace = authorized(code, details)
    assert judged(trace) == ("dependency", "external authorization service")
    check = trace.sidecar_out(
        "istio-ingressgateway", "authz", 1, 190, trace.spans[0], node_kind="router", code=503
    )
    trace.sidecar_in("authz", 2, 180, check, code=503)
    assert judged(trace)[1] == "authz.shop"


def test_a_denial_is_the_proxys() -> None:
    """The authorization service answered, and said no."""
    assert judged(authorized(403, "ext_authz_denied"))[0] == "edge"
    assert judged(authorized(403))[0] == "edge"


def test_the_hop_that_held_everybody_up_is_named_not_the_first_one() -> None:
    """The gateway gave up on the front, which waited for payments, which waited for the bank."""
    trace = TraceBuilder()
    front = trace.span("front", 5, 900, SENT, "Server", **said(200))
    call = trace.span("front", 10, 890, front, "Client", attributes={"server.address": "payments"})
    payments = trace.span("payments", 12, 886, call, "Server", **said(200))
    trace.span(
        "payments", 15, 880, payments, "Client", attributes={"server.address": "bank.example"}
    )
    known = record(
        total=400,
        backend=395,
        status=504,
        error_reason="Timeout",
        trace_id=TRACE,
        outgoing_span_id=SENT,
        ids=(Id("x", "y"),),
    )
    verdict = stitch([known], trace.spans, now_ns=LONG_AFTER).verdict
    assert verdict.component == "shop-apim"
    assert "385 ms of it for bank.example, which took 880 ms" in verdict.reason


@pytest.mark.parametrize(
    ("message", "component"),
    [("order failed: Deadlock detected", "postgresql"), ("order failed", "alerts"), ("", "alerts")],
)
def test_the_failure_whose_words_the_service_ends_with_is_the_one(
    message: str, component: str
) -> None:
    """A last call that fails as well, to tell somebody of the failure, does not take its place."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 100, kind="Server", status_message=message, **FAILED)
    query = {"db.system": "postgresql"}
    trace.span(
        "shop",
        10,
        80,
        shop,
        "Client",
        status="Error",
        status_message="deadlock detected",
        attributes=query,
    )
    alert = {"server.address": "alerts"}
    trace.span(
        "shop", 91, 5, shop, "Client", status="Error", status_message="refused", attributes=alert
    )
    verdict = stitch([], trace.spans, now_ns=LONG_AFTER).verdict
    assert verdict.component == component


def test_a_server_that_writes_499_was_left_by_its_client() -> None:
    """Its own call is cancelled with it: neither it nor its callee failed."""
    trace = TraceBuilder()
    told = {"http.response.status_code": "499"}
    shop = trace.span("shop", 0, 100, kind="Server", attributes=told)
    call = trace.span(
        "shop", 5, 94, shop, "Client", status="Error", status_message="context canceled"
    )
    trace.span("stock", 8, 400, call, "Server", attributes={"http.response.status_code": "200"})
    verdict = stitch([], trace.spans, now_ns=LONG_AFTER).verdict
    assert (verdict.layer, verdict.component, verdict.class_) == (
        "client",
        "client",
        "client_abort",
    )
    assert (verdict.outcome, verdict.reason) == ("abandoned", "status 499")


def test_a_caller_that_gave_up_is_not_failed_by_the_callee_that_wrote_499() -> None:
    """The caller's limit was the shorter one: the callee only noticed that nobody waits."""
    trace = TraceBuilder()
    failed = {"http.response.status_code": "504"}
    shop = trace.span("shop", 0, 100, kind="Server", status="Error", attributes=failed)
    late = {"error.type": "timeout", "server.address": "stock"}
    call = trace.span("shop", 5, 94, shop, "Client", status="Error", attributes=late)
    trace.span("stock", 8, 92, call, "Server", attributes={"http.response.status_code": "499"})
    verdict = stitch([], trace.spans, now_ns=LONG_AFTER).verdict
    assert (verdict.component, verdict.class_) == ("shop", "timeout")


def test_calls_do_not_answer_for_the_service_that_made_them() -> None:
    """A server span without a status: that of its first call is not what the consumer got."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 100, kind="Server")
    missing = {"http.response.status_code": "404", "server.address": "stock"}
    trace.span("shop", 5, 40, shop, "Client", attributes=missing)
    assert stitch([], trace.spans, now_ns=LONG_AFTER).status is None


@pytest.mark.parametrize(
    ("words", "type_", "class_"),
    [
        ("connect ECONNREFUSED 10.9.8.7:5432", "", "unreachable"),
        ("getaddrinfo ENOTFOUND ledger.pay.svc", "Error", "unreachable"),
        ("dial tcp: lookup ledger on 10.0.0.10:53: no such host", "", "unreachable"),
        ("", "java.net.UnknownHostException", "unreachable"),
        ("read tcp 10.1.1.1:5->10.1.1.2:80: read: connection reset by peer", "", "reset"),
        ("socket hang up", "ECONNRESET", "reset"),
        ("deadlock detected", "", "server_error"),
    ],
)
def test_a_call_that_nobody_answered_is_told_by_its_callers_words(
    words: str, type_: str, class_: str
) -> None:
    """Without a status nobody answered; how far the call came is in the words."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 100, kind="Server", **FAILED)
    call = trace.span(
        "shop",
        5,
        20,
        shop,
        "Client",
        status="Error",
        attributes={"server.address": "ledger", "error.type": type_},
    )
    call.status_message = words
    verdict = stitch([], trace.spans, now_ns=LONG_AFTER).verdict
    assert (verdict.component, verdict.class_) == ("ledger", class_)


def test_a_status_that_was_answered_wins_over_words() -> None:
    """Whoever sent a status was reached, whatever the message says of others."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 100, kind="Server", **FAILED)
    call = trace.span("shop", 5, 20, shop, "Client", **FAILED)
    call.attributes = {**call.attributes, "server.address": "ledger"}
    call.status_message = "upstream said connection refused"
    assert stitch([], trace.spans, now_ns=LONG_AFTER).verdict.class_ == "server_error"


@pytest.mark.parametrize(
    ("type_", "reason"), [("connection_error", ": connection_error"), ("502", "")]
)
def test_an_error_without_words_is_told_by_its_type(type_: str, reason: str) -> None:
    """.NET names the error and says no more; a status among the types says nothing new."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 100, kind="Server", **FAILED)
    call = {"server.address": "ledger", "error.type": type_}
    trace.span("shop", 5, 20, shop, "Client", status="Error", attributes=call)
    verdict = stitch([], trace.spans, now_ns=LONG_AFTER).verdict
    assert verdict.reason == f"span status Error{reason}"
