"""Messages: who sent, through which queue, who worked on it, how often, and how that ended."""

from typing import Any

import pytest

from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import LONG_AFTER, TraceBuilder, stitch
from tests.unit.stitch.scenarios import picture

_QUEUE = {"messaging.system": "kafka", "messaging.destination.name": "orders"}
_FAILED = {"status": "Error", "status_message": "card declined"}


class Told(TraceBuilder):
    """A request to shop, or none, and what follows of it."""

    def request(self, status: int = 202) -> Any:
        """Add shop's own span: 30 ms."""
        return self.span("shop", 0, 30, kind="Server", attributes={"http.status_code": str(status)})

    def timeline(self) -> Timeline:
        """Return what is told of it."""
        return stitch([], self.spans, now_ns=LONG_AFTER)


@pytest.mark.parametrize(
    ("system", "kind", "more"),
    [
        ("kafka", "Producer", {}),
        ("aws_sqs", "Client", {"rpc.system": "aws-api", "rpc.method": "SendMessage"}),
        ("servicebus", "Client", {"server.address": "shop.servicebus.example"}),
        ("gcp_pubsub", "Client", {"messaging.operation.type": "send"}),
    ],
)
def test_a_queue_is_one_hop_whatever_its_sender_is_called(
    system: str, kind: str, more: dict[str, str]
) -> None:
    """Senders are producers or clients; the queue that they name is the one of the consumer."""
    told = Told()
    named = {"messaging.system": system, "messaging.destination.name": "orders"}
    sent = told.span("shop", 5, 12, told.request(), kind, attributes={**named, **more})
    told.span("billing", 90, 40, sent, "Consumer", attributes=named)
    assert picture(told.timeline()) == [
        "service shop",
        f"  dependency {system}/orders inferred",
        "    service billing async",
    ]


def test_receiving_and_working_on_a_message_are_one_visit() -> None:
    """The Java agent has a span for each, one after the other: one hop, and no second queue."""
    told = Told()
    fetched = told.span("billing", 0, 50, kind="Consumer", attributes=_QUEUE)
    worked = told.span("billing", 50, 80, fetched, "Consumer", attributes=_QUEUE)
    told.span("billing", 60, 20, worked, "Client", attributes={"db.system": "postgresql"})
    assert picture(told.timeline()) == [
        "dependency kafka/orders inferred",
        "  service billing",
        "    dependency postgresql inferred",
    ]


@pytest.mark.parametrize("kind", ["Consumer", "Client"])
def test_work_on_a_fetched_message_that_fails_is_the_failure(kind: str) -> None:
    """The span that fetched it says nothing of how it went: the work on it does."""
    told = Told()
    fetched = told.span("billing", 0, 50, kind=kind, attributes=_QUEUE)
    told.span("billing", 51, 80, fetched, "Consumer", attributes=_QUEUE, **_FAILED)
    verdict = told.timeline().verdict
    assert (verdict.layer, verdict.component, verdict.outcome) == ("app", "billing", "failed")
    assert verdict.confidence == 0.9


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        ((False, False, True), ""),
        ((False, True), ""),
        (
            (False, False, False),
            "answered, but billing failed afterwards (span status Error: card declined)",
        ),
        ((True,), ""),
    ],
)
def test_of_a_message_delivered_again_the_last_time_counts(
    ends: tuple[bool, ...], reason: str
) -> None:
    """A broker delivers again what was not acknowledged: tries, seconds apart."""
    told = Told()
    sent = told.span("shop", 5, 4, told.request(), "Producer", attributes=_QUEUE)
    for number, is_well in enumerate(ends):
        more: dict[str, Any] = {} if is_well else dict(_FAILED)
        told.span("billing", 40 + 1_000 * number, 12, sent, "Consumer", attributes=_QUEUE, **more)
    timeline = told.timeline()
    assert timeline.verdict.reason == reason
    tries = [(hop.attempt, hop.attempts) for hop in timeline.hops if hop.service == "billing"]
    assert tries == [(n + 1, len(ends)) for n in range(len(ends))]
    assert timeline.duration_ns == 30_000_000


def test_two_groups_that_read_one_message_are_no_tries() -> None:
    """Both read it at once, and one fails: that is told, the other one makes nothing good."""
    told = Told()
    sent = told.span("shop", 5, 4, told.request(), "Producer", attributes=_QUEUE)
    told.span("billing", 40, 50, sent, "Consumer", attributes=_QUEUE, **_FAILED)
    told.span("mailer", 41, 12, sent, "Consumer", attributes=_QUEUE)
    timeline = told.timeline()
    assert {hop.attempts for hop in timeline.hops} == {1}
    assert "billing failed afterwards" in timeline.verdict.reason


@pytest.mark.parametrize(("status", "is_told"), [("Unset", True), ("Ok", False)])
def test_what_fails_below_a_silent_consumer_is_told(status: str, is_told: bool) -> None:
    """A consumer that does not say that all went well may have failed with its call."""
    told = Told()
    sent = told.span("shop", 5, 4, told.request(), "Producer", attributes=_QUEUE)
    work = told.span("billing", 40, 100, sent, "Consumer", attributes=_QUEUE, status=status)
    bank = {"server.address": "bank", "http.response.status_code": "503"}
    told.span("billing", 50, 80, work, "Client", attributes=bank, status="Error")
    verdict = told.timeline().verdict
    assert (verdict.layer, verdict.outcome) == ("none", "ok")
    assert ("bank failed afterwards" in verdict.reason) is is_told


def test_a_function_that_begins_after_the_answer_was_not_waited_for() -> None:
    """No kind says that it was put off; it is longer than the request and begins after it."""
    told = Told()
    told.span("resizer", 200, 45, told.request(200), "Unspecified", **_FAILED)
    timeline = told.timeline()
    assert timeline.verdict.outcome == "ok"
    assert "resizer failed afterwards" in timeline.verdict.reason
    assert [hop.is_async for hop in timeline.hops] == [False, True]


def test_a_message_ten_minutes_later_does_not_make_the_request_longer() -> None:
    """The answer was there after 30 ms, and no clock is moved for its consumer's sake."""
    told = Told()
    sent = told.span("shop", 5, 4, told.request(), "Producer", attributes=_QUEUE)
    told.span("billing", 600_000, 12, sent, "Consumer", attributes=_QUEUE)
    timeline = told.timeline()
    assert timeline.duration_ns == sum(hop.critical_ns for hop in timeline.hops) == 30_000_000
    assert not any(span.adjusted_by_ns for span in timeline.spans)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"graphql.operation.name": "Cart"}, {"graphql.operation.name": "Offers"}),
        ({"rpc.method": "GetItem"}, {"rpc.method": "PutItem"}),
    ],
)
def test_two_questions_at_one_address_are_no_tries(
    first: dict[str, str], second: dict[str, str]
) -> None:
    """GraphQL and AWS take every question by POST at one address: what is asked for differs."""
    told = Told()
    shop = told.request(200)
    where = {"http.request.method": "POST", "url.full": "http://api/q", "server.address": "api"}
    told.span("shop", 2, 9, shop, "Client", attributes={**where, **first}, status="Error")
    told.span("shop", 12, 9, shop, "Client", attributes={**where, **second})
    assert [hop.attempts for hop in told.timeline().hops] == [1, 1, 1]


def test_a_browser_that_asks_first_made_both_calls() -> None:
    """One client span above a preflight and the request itself: both were called by the browser."""
    told = Told()
    call = told.span("browser", 0, 100, kind="Client", attributes={"server.address": "shop"})
    for at, method in ((2, "OPTIONS"), (20, "POST")):
        told.span("shop", at, 15, call, "Server", attributes={"http.request.method": method})
    timeline = told.timeline()
    assert picture(timeline) == ["service browser", "  service shop", "  service shop"]
    assert timeline.hops[0].critical_ns == 70_000_000


def test_a_call_through_a_queue_that_is_answered_is_waited_for() -> None:
    """RPC over a queue: the caller's span covers the consumer's work, which is on the path."""
    told = Told()
    call = told.span("shop", 5, 20, told.request(200), "Client", attributes=_QUEUE)
    told.span("pricer", 8, 12, call, "Consumer", attributes=_QUEUE)
    [_, queue, pricer] = told.timeline().hops
    assert (queue.is_async, pricer.is_async, pricer.critical_ns) == (False, False, 12_000_000)


@pytest.mark.parametrize(("ms", "is_put_off"), [(31, False), (34, False), (45, True)])
def test_a_callee_with_a_fast_clock_is_waited_for_though_a_little_longer(
    ms: float, is_put_off: bool
) -> None:
    """It may end after its caller's last byte: only what is clearly longer was put off."""
    told = Told()
    told.span("stock", 500, ms, told.request(200), "Server", attributes={"http.status_code": "200"})
    timeline = told.timeline()
    assert timeline.hops[1].is_async is is_put_off
    assert bool(timeline.spans[1].adjusted_by_ns) is not is_put_off


@pytest.mark.parametrize(("begins", "is_told"), [(-4_000, True), (2, False), (600, False)])
def test_a_message_that_was_worked_on_before_it_was_sent_is_doubted(
    begins: float, *, is_told: bool
) -> None:
    """Work may outlast the request; what was over before its cause began lies about its time."""
    told = Told()
    sent = told.span("shop", 5, 4, told.request(), "Producer", attributes=_QUEUE)
    told.span("billing", begins, 900, sent, "Consumer", attributes=_QUEUE)
    rules = {finding.rule for finding in told.timeline().findings}
    assert ("OUTSIDE_PARENT" in rules) == is_told
