"""Requests that are stitched in the background: each once, corrected when more comes, weighed."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from collector.config import Settings, load_settings
from collector.errors import StoreUnavailable
from collector.query.background.strata import place_of
from collector.query.background.worker import Background, Step
from collector.query.learned.freshness import Freshness
from collector.query.service import QueryService
from collector.query.timelines.stitching import Stitching
from collector.stitch.timeline import Timeline
from collector.store import Store, open_store
from collector.store import stitched as stored_requests
from collector.store.stitched import find_arrivals
from collector.telemetry import Metrics
from tests.changing import make_hop, make_request
from tests.manual_clock import ManualClock
from tests.stored import query_rows
from tests.stories import (
    MINUTE,
    MS,
    NOW,
    SECOND,
    Story,
    joined_story,
    keep,
    load_kept,
    make_record,
    number_id,
    refused_story,
    request_id_story,
    tell,
    unrecorded_story,
)


@dataclass
class Stage:
    """A store to which stories are told as time goes by. A test sees what began in its own time."""

    settings: Settings
    clock: ManualClock
    store: Store
    work: Background
    metrics: Metrics
    questions: QueryService
    now: int = NOW
    act: int = 0

    def n(self, number: int) -> int:
        """Return a number that no other test uses."""
        return self.act * 2_000 + number

    def arrive(self, *stories: Story) -> None:
        """Let these arrive now."""
        for story in stories:
            story.lag_ns = self.clock.now_ns() - story.start_ns
        tell(stories, self.settings, self.store, self.clock)

    def stitch(self) -> int:
        """Wait until what arrived is settled, and stitch it; return how many that were."""
        self.clock.advance(s=11)
        count, step = 0, Step(0, 0, 0, is_behind=True)
        while step.is_behind:
            step = self.work.step()
            count += step.stitched
        return count

    def rows(
        self, columns: str, table: str = "requests", tail: str = "ORDER BY start"
    ) -> list[Any]:
        """Ask one of the views."""
        since = "start >= fromUnixTimestamp64Nano({since_ns:Int64})"
        sql = f"SELECT {columns} FROM hopline.{table} WHERE {since} {tail}"
        return query_rows(self.store, sql, since_ns=self.now - 2 * MINUTE)


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Yield a stage with an empty store."""
    folder = tmp_path_factory.mktemp("background")
    settings = load_settings(data_dir=folder, ttl_days=0)
    clock = ManualClock(NOW)
    store = open_store(settings.store(), clock, Metrics())
    store.migrate()
    metrics = Metrics()
    questions = QueryService(store, clock, Freshness(store, clock, folder), metrics=metrics)
    yield Stage(settings, clock, store, questions.background(1.0), metrics, questions)
    questions.close()
    store.close()


@pytest.fixture
def stage(theatre: Stage) -> Stage:
    """Return the stage half an hour after what the test before has left on it."""
    theatre.clock.advance(ns=30 * MINUTE)
    theatre.act += 1
    theatre.now = theatre.clock.now_ns()
    theatre.work._rate = 500.0
    return theatre


def test_calls_of_requests_that_wait_to_be_stitched_are_known(stage: Stage) -> None:
    """Among stitched requests, a caller that is new is seen before its requests have their turn."""
    stage.arrive(joined_story(stage.n(1), stage.now - 40 * SECOND))
    stage.stitch()
    waiting = unrecorded_story(stage.n(2), stage.now - 30 * SECOND)
    first = waiting.spans[0]
    job = {**first.resource, "service.name": "night-job"}
    waiting.spans = [replace(first, service="night-job", resource=job), *waiting.spans[1:]]
    stage.arrive(waiting)
    calls = stage.questions.traces.calls(stage.now - MINUTE, stage.now)
    assert "night-job" in {caller for caller, _, _ in calls}
    assert ("orders", "payments") in {(caller, callee) for caller, callee, _ in calls}
    assert stage.stitch() == 1


def test_copies_and_visits_to_oneself_are_no_calls(stage: Stage) -> None:
    """What is mirrored nobody called for; two visits to a service in a row are no call by it."""
    again = [
        make_hop("orders", 30, caller="payments", parent=0),
        make_hop("orders", 20, caller="orders", parent=0),
        make_hop("shadow", 10, caller="orders", parent=1, is_mirrored=True),
        make_hop("stock", 10, caller="orders", parent=1),
        make_hop("stock", 10, caller="orders", parent=1, is_mirrored=True),
    ]
    request = make_request(stage.n(1), stage.now - 40 * SECOND, *again, weight=3)
    stage.store.write_requests([request], (), stage.now)
    calls = stage.questions.traces.calls(stage.now - MINUTE, stage.now)
    assert calls == [("orders", "stock", 3), ("payments", "orders", 3)]


def test_a_source_without_a_name_has_the_one_opentelemetry_gives_it(stage: Stage) -> None:
    """No row of the sources is without a name."""
    story = unrecorded_story(stage.n(1), stage.now - 30 * SECOND)
    story.spans = [replace(span, service="", resource={}) for span in story.spans]
    stage.arrive(story)
    assert stage.stitch() == 1
    names = {report.source for report in stage.questions.reports.sources().sources}
    assert "unknown_service" in names
    assert "" not in names


def test_each_request_becomes_one_row(stage: Stage) -> None:
    """Joined, refused, unrecorded and failed requests are rows with what their timelines say."""
    stories = [
        joined_story(stage.n(1), stage.now - 40 * SECOND),
        refused_story(stage.n(2), stage.now - 30 * SECOND),
        unrecorded_story(stage.n(3), stage.now - 20 * SECOND),
        joined_story(stage.n(4), stage.now - 10 * SECOND, failed=True),
    ]
    stage.arrive(*stories)
    assert stage.stitch() == 4
    columns = "request_id, api, status, error, joined, weight, verdict_layer, hops, duration_ms"
    columns = columns.replace("error", "is_error")
    record, refused, lone, failed = stage.rows(columns)
    assert record[:6] == (stories[0].records[0].record_id, "orders-api", 200, False, True, 1)
    assert record[7:] == (5, 104.0)
    assert refused[:6] == (stories[1].records[0].record_id, "orders-api", 401, True, None, 1)
    assert lone[:6] == (number_id(stage.n(3)), "", 200, False, False, 1)
    assert failed[3] is True
    assert failed[6] != "none"
    assert stage.stitch() == 0


def test_phases_add_up_and_hops_say_where_they_ran(stage: Stage) -> None:
    """The phases of a row sum to its duration; its hops have callers, hosts and own times."""
    stage.arrive(joined_story(stage.n(1), stage.now - 20 * SECOND))
    stage.stitch()
    phases = (
        "client", "gateway", "cache", "network", "edge_proxy", "mesh_proxy", "app", "dependency",
        "unexplained",
    )  # fmt: skip
    total = " + ".join(f"ifNull({name}_ms, 0)" for name in phases)
    ((whole, summed, services),) = stage.rows(f"duration_ms, {total}, services")
    assert summed == pytest.approx(whole)
    assert services == ["istio-ingressgateway", "orders", "payments"]
    hops = stage.rows("index, caller, service, role, pod, node", "hops", "ORDER BY index")
    assert [hop[:4] for hop in hops] == [
        (0, "", "azure-apim", "gateway"),
        (1, "azure-apim", "istio-ingressgateway", "edge"),
        (2, "istio-ingressgateway", "orders", "service"),
        (3, "orders", "payments", "service"),
        (4, "payments", "postgresql", "dependency"),
    ]
    assert hops[2][5].startswith("node-")


def test_a_hop_ran_where_the_called_one_did(stage: Stage) -> None:
    """Pod, node, zone and version are not those of the caller, whose own span is of the call."""
    story = joined_story(stage.n(1), stage.now - 20 * SECOND)
    orders, proxy = story.spans[2:4]

    def place(name: str) -> dict[str, str]:
        return {
            "service.name": name,
            "service.version": f"{name}-v",
            "k8s.pod.name": f"{name}-pod",
            "k8s.node.name": f"{name}-node",
            "cloud.availability_zone": f"{name}-zone",
        }

    orders.resource, story.spans[4].resource = place("orders"), place("payments")
    calling = replace(orders, span_id=number_id(stage.n(1) + 5, 16), name="POST", kind="Client")
    calling.parent_span_id, calling.attributes = orders.span_id, {"http.status_code": "200"}
    calling.start_ns, calling.end_ns = proxy.start_ns - MS // 2, proxy.end_ns + MS // 2
    proxy.parent_span_id = calling.span_id
    story.spans.append(calling)
    stage.arrive(story)
    stage.stitch()
    assert stage.rows(
        "service, pod, node, zone, version",
        "hops",
        "AND service IN ('orders', 'payments') ORDER BY index",
    ) == [
        (name, f"{name}-pod", f"{name}-node", f"{name}-zone", f"{name}-v")
        for name in ("orders", "payments")
    ]


def test_a_late_record_corrects_the_row_of_its_trace(stage: Stage) -> None:
    """A trace is a row of its own until its record comes; then they are one, under its id."""
    story = joined_story(stage.n(1), stage.now - 20 * SECOND)
    stage.arrive(Story(spans=story.spans))
    assert stage.stitch() == 1
    assert stage.rows("request_id, api, joined") == [(number_id(stage.n(1)), "", False)]
    stage.clock.advance(ns=7 * MINUTE)
    stage.arrive(Story(records=story.records))
    assert stage.stitch() == 1
    assert stage.rows("request_id, api, joined") == [
        (story.records[0].record_id, "orders-api", True)
    ]


def test_a_late_record_that_only_a_request_id_joins_corrects_it_too(stage: Stage) -> None:
    """A record without a trace id takes the place of the trace that carries its request id."""
    story = request_id_story(stage.n(1), stage.now - 20 * SECOND)
    stage.arrive(Story(spans=story.spans))
    stage.stitch()
    stage.clock.advance(ns=3 * MINUTE)
    stage.arrive(Story(records=story.records))
    stage.stitch()
    assert stage.rows("request_id, joined, length(services)") == [
        (story.records[0].record_id, True, 3)
    ]


def test_late_spans_complete_the_row(stage: Stage) -> None:
    """Spans that come after their record's row was written add their hops to it."""
    story = joined_story(stage.n(1), stage.now - 20 * SECOND)
    stage.arrive(Story(records=story.records, spans=story.spans[:2]))
    stage.stitch()
    ((before,),) = stage.rows("hops")
    stage.clock.advance(ns=MINUTE)
    stage.arrive(Story(spans=story.spans[2:]))
    stage.stitch()
    ((after,),) = stage.rows("hops")
    assert before < after == 5


def test_late_spans_of_a_long_request_are_no_new_request(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minutes into a request it makes one more call: that is known by its trace, not its start."""
    story = joined_story(stage.n(1), stage.now - 100 * SECOND, inner_ns=300 * SECOND)
    *early, late = story.spans
    began_ns = stage.now + 200 * SECOND
    late = replace(late, start_ns=began_ns, end_ns=began_ns + SECOND)
    counted = stage.metrics.value("hopline_request_total")
    stage.arrive(Story(records=story.records, spans=early))
    stage.stitch()
    assert stage.rows("request_id, hops") == [(story.records[0].record_id, 4)]
    stage.clock.advance(ns=220 * SECOND)
    stage.arrive(Story(spans=[late]))
    monkeypatch.setattr(stage.work, "_rate", 1e-9)
    stage.stitch()
    assert stage.rows("request_id, hops") == [(story.records[0].record_id, 5)]
    assert stage.metrics.value("hopline_request_total") == counted + 1


def test_a_sampled_logs_weight_counts_once(stage: Stage) -> None:
    """A record that stands for 25 does so whenever it is stitched again, and not for 625."""
    story = joined_story(stage.n(1), stage.now - 20 * SECOND)
    story.records[0].weight = 25.0
    stage.arrive(Story(spans=story.spans[:2]))
    stage.stitch()
    for late in (Story(records=story.records), *(Story(spans=[each]) for each in story.spans[2:])):
        stage.clock.advance(ns=MINUTE)
        stage.arrive(late)
        stage.stitch()
        assert stage.rows("weight") == [(25,)]


def test_a_weight_beyond_all_counting_stops_nothing(stage: Stage) -> None:
    """A log may claim any weight: it is cut to what a row can hold."""
    odd = {stage.n(1): 0.0, stage.n(2): 1e300, stage.n(3): 0.4, stage.n(4): 2.6}
    records = [
        make_record(number, stage.now - 20 * SECOND + number, weight=weight)
        for number, weight in odd.items()
    ]
    stage.arrive(Story(records=records))
    stage.stitch()
    assert stage.rows("weight") == [(1,), (2**32 - 1,), (1,), (3,)]


def test_what_is_loaded_after_an_outage_is_stitched_all_the_same(stage: Stage) -> None:
    """What lay in the journal while the work went on past it gets its rows when it is loaded."""
    story = joined_story(stage.n(1), stage.now - 30 * SECOND)
    story.lag_ns = 30 * SECOND
    keep([story], stage.settings, stage.clock)
    stage.clock.advance(s=60)
    assert stage.stitch() == 0
    load_kept(stage.settings, stage.store)
    assert stage.stitch() >= 1
    assert stage.rows("request_id, joined, hops") == [(story.records[0].record_id, True, 5)]
    assert stage.stitch() == 0


def test_what_an_outage_of_hours_held_back_is_stitched(stage: Stage) -> None:
    """Also what the work itself never looked at, since it goes on an hour ago at most."""
    story = joined_story(stage.n(1), stage.now - 30 * SECOND)
    story.lag_ns = 30 * SECOND
    keep([story], stage.settings, stage.clock)
    stage.clock.advance(s=3 * 3600)
    load_kept(stage.settings, stage.store)
    assert stage.stitch() >= 1
    assert stage.rows("request_id, joined") == [(story.records[0].record_id, True)]
    assert stage.stitch() == 0


def test_a_later_version_of_a_record_completes_its_row(stage: Stage) -> None:
    """A record that is delivered again and knows more is one row with all that is known."""
    start_ns = stage.now - 20 * SECOND
    stage.arrive(Story(records=[make_record(stage.n(1), start_ns, consumer="", duration_ns=None)]))
    stage.stitch()
    stage.clock.advance(ns=MINUTE)
    stage.arrive(Story(records=[make_record(stage.n(1), start_ns)]))
    stage.stitch()
    assert stage.rows("consumer, duration_ms, count() OVER ()") == [("acme-mobile", 120.0, 1)]


def test_requests_of_one_trace_stay_apart(stage: Stage) -> None:
    """Two records under one passed-on trace id are two rows, also when spans of it come late."""
    one = joined_story(stage.n(1), stage.now - 40 * SECOND)
    again = make_record(
        stage.n(2), stage.now - 30 * SECOND, trace_id=number_id(stage.n(1)), backend_ns=None
    )
    stage.arrive(one, Story(records=[again]))
    stage.stitch()
    stage.clock.advance(ns=MINUTE)
    stage.arrive(Story(spans=one.spans[5:]))
    stage.stitch()
    found = {row[0] for row in stage.rows("request_id")}
    assert found == {one.records[0].record_id, again.record_id}


def test_nothing_is_stitched_twice_and_nothing_is_lost_when_it_is_interrupted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that fails half-way is done again, leaves one row a request and counts it once."""
    stage.arrive(
        *(
            joined_story(stage.n(number), stage.now - 60 * SECOND + number * SECOND)
            for number in range(9)
        )
    )

    def fail(name: str, moment_ns: int) -> None:
        raise StoreUnavailable("gone")

    counted = stage.metrics.value("hopline_request_total")
    with monkeypatch.context() as patched:
        patched.setattr(stage.store, "set_progress", fail)
        with pytest.raises(StoreUnavailable):
            stage.stitch()
    stage.stitch()
    assert stage.rows("count(), uniq(request_id)", tail="") == [(9, 9)]
    assert stage.metrics.value("hopline_request_total") == counted + 9


def test_what_has_no_room_in_a_page_gets_a_smaller_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests with many spans are stitched by twos or alone; one with too many is counted."""
    stories = [
        joined_story(stage.n(number), stage.now - 40 * SECOND + number * SECOND)
        for number in range(7)
    ]
    one = len(stories[0].spans)
    large = unrecorded_story(stage.n(7), stage.now - 30 * SECOND)
    first = large.spans[0]
    large.spans += [replace(first, span_id=f"{n:016x}") for n in range(1, 2 * one)]
    stage.arrive(*stories, large)
    monkeypatch.setattr("collector.query.timelines.rows.MAX_PAGE_SPANS", 2 * one + 1)
    left_out = stage.metrics.value("hopline_request_unstitched_total", reason="no_room")
    assert stage.stitch() == 7
    rows = stage.rows("request_id, hops", tail="ORDER BY start")
    assert rows == [(story.records[0].record_id, 5) for story in stories]
    counted = stage.metrics.value("hopline_request_unstitched_total", reason="no_room")
    assert counted - left_out == 1


def test_one_request_that_cannot_be_stitched_stops_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error about one request costs that one: it is counted, the rest are rows, once each."""
    stories = [
        joined_story(stage.n(number), stage.now - 40 * SECOND + number * SECOND)
        for number in range(5)
    ]
    bad = stories[2].records[0].record_id
    stage.arrive(*stories)
    make = Stitching.make

    def fail(self: Stitching, *args: Any, subject: str = "", **given: Any) -> Timeline:
        if subject == bad:
            raise RecursionError("too deep")
        return make(self, *args, subject=subject, **given)

    monkeypatch.setattr(Stitching, "make", fail)
    failed = stage.metrics.value("hopline_request_unstitched_total", reason="failed")
    counted = stage.metrics.value("hopline_request_total")
    assert stage.stitch() == 4
    assert {row[0] for row in stage.rows("request_id")} == {
        story.records[0].record_id for story in stories
    } - {bad}
    assert stage.metrics.value("hopline_request_unstitched_total", reason="failed") == failed + 1
    assert stage.metrics.value("hopline_request_total") == counted + 4


def test_no_more_arrivals_are_put_together_than_are_asked_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much arrived in a stretch, it is read in portions, each trace and record once."""
    monkeypatch.setattr(stored_requests, "_MAX_ARRIVALS", 3)
    after_ns = stage.clock.now_ns()
    for number in range(6):
        stage.clock.advance(s=1)
        name, start_ns = stage.n(number), stage.clock.now_ns() - SECOND
        if number < 4:
            stage.arrive(unrecorded_story(name, start_ns))
        else:
            stage.arrive(joined_story(name, start_ns, 80 * MS))
    until_ns = stage.clock.now_ns() + SECOND
    records: list[str] = []
    traces: list[str] = []
    with stage.store.connections.reading() as client:
        client.command("SET max_rows_to_group_by = 3")
        try:
            while after_ns < until_ns:
                found = find_arrivals(client, "hopline", after_ns, until_ns)
                assert after_ns < found.until_ns <= until_ns
                after_ns = found.until_ns
                records += [each.record_id for each in found.records]
                traces += [each.trace_id for each in found.traces]
        finally:
            client.command("SET max_rows_to_group_by = 0")
    assert len(records) == len(set(records)) == 2
    assert len(traces) == len(set(traces)) == 6


def test_what_does_not_fit_is_sampled_and_weighed(stage: Stage) -> None:
    """With time for a few, all that failed are taken and the rest stands for all of it."""
    count = 600
    records = [
        make_record(
            number,
            stage.now - 50 * SECOND + number * 50 * MS,
            trace_id=number_id(number + 700),
            status=500 if number % 30 == 0 else 200,
            is_error=number % 30 == 0,
        )
        for number in range(count)
    ]
    stage.stitch()
    stage.arrive(*(Story(records=records[first : first + 50]) for first in range(0, count, 50)))
    stage.work._rate = 9.0  # time for about a hundred
    stage.stitch()
    rows = stage.rows("status, weight, count()", tail="GROUP BY status, weight ORDER BY status")
    failed = [row for row in rows if row[0] == 500]
    rest = [row for row in rows if row[0] == 200]
    assert failed == [(500, 1, 20)]
    assert len(rest) == 1
    _, weight, drawn = rest[0]
    assert weight > 1
    assert weight & (weight - 1) == 0
    assert drawn * weight == pytest.approx(580, rel=0.35)
    # what was drawn stays drawn, with its weight, when it comes again
    stage.clock.advance(ns=MINUTE)
    stage.arrive(*(Story(records=records[first : first + 50]) for first in range(0, count, 50)))
    stage.stitch()
    again = stage.rows("status, weight, count()", tail="GROUP BY status, weight ORDER BY status")
    assert [row for row in again if row[0] == 500] == failed
    assert sum(row[1] * row[2] for row in again) == pytest.approx(count, rel=0.35)


def test_a_failed_trace_is_taken_though_its_record_says_200(stage: Stage) -> None:
    """An error that the gateway masked is an error: the trace decides as well as the record."""
    stories = []
    for number in range(40):
        story = joined_story(
            100_000 + number, stage.now - 50 * SECOND + number * SECOND, failed=number % 2 == 0
        )
        story.records[0].status, story.records[0].is_error = 200, False
        stories.append(story)
    stage.stitch()
    stage.arrive(*stories)
    stage.work._rate = 2.2  # time for about 24, and they come as 40 records and 40 traces
    stage.stitch()
    weights = dict(stage.rows("request_id, weight"))
    failed = {each.records[0].record_id: each.records[0].trace_id for each in stories[::2]}
    of_failed = {each: weight for each, weight in weights.items() if each in failed}
    drawn = {each for each, trace in failed.items() if place_of(trace) < 1 << 63}
    assert of_failed == dict.fromkeys(drawn, 2)
    assert 4 < len(drawn) < 16
    others = [weight for each, weight in weights.items() if each not in failed]
    assert len(others) < len(drawn)
    assert all(weight > 2 for weight in others)


def test_requests_are_metrics_once_each(stage: Stage) -> None:
    """A request counts when it is first stitched, by layer when it failed, and not again."""
    failed = joined_story(stage.n(1), stage.now - 20 * SECOND, failed=True)
    failed.records[0].api = "metered"
    stage.arrive(failed)
    stage.stitch()
    stage.clock.advance(ns=MINUTE)
    stage.arrive(Story(spans=failed.spans[5:]))
    assert stage.stitch() == 1
    assert stage.metrics.value("hopline_request_total", api="metered", joined="yes") == 1
    assert stage.metrics.value("hopline_request_errors_total", api="metered") == 1
    text = stage.metrics.exposition()[0].decode()
    counted = 'hopline_request_seconds_count{api="metered",gateway="azure-apim",phase="%s"} 1\n'
    assert counted % "total" in text
    assert counted % "gateway" in text


def test_a_connection_has_a_life_and_no_duration(stage: Stage) -> None:
    """A WebSocket and the hop that holds it have no time of an answer; its life is kept."""
    story = joined_story(stage.n(1), stage.now - 60 * SECOND)
    (record,) = story.records
    record.kind, record.status = "websocket", 101
    stage.arrive(story)
    assert stage.stitch() == 1
    life = (record.duration_ns or 0) / 1e6
    columns = "duration_ms, open_ms, gateway_ms, app_ms, unexplained_ms"
    assert stage.rows(columns) == [(None, life, None, None, None)]
    held, brief = stage.rows("countIf(isNull(duration_ms)), sum(critical_ms)", "hops", "")[0]
    assert held >= 1
    assert brief == 0


def test_probes_are_kept_out_of_the_views(stage: Stage) -> None:
    """A kubelet's probe is stitched like anything else, and shown to nobody."""
    probe = unrecorded_story(stage.n(1), stage.now - 20 * SECOND)
    del probe.spans[1:]
    probe.spans[0].attributes = {"user_agent": "kube-probe/1.31", "url.path": "/healthz"}
    by_path = unrecorded_story(stage.n(3), stage.now - 20 * SECOND)
    by_path.spans[0].attributes = {"http.request.method": "GET", "url.path": "/shop/readyz?deep"}
    recorded = joined_story(stage.n(4), stage.now - 20 * SECOND)
    recorded.records[0].is_probe = True
    other = unrecorded_story(stage.n(2), stage.now - 10 * SECOND)
    stage.arrive(probe, by_path, recorded, other)
    assert stage.stitch() == 4
    assert stage.rows("trace_id") == [(number_id(stage.n(2)),)]


def test_requests_of_long_ago_are_left_alone(stage: Stage) -> None:
    """A clock that lies by weeks does not make partitions of its own."""
    stage.arrive(
        joined_story(stage.n(1), stage.now - 20 * 24 * 60 * MINUTE),
        joined_story(stage.n(2), stage.now - 20 * SECOND),
    )
    assert stage.stitch() == 1


@pytest.mark.parametrize("text", ["", "a", "00000000-0000-4000-8000-000000000001", "ö" * 40])
def test_engine_and_worker_hash_alike(text: str, stage: Stage) -> None:
    """A request is drawn by the same hash in SQL and in Python."""
    sql = "SELECT reinterpretAsUInt64(substring(MD5({text:String}), 1, 8))"
    ((hashed,),) = query_rows(stage.store, sql, text=text)
    assert hashed == place_of(text)
    assert hashlib.md5(text.encode()).digest()[:8] == place_of(text).to_bytes(8, "little")


def test_a_step_that_fails_costs_no_more_than_its_share(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an error the thread rests as long as after any work."""
    rests: list[float] = []

    class Halt(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            rests.append(timeout or 0.0)
            self.set()
            return True

    times = iter((100.0, 130.0))
    monkeypatch.setattr("collector.query.background.worker.monotonic", lambda: next(times))
    monkeypatch.setattr(stage.work, "_cpu_ratio", 0.25)

    def fail() -> Step:
        raise ValueError

    monkeypatch.setattr(stage.work, "step", fail)
    stage.work.run(Halt())
    assert rests == [90.0]


def test_hours_are_summed_up_while_stitching_is_behind(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more comes than can be stitched, reports over days are as fast as elsewhere."""
    stage.arrive(joined_story(stage.n(1), stage.now - 180 * MINUTE))
    monkeypatch.setattr(stage.work, "step", lambda: Step(0, 0, 0, is_behind=True))

    class Halt(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if self.hours() or stage.clock.now_ns() > stage.now + 20 * MINUTE:
                self.set()
            stage.clock.advance(s=60)
            return self.is_set()

        def hours(self) -> list[int]:
            found = stage.store.find_record_hours(stage.now - 240 * MINUTE, stage.now)
            return [each.number for each in found if each.is_summed]

    halt = Halt()
    stage.work.run(halt)
    assert halt.hours()


def test_the_thread_works_and_ends(stage: Stage) -> None:
    """The worker's thread stitches by itself, survives errors, and stops when it is told to."""
    stage.arrive(joined_story(stage.n(1), stage.now - 20 * SECOND))
    stage.clock.advance(s=11)
    halt = threading.Event()
    thread = threading.Thread(target=stage.work.run, args=(halt,))
    thread.start()
    try:
        for _ in range(200):
            if stage.rows("count()", tail="") == [(1,)]:
                break
            halt.wait(0.05)
    finally:
        halt.set()
        thread.join(10)
    assert not thread.is_alive()
    assert stage.rows("count()", tail="") == [(1,)]
