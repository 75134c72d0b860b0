"""Visits that have no span of their own: who began, whose server span was lost, queues."""

from typing import Any

import pytest

from collector.query.reports.traces import edges_of
from collector.stitch.timeline import Hop, Timeline
from tests.unit.stitch.building import LONG_AFTER, MS, TRACE, TraceBuilder, record, stitch
from tests.unit.stitch.scenarios import picture
from tests.unit.stitch.test_bad_input import check_invariants

_QUEUE = {"messaging.system": "kafka", "messaging.destination.name": "orders"}


def told(trace: TraceBuilder, **more: Any) -> Timeline:
    """Return the timeline of a trace, which holds what every timeline must hold."""
    timeline = stitch(more.pop("records", []), trace.spans, now_ns=LONG_AFTER, **more)
    check_invariants(timeline)
    return timeline


def hop_of(timeline: Timeline, service: str) -> Hop:
    """Return the first visit to a service."""
    return next(hop for hop in timeline.hops if hop.service == service)


def phases(timeline: Timeline) -> dict[str, float]:
    """Return the phases in milliseconds."""
    return {phase.name: phase.duration_ns / MS for phase in timeline.phases}


def test_a_nightly_job_that_only_calls() -> None:
    """The trace begins with a client span: the job is the first hop, whose call is the second."""
    trace = TraceBuilder()
    call = trace.span("job", 0, 100, None, "Client", attributes={"server.address": "ledger"})
    served = trace.span("ledger", 5, 90, call, "Server")
    trace.span("ledger", 10, 50, served, "Client", attributes={"db.system": "mysql"})
    timeline = told(trace)
    assert picture(timeline) == ["service job", "  service ledger", "    dependency mysql inferred"]
    assert list(edges_of(timeline)) == [("job", "ledger"), ("ledger", "mysql")]
    assert timeline.duration_ns == 100 * MS
    assert phases(timeline) == {"network": 10, "app": 40, "dependency": 50}
    assert len(timeline.spans) == 3
    assert not hop_of(timeline, "job").is_inferred


@pytest.mark.parametrize("status", ["Unset", "Error"])
def test_a_browser_that_calls_what_sends_no_spans(status: str) -> None:
    """One client span and nothing behind it: the caller, and the callee drawn from the call."""
    trace = TraceBuilder()
    trace.span("web", 0, 80, None, "Client", status=status, attributes={"server.address": "api"})
    timeline = told(trace)
    assert picture(timeline) == ["service web", "  dependency api inferred"]
    assert phases(timeline) == {"dependency": 80}
    assert (timeline.verdict.layer == "none") == (status == "Unset")


def test_a_cloud_service_that_only_its_library_names() -> None:
    """The libraries of clouds write no host, but which service they called."""
    trace = TraceBuilder()
    served = trace.span("refunds", 0, 90, None, "Server")
    called = {"rpc.system": "aws-api", "rpc.service": "SQS", "rpc.method": "SendMessage"}
    trace.span("refunds", 10, 60, served, "Client", status="Error", attributes=called)
    timeline = told(trace)
    assert picture(timeline) == ["service refunds", "  dependency SQS inferred"]


def test_a_producer_its_queue_and_the_consumer() -> None:
    """A message is put into a queue and worked on later, which nobody waits for."""
    trace = TraceBuilder()
    sent = trace.span("shop", 0, 5, None, "Producer", attributes=_QUEUE)
    trace.span("billing", 40, 50, sent, "Consumer", attributes=_QUEUE)
    timeline = told(trace)
    assert picture(timeline) == [
        "service shop",
        "  dependency kafka/orders inferred",
        "    service billing async",
    ]
    assert list(edges_of(timeline)) == [("shop", "kafka/orders"), ("kafka/orders", "billing")]
    assert timeline.duration_ns == 5 * MS


def test_a_consumer_whose_producer_is_elsewhere() -> None:
    """A trace that begins with a consumer knows its queue."""
    trace = TraceBuilder()
    trace.span("billing", 0, 50, None, "Consumer", attributes=_QUEUE)
    timeline = told(trace)
    assert list(edges_of(timeline)) == [("kafka/orders", "billing")]
    assert hop_of(timeline, "kafka/orders").is_inferred


def lost_server(*, is_called_by_name: bool = True) -> TraceBuilder:
    """Return foo → bar → baz of which bar's server span never came."""
    trace = TraceBuilder()
    root = trace.span("foo", 0, 100, None, "Server")
    named = {"server.address": "bar"} if is_called_by_name else {}
    call = trace.span("foo", 5, 90, root, "Client", attributes=named)
    onward = trace.span("bar", 20, 60, call, "Client", attributes={"server.address": "baz"})
    trace.span("baz", 22, 56, onward, "Server")
    return trace


@pytest.mark.parametrize("is_called_by_name", [True, False])
def test_a_service_whose_server_span_was_lost(is_called_by_name: bool) -> None:
    """It is drawn from its own call, with its edges; its caller is not credited with that call."""
    timeline = told(lost_server(is_called_by_name=is_called_by_name))
    assert picture(timeline) == ["service foo", "  service bar inferred", "    service baz"]
    assert list(edges_of(timeline)) == [("foo", "bar"), ("bar", "baz")]
    assert [(hop.attempt, hop.attempts) for hop in timeline.hops] == [(1, 1)] * 3
    # What bar did beside its call is known to nobody; baz's network is 4 ms.
    assert phases(timeline) == {"app": 10 + 56, "network": 4, "unexplained": 30}


def test_a_lost_service_below_a_server_span() -> None:
    """Neither the call to it nor its server span came: its calls alone show it, as one visit."""
    trace = TraceBuilder()
    root = trace.span("foo", 0, 100, None, "Server")
    for at in (10, 50):
        trace.span("bar", at, 30, root, "Client", attributes={"db.system": "redis"})
    timeline = told(trace)
    assert picture(timeline) == [
        "service foo",
        "  service bar inferred",
        "    dependency redis inferred",
        "    dependency redis inferred",
    ]


def test_a_lost_service_directly_behind_a_gateway() -> None:
    """A backend that reports its calls only is drawn between the gateway and what it called."""
    trace = TraceBuilder()
    call = trace.span(
        "bff", 10, 60, "c0ffee0000000001", "Client", attributes={"server.address": "orders"}
    )
    trace.span("orders", 12, 50, call, "Server")
    known = record(total=100, backend=80, trace_id=TRACE, outgoing_span_id="c0ffee0000000001")
    timeline = told(trace, records=[known])
    assert picture(timeline) == [
        "gateway shop-apim",
        "  service bff inferred",
        "    service orders",
    ]


def test_a_sidecar_is_no_other_service() -> None:
    """An application's call and its sidecar's are one call, whatever the proxy's name is."""
    trace = TraceBuilder()
    root = trace.span("orders", 0, 100, None, "Server")
    call = trace.span("orders", 5, 80, root, "Client", attributes={"server.address": "stock"})
    out = trace.sidecar_out("orders", "stock", 6, 78, call)
    trace.sidecar_in("stock", 8, 70, out)
    assert picture(told(trace)) == ["service orders", "  service stock.shop"]


@pytest.mark.parametrize("named", [{}, {"server.address": "bar"}])
def test_two_calls_of_a_service_whose_server_span_was_lost_are_its_own(
    named: dict[str, str],
) -> None:
    """They are no tries of its caller's call, whether or not that says whom it called."""
    trace = TraceBuilder()
    foo = trace.span("foo", 0, 100, None, "Server")
    call = trace.span("foo", 5, 90, foo, "Client", attributes=named)
    trace.span("baz", 12, 20, trace.span("bar", 10, 30, call, "Client"), "Server")
    trace.span("bar", 50, 30, call, "Client", attributes={"db.system": "postgresql"})
    timeline = stitch([], trace.spans, now_ns=LONG_AFTER)
    assert picture(timeline) == [
        "service foo",
        "  service bar inferred",
        "    service baz",
        "    dependency postgresql inferred",
    ]
    assert not timeline.acts


@pytest.mark.parametrize(
    ("url", "callee"),
    [
        ("https://shop.example/api?next=http://other.example", "shop.example"),
        ("http://me:secret@shop.example:8443/api", "shop.example"),
        ("http://[2001:db8::7]:8080/", "2001:db8::7"),
    ],
)
def test_a_call_that_only_says_its_url_is_of_the_host_in_it(url: str, callee: str) -> None:
    """A browser's span has no peer's name; it did not call itself."""
    trace = TraceBuilder()
    page = trace.span("browser", 0, 100, name="load")
    trace.span("browser", 5, 50, page, "Client", attributes={"http.url": url})
    assert (
        picture(stitch([], trace.spans, now_ns=LONG_AFTER))[1] == f"  dependency {callee} inferred"
    )
