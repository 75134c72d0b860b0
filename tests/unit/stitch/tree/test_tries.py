"""Which calls are tries of one call, and which are several calls."""

from typing import Any

import pytest

from tests.unit.stitch.building import LONG_AFTER, TRACE, TraceBuilder, record, stitch

SENT = "c0ffee0000000001"


def tries(*calls: dict[str, Any], kind: str = "Client", status: int = 200) -> list[tuple[int, int]]:
    """Return (attempt, attempts) of calls that shop makes one after the other; the first fails."""
    trace = TraceBuilder()
    told = {"http.response.status_code": str(status)}
    shop = trace.span("shop", 0, 100 * len(calls) + 20, kind="Server", attributes=told)
    for number, call in enumerate(calls):
        given = dict(call)
        attributes = {"server.address": "stock", **given.pop("attributes", {})}
        end = "Error" if number == 0 else "Unset"
        trace.span(
            "shop",
            10 + 100 * number,
            given.pop("ms", 80),
            shop,
            kind,
            status=given.pop("status", end),
            attributes=attributes,
            **given,
        )
    hops = stitch([], trace.spans, now_ns=LONG_AFTER).hops
    return [(hop.attempt, hop.attempts) for hop in hops[1:]]


def http(path: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    told = {"http.request.method": method, "url.full": f"http://stock/{path}", **more}
    return {"name": method, "attributes": told}


AGAIN = [(1, 2), (2, 2)]
APART = [(1, 1), (1, 1)]


@pytest.mark.parametrize(
    "call",
    [
        http("items/2"),
        http("items?id=2"),
        {
            "name": "GET",
            "attributes": {"http.method": "GET", "http.url": "http://10.1.1.1/items/2"},
        },
        {"name": "SELECT", "attributes": {"db.system": "mysql", "db.query.text": "SELECT 1"}},
        {"name": "shop.Stock/Get", "attributes": {"rpc.system": "grpc", "rpc.method": "Get"}},
        {"name": "GET /stock"},
        {"name": "stock.find"},
    ],
)
def test_the_same_call_again_after_a_failure_is_a_try(call: dict[str, Any]) -> None:
    """Method and target are the same, in whatever words the spans have."""
    assert tries(call, call) == AGAIN


def test_the_same_path_on_another_host_is_a_try() -> None:
    """The next try goes to another address of the same service."""
    first, second = (
        {"name": "GET", "attributes": {"url.full": f"http://10.1.1.{n}/items/2"}} for n in (1, 2)
    )
    assert tries(first, second) == AGAIN


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        (("GET /quotes", "GET /quotes"), AGAIN),
        (("GET /quotes", "GET /offers"), APART),
        (("GET /quotes/{id}", "GET /quotes/{id}"), APART),
        (("POST", "POST"), APART),
    ],
)
def test_the_route_of_what_was_called_tells_too(
    routes: tuple[str, str], expected: list[tuple[int, int]]
) -> None:
    """Clients that name their spans by the method alone leave it to the server to say more."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 220, kind="Server")
    for number, route in enumerate(routes):
        at, end = 10 + 100 * number, "Unset" if number else "Error"
        out = trace.span("shop", at, 80, shop, "Client", name="GET", status=end)
        trace.span("quotes", at + 1, 78, out, "Server", name=route, status=end)
    hops = stitch([], trace.spans, now_ns=LONG_AFTER).hops
    assert [(hop.attempt, hop.attempts) for hop in hops[1:]] == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (http("items/2"), http("items/3")),
        (http("items?id=2"), http("items?id=3")),
        (http("items/2"), http("items/2", "DELETE")),
        ({"name": "GET"}, {"name": "GET"}),
        ({"name": "HTTP GET"}, {"name": "HTTP GET"}),
        ({"name": "GET /items/{id}"}, {"name": "GET /items/{id}"}),
        ({"name": "GET /items/:id"}, {"name": "GET /items/:id"}),
        ({"name": "SELECT"}, {"name": "SELECT"}),
        (
            {"name": "SELECT", "attributes": {"db.statement": "SELECT a"}},
            {"name": "SELECT", "attributes": {"db.statement": "SELECT b"}},
        ),
    ],
)
def test_another_target_is_another_call(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Item 3 after item 2 failed is no second try of item 2, nor what only looks alike."""
    assert tries(first, second) == APART


@pytest.mark.parametrize("key", ["http.request.resend_count", "retry.count"])
def test_a_caller_that_counts_its_tries_is_believed(key: str) -> None:
    """Without a target the counter says it."""
    assert tries({"name": "GET"}, {"name": "GET", "attributes": {key: "1"}}) == AGAIN


def test_a_call_that_worked_is_not_tried_again() -> None:
    """The same question twice: polling, or a page that asks for the same thing."""
    assert tries({**http("items/2"), "status": "Unset"}, http("items/2")) == APART


def test_calls_at_the_same_time_are_no_tries() -> None:
    """The second began before the first had failed."""
    assert tries({**http("items/2"), "ms": 150}, http("items/2")) == APART


def test_a_failed_grpc_call_is_tried_again() -> None:
    """NOT_FOUND and the like leave the span's status unset."""
    call = {
        "name": "shop.Stock/Get",
        "attributes": {"rpc.grpc.status_code": "8"},
        "status": "Unset",
    }
    assert tries(call, call) == AGAIN


def test_tries_may_have_other_calls_between_them() -> None:
    """Items 1 and 2, and item 1 once more because it had failed."""
    assert tries(http("items/1"), http("items/2"), http("items/1")) == [(1, 2), (1, 1), (2, 2)]


def gateways_calls(*paths: str, failed: bool = True) -> tuple[list[int], set[str], str]:
    trace = TraceBuilder()
    for number, path in enumerate(paths):
        code = "503" if failed and number == 0 else "200"
        told = {"http.request.method": "GET", "url.path": path, "http.response.status_code": code}
        trace.span("orders", 5 + 40 * number, 30, SENT, "Server", name="GET /{x}", attributes=told)
    known = record(total=100, backend=90, trace_id=TRACE, outgoing_span_id=SENT)
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    features = {act.feature for act in timeline.acts}
    return [hop.attempts for hop in timeline.hops[1:]], features, timeline.verdict.outcome


def test_a_gateways_second_call_of_the_same_is_a_try() -> None:
    """Two calls under the span id it sent; the first failed, and the consumer noticed nothing."""
    assert gateways_calls("/orders/1", "/orders/1") == ([2, 2], {"retry"}, "masked")


def test_a_gateways_calls_of_several_things_are_no_tries() -> None:
    """A check by send-request, then the request itself."""
    assert gateways_calls("/check", "/orders/1", failed=False) == ([1, 1], set(), "ok")


def test_several_beginnings_are_several_requests() -> None:
    """Roots of one trace under a stand-in: the second is no try of the first."""
    trace = TraceBuilder()
    for at, end in ((0, "Error"), (100, "Unset")):
        told = {"http.request.method": "GET", "url.path": "/a"}
        trace.span("shop", at, 40, "f" * 16, "Server", status=end, attributes=told)
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert [hop.attempts for hop in timeline.hops] == [1, 1, 1]


@pytest.mark.parametrize(
    ("told", "grpc"),
    [({"http.response.status_code": "404"}, False), ({"http.response.status_code": "422"}, False)]
    + [({"rpc.grpc.status_code": code}, True) for code in ("3", "5", "6", "9", "11", "12")],
)
def test_an_answer_is_no_reason_to_ask_again(told: dict[str, str], grpc: bool) -> None:
    """One of several lookups finds nothing: the next one, which looks alike, is no try of it."""
    names = {"rpc.system": "grpc", "rpc.method": "GetItem"} if grpc else {"url.full": "http://s/1"}
    first = {"name": "stock.Items/GetItem", "attributes": {**names, **told}}
    assert tries(first, {**first, "attributes": names, "status": "Unset"}) == APART


@pytest.mark.parametrize("told", [{"rpc.grpc.status_code": "14"}, {"rpc.grpc.status_code": "8"}])
def test_what_may_pass_is_a_reason_to_ask_again(told: dict[str, str]) -> None:
    """Unavailable, or out of resources: the same call a little later is a try."""
    names = {"rpc.system": "grpc", "rpc.method": "GetItem"}
    first = {"name": "stock.Items/GetItem", "attributes": {**names, **told}}
    assert tries(first, {**first, "attributes": names, "status": "Unset"}) == AGAIN


@pytest.mark.parametrize("loser", [0, 1])
@pytest.mark.parametrize(
    "end",
    [
        {"status": "Error", "status_message": "context canceled"},
        {"status": "Error", "attributes": {"error.type": "java.util.concurrent.CancellationExc"}},
        {"attributes": {"rpc.grpc.status_code": "1"}},
    ],
)
def test_hedged_calls_are_tries_of_one_call(loser: int, end: dict[str, Any]) -> None:
    """The second call goes out before the first is back; the loser is cancelled: all is well."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 130, kind="Server", attributes={"http.status_code": "200"})
    for number, (at, ms) in enumerate(((5, 110), (60, 50))):
        more = dict(end) if number == loser else {}
        attributes = {"url.full": "http://stock/7", **more.pop("attributes", {})}
        call = trace.span("shop", at, ms, shop, "Client", attributes=attributes, **more)
        trace.span("stock", at + 2, ms - 4, call, "Server", attributes={"http.status_code": "200"})
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert [(hop.attempt, hop.attempts) for hop in timeline.hops[1:]] == AGAIN
    assert (timeline.verdict.layer, timeline.verdict.outcome) == ("none", "ok")


def test_two_calls_side_by_side_are_no_tries() -> None:
    """The same target at the same time, and nobody cancelled anything: two calls."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 130, kind="Server")
    for at in (5, 60):
        told = {"url.full": "http://stock/7"}
        trace.span("shop", at, 60, shop, "Client", status="Error", attributes=told)
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert [(hop.attempt, hop.attempts) for hop in timeline.hops[1:]] == APART


@pytest.mark.parametrize("loser", [0, 1])
def test_the_slower_one_of_two_tries_holds_nobody_up(loser: int) -> None:
    """It ends last, cancelled, while the answer is used already: the winner is on the path."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 140, kind="Server", attributes={"http.status_code": "200"})
    told = {"http.request.method": "GET", "url.full": "http://stock/7"}
    for number, at in enumerate((5, 20)):
        is_loser = number == loser
        more = {"status": "Error", "status_message": "context canceled"} if is_loser else {}
        ms = 100 - at if is_loser else 60 - at
        call = trace.span("shop", at, ms, shop, "Client", attributes=told, **more)
        trace.span("stock", at + 1, ms - 2, call, "Server", attributes={"http.status_code": "200"})
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    critical = [hop.critical_ns for hop in timeline.hops[1:]]
    assert critical[loser] == 0
    assert critical[1 - loser] == (60 - (20, 5)[loser]) * 1_000_000
    assert sum(hop.critical_ns for hop in timeline.hops) == timeline.duration_ns
    assert (timeline.verdict.layer, timeline.verdict.outcome) == ("none", "ok")


def test_a_try_that_outlasts_its_call_holds_nobody_up() -> None:
    """One client span made both tries: the one that ran on after it ended did not answer it."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 90, kind="Server", attributes={"http.status_code": "200"})
    call = trace.span("shop", 2, 48, shop, "Client", attributes={"url.full": "http://stock/7"})
    for at, ms in ((4, 70), (25, 22)):
        trace.span("stock", at, ms, call, "Server", attributes={"http.status_code": "200"})
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    first, second = timeline.hops[1:]
    assert (first.critical_ns, second.critical_ns) == (0, 22_000_000)
    assert not {"OUTSIDE_PARENT"} & {finding.rule for finding in timeline.findings}


def test_a_call_cancelled_after_the_answer_did_not_fail_afterwards() -> None:
    """The request went well without it: that it was cancelled is no failure to tell of."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 52, kind="Server", attributes={"http.status_code": "200"})
    told = {"url.full": "http://stock/7", "error.type": "context canceled"}
    trace.span("shop", 2, 60, shop, "Client", status="Error", attributes=told)
    verdict = stitch([], trace.spans, now_ns=LONG_AFTER).verdict
    assert (verdict.layer, verdict.class_, verdict.reason) == ("none", "", "")
