"""What a service began and did not wait for, and what only looks like it."""

from typing import Any

import pytest

from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import LONG_AFTER, MS, START, TraceBuilder, stitch


def shop_of(trace: TraceBuilder, **more: Any) -> Timeline:
    """A request of 80 ms whose own work takes 70 of it, beside what the test adds."""
    shop = trace.spans[0]
    trace.span("shop", 5, 70, shop, name="charge")
    return stitch([], trace.spans, now_ns=LONG_AFTER, **more)


def on_path(timeline: Timeline) -> set[str]:
    return {span.name for span in timeline.spans if span.is_on_critical_path}


@pytest.mark.parametrize(
    ("kind", "ms"),
    [("Client", 20_000), ("Client", 70), ("Producer", 65), ("Internal", 400), ("Unspecified", 200)],
)
def test_what_outlives_the_answer_takes_none_of_its_time(kind: str, ms: float) -> None:
    """A stream, a call that is put off, a message: still running when the answer is out."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 80, kind="Server", name="POST /charge")
    trace.span("shop", 20, ms, shop, kind, name="beside", attributes={"server.address": "flags"})
    timeline = shop_of(trace)
    assert on_path(timeline) == {"POST /charge", "charge"}
    assert {phase.name: phase.duration_ns for phase in timeline.phases} == {"app": 80 * MS}
    assert all(hop.is_async == (hop.index == 1) for hop in timeline.hops if kind == "Client")
    assert next(span.self_ns for span in timeline.spans if span.name == "POST /charge") == 10 * MS


@pytest.mark.parametrize(("kind", "ms"), [("Client", 61.5), ("Internal", 100)])
def test_a_span_that_ends_a_little_later_is_cut_to_its_parent(kind: str, ms: float) -> None:
    """Within the noise of one process, or as a part of the answer, it was waited for."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 80, kind="Server", name="POST /charge")
    trace.span("shop", 20, ms, shop, kind, name="last")
    assert "last" in on_path(stitch([], trace.spans, now_ns=LONG_AFTER))


@pytest.mark.parametrize(
    "end",
    [
        {"attributes": {"http.response.status_code": "504"}, "status": "Error"},
        {"status": "Error", "status_message": "bank: deadline exceeded"},
        {"status": "Error", "attributes": {"error.type": "TimeoutError"}},
    ],
)
def test_a_service_that_gave_up_did_wait(end: dict[str, Any]) -> None:
    """Its callee works on; until the service gave up, the time is the callee's."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 80, kind="Server", name="POST /charge", **end)
    trace.span("shop", 10, 500, shop, "Client", name="pay")
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert "pay" in on_path(timeline)
    assert timeline.hops[1].critical_ns == 70 * MS


def test_a_callee_that_outlives_its_call_was_waited_for() -> None:
    """A client span says how long its caller waited, whatever the callee goes on to do."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 80, kind="Server")
    call = trace.span("shop", 10, 60, shop, "Client")
    trace.span("bank", 12, 900, call, "Server", name="settle")
    assert "settle" in on_path(stitch([], trace.spans, now_ns=LONG_AFTER))


def test_a_call_that_outlives_a_step_of_its_service_was_waited_for() -> None:
    """A call begun in a short internal span ends with the request: the service waited for it."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 80, kind="Server")
    step = trace.span("shop", 5, 10, shop, name="prepare")
    call = trace.span("shop", 6, 70, step, "Client", name="pay")
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert not timeline.hops[1].is_async
    assert call.name in on_path(timeline)


def test_another_clock_alone_makes_no_background_work() -> None:
    """A callee whose clock is an hour ahead ends an hour later, and was waited for."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 80, kind="Server")
    trace.span("bank", 3_600_010, 60, shop, "Server", name="settle")
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert not any(hop.is_async for hop in timeline.hops)


def test_a_stream_that_is_opened_again_is_no_second_try() -> None:
    """Two streams, one after the other, both ended by their deadline, are told as neither tries."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 80, kind="Server")
    for at in (20, 20_100):
        trace.span("shop", at, 20_000, shop, "Client", name="flags/Stream", status="Error")
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert [hop.attempts for hop in timeline.hops] == [1, 1, 1]
    assert timeline.verdict.outcome == "ok"
    assert timeline.start_ns == START


def test_work_that_is_put_off_is_apart_with_all_that_it_calls() -> None:
    """The service's own visit is waited for; what its task calls later is not, and fails late."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 50, kind="Server")
    task = trace.span("shop", 10, 900, shop, name="flush")
    trace.span(
        "shop",
        100,
        300,
        task,
        "Client",
        status="Error",
        status_message="key exists",
        attributes={"db.system": "postgresql"},
    )
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert [hop.is_async for hop in timeline.hops] == [False, True]
    assert timeline.verdict.outcome == "ok"
    assert timeline.verdict.reason == (
        "answered, but postgresql failed afterwards (span status Error: key exists)"
    )


@pytest.mark.parametrize(
    ("kind", "at", "ms"), [("Client", 100, 300), ("Internal", 20, 10), ("Server", 20, 10)]
)
def test_nobody_waits_for_another_service_that_consumes(kind: str, at: float, ms: float) -> None:
    """A message counts as one however its sending was traced, if it was at all."""
    trace = TraceBuilder()
    sender = trace.span("shop", 0, 50, kind="Server", name="POST /orders")
    if kind != "Server":
        sender = trace.span("shop", 10, 30, sender, kind, name="send")
    trace.span("billing", at, ms, sender, "Consumer", status="Error", status_message="no money")
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert "billing consumer" not in on_path(timeline)
    assert timeline.verdict.outcome == "ok"
    assert timeline.verdict.reason.startswith("answered, but billing failed afterwards")


def test_who_waits_for_a_reply_by_message_waits() -> None:
    """The call that sent it ends after the consumer did."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 50, kind="Server")
    sender = trace.span("shop", 10, 30, shop, "Client", name="ask")
    trace.span("billing", 15, 20, sender, "Consumer")
    assert "billing consumer" in on_path(stitch([], trace.spans, now_ns=LONG_AFTER))


def test_the_consumer_that_a_trace_begins_with_keeps_itself() -> None:
    """What it does is told as of any request: it is not one that nobody waits for."""
    trace = TraceBuilder()
    billing = trace.span("billing", 0, 90, kind="Consumer")
    trace.span("billing", 10, 40, billing, "Client", attributes={"db.system": "postgresql"})
    assert not any(hop.is_async for hop in stitch([], trace.spans, now_ns=LONG_AFTER).hops)


@pytest.mark.parametrize("after_ms", [-1, 0, 0.4, 5])
def test_a_stream_that_is_cancelled_when_the_answer_is_out_takes_none_of_its_time(
    after_ms: float,
) -> None:
    """A service reads a stream for as long as it works on the request, then cancels it."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 80, kind="Server", name="POST /charge")
    told = {"rpc.grpc.status_code": "1", "server.address": "flags"}
    ms = 75 + after_ms
    watch = trace.span("shop", 5, ms, shop, "Client", name="Watch", attributes=told)
    trace.span("flags", 6, 74 + after_ms, watch, "Server", attributes=told)
    timeline = shop_of(trace)
    assert on_path(timeline) == {"POST /charge", "charge"}
    assert timeline.verdict.layer == "none"


@pytest.mark.parametrize(
    ("ms", "end"),
    [
        (40, {}),
        (75, {"status": "Error", "attributes": {"http.response.status_code": "500"}}),
        (75, {"attributes": {"http.response.status_code": "404"}}),
        (75, {"attributes": {"rpc.grpc.status_code": "14"}}),
    ],
)
def test_a_call_that_was_cancelled_for_another_reason_was_waited_for(
    ms: float, end: dict[str, Any]
) -> None:
    """Long before the answer, or by a service that failed with it: its time was the request's."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 80, kind="Server", name="POST /charge", **end)
    told = {"rpc.grpc.status_code": "1", "server.address": "flags"}
    trace.span("shop", 5, ms, shop, "Client", name="Ask", attributes=told)
    assert "Ask" in on_path(stitch([], trace.spans, now_ns=LONG_AFTER))
