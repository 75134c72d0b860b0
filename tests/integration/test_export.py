"""Gateway records sent on as spans: into the mesh's trace, once, whatever the endpoint does."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from collector.config import Settings, load_settings
from collector.export.sending import Outcome, open_sender
from collector.export.worker import POSITION, Exporter, NotDelivered, Step
from collector.model import Id, Span
from collector.query.learned.freshness import Freshness
from collector.query.service import QueryService
from collector.query.timelines import rows as timeline_rows
from collector.settings import ExportSettings
from collector.store import Store, StoredRecord, open_store
from collector.telemetry import Metrics
from tests.manual_clock import ManualClock
from tests.otlp_receiver import (
    Receiver,
    always,
    attributes_of,
    partial,
    receiving,
    receiving_grpc,
)
from tests.stories import (
    MS,
    SECOND,
    Story,
    joined_story,
    make_record,
    make_spans,
    number_id,
    refused_story,
    request_id_story,
    tell,
)


@dataclass
class Stage:
    """A store, and an endpoint that it is exported to; each test has a position of its own."""

    settings: Settings
    clock: ManualClock
    store: Store
    questions: QueryService
    receiver: Receiver
    metrics: Metrics
    act: int = 0

    def n(self, number: int) -> int:
        """Return a number that no other test uses."""
        return self.act * 50_000 + number

    def at(self, seconds_ago: float = 20) -> int:
        """Return a moment a while ago."""
        return self.clock.now_ns() - round(seconds_ago * SECOND)

    def arrive(self, *stories: Story) -> None:
        """Let these arrive now."""
        for story in stories:
            story.lag_ns = self.clock.now_ns() - story.start_ns
        tell(stories, self.settings, self.store, self.clock)

    def exporter(self, url: str = "", **given: object) -> Exporter:
        """Return an exporter that goes on where the last one was."""
        chosen = ExportSettings(url or self.receiver.url, wait_s=0, **given)  # type: ignore[arg-type]  # named by tests
        sender = open_sender(chosen)
        return Exporter(self.store, self.clock, self.questions.rows, sender, chosen, self.metrics)

    def export(self, exporter: Exporter | None = None) -> int:
        """Send all there is; return how many spans that were."""
        exporter = exporter or self.exporter()
        count, step = 0, Step(0, 0, 0, is_behind=True)
        while step.is_behind:
            step = exporter.step()
            count += step.spans
        return count

    def span(self, number: int = -1) -> OtlpSpan:
        """Return a span that arrived."""
        return self.receiver.spans[number]

    def counted(self, name: str) -> dict[tuple[str, ...], float]:
        """Return a metric by its labels."""
        return {
            tuple(sample.labels.values()): sample.value
            for family in self.metrics.families()
            for sample in family.samples
            if sample.name == name
        }


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Yield a stage with an empty store."""
    folder: Path = tmp_path_factory.mktemp("export")
    settings = load_settings(data_dir=folder, ttl_days=0)
    clock = ManualClock(time.time_ns())
    store = open_store(settings.store(), clock, Metrics())
    store.migrate()
    questions = QueryService(store, clock, Freshness(store, clock, folder), metrics=Metrics())
    yield Stage(settings, clock, store, questions, Receiver(), Metrics())
    questions.close()
    store.close()


@pytest.fixture
def stage(theatre: Stage) -> Iterator[Stage]:
    """Yield the stage for one test: what came before is exported already."""
    with receiving() as receiver:
        now_ns = max(time.time_ns(), theatre.clock.now_ns() + 1)
        theatre.clock.advance(ns=now_ns - theatre.clock.now_ns())
        theatre.store.set_progress(POSITION, theatre.store.records_in_order.now_ns())
        yield replace(theatre, receiver=receiver, metrics=Metrics(), act=theatre.act)
        theatre.act += 1


def test_the_span_is_the_parent_that_the_mesh_names(stage: Stage) -> None:
    """The record's span has the id that its gateway sent on, with its times and HTTP attributes."""
    story = joined_story(stage.n(1), stage.at())
    stage.arrive(story)
    assert stage.export() == 1
    [record], span = story.records, stage.span()
    assert span.trace_id.hex() == record.trace_id
    assert span.span_id.hex() == record.outgoing_span_id == story.spans[0].parent_span_id
    assert span.parent_span_id == b""
    assert span.kind == OtlpSpan.SPAN_KIND_SERVER
    assert span.start_time_unix_nano == record.start_ns
    assert span.end_time_unix_nano == record.start_ns + (record.duration_ns or 0)
    assert span.name == "GET"
    attributes = attributes_of(span)
    expected = {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.path": record.path,
        "url.scheme": "https",
        "server.address": "api.shop.example",
        "hopline.api": "orders-api",
        "hopline.record_id": record.record_id,
        "hopline.gateway": "azure-apim",
        "hopline.join.tier": 0,
        "hopline.verdict.layer": "none",
    }
    assert expected.items() <= attributes.items()
    phases = [v for k, v in attributes.items() if k.startswith("hopline.phase.")]
    total_ms = sum(value for value in phases if isinstance(value, float))
    assert total_ms == pytest.approx((record.duration_ns or 0) / MS)
    resource = stage.receiver.taken[-1][0]
    assert resource["service.name"] == "azure-apim"


def test_a_record_is_sent_once(stage: Stage) -> None:
    """Neither a second look nor a later version of the record sends its span again."""
    story = joined_story(stage.n(1), stage.at())
    stage.arrive(story)
    assert stage.export() == 1
    assert stage.export() == 0
    later = replace(story.records[0], source="app-insights", backend_status=None)
    stage.arrive(Story([later]))
    assert stage.export() == 0


def test_a_later_version_that_brings_the_trace_id_is_sent(stage: Stage) -> None:
    """A record without a trace id is counted, and sent when another source knows the trace."""
    record = make_record(stage.n(1), stage.at())
    stage.arrive(Story([record]))
    assert stage.export() == 0
    skipped = stage.counted("hopline_export_records_skipped_total")
    assert skipped == {("azure-apim", "no_trace_id"): 1}
    named = replace(record, source="app-insights", trace_id=number_id(stage.n(1)))
    stage.arrive(Story([named]))
    assert stage.export() == 1


def test_a_record_joined_by_request_id_goes_into_the_meshs_trace(stage: Stage) -> None:
    """Where no span names it as parent, its id is its own and a link leads to the mesh's first."""
    story = request_id_story(stage.n(1), stage.at())
    stage.arrive(story)
    assert stage.export() == 1
    span, first = stage.span(), story.spans[0]
    assert span.trace_id.hex() == first.trace_id
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in span.links] == [
        (first.trace_id, first.span_id)
    ]
    again = stage.exporter()
    stage.receiver.taken.clear()
    resent = again._spans(_all(stage, story), 0, set())
    assert [each.span_id for each in resent] == [span.span_id.hex()]


def _all(stage: Stage, story: Story) -> list[StoredRecord]:
    now_ns = stage.store.records_in_order.now_ns()
    found = stage.store.records_in_order.find(now_ns - 3600 * SECOND, now_ns, (), 1_000)
    return [each for each in found if each.record_id == story.records[0].record_id]


def test_a_parent_that_nobody_sent_is_the_gateways_span(stage: Stage) -> None:
    """The record knows no span id, the mesh's first span names one: that one is filled in."""
    number, start_ns = stage.n(1), stage.at()
    story = request_id_story(number, start_ns)
    missing = number_id(number + 9, 16)
    story.spans = make_spans(number, start_ns + 5 * MS, missing, 80 * MS)
    stage.arrive(story)
    assert stage.export() == 1
    assert stage.span().span_id.hex() == missing


def test_a_traceparent_that_was_passed_on_stays_the_clients(stage: Stage) -> None:
    """The client's span is the parent of both; the gateway's span takes an id of its own."""
    number, start_ns = stage.n(1), stage.at()
    story = joined_story(number, start_ns)
    [record] = story.records
    record.parent_span_id = record.outgoing_span_id
    stage.arrive(story)
    assert stage.export() == 1
    span = stage.span()
    assert span.parent_span_id.hex() == record.parent_span_id
    assert span.span_id.hex() != record.outgoing_span_id
    assert span.links[0].span_id.hex() == story.spans[0].span_id


def test_what_the_gateway_sent_itself_is_not_sent_again(stage: Stage) -> None:
    """A gateway that sends spans and logs the same request has its span in the trace already."""
    number, start_ns = stage.n(1), stage.at()
    story = joined_story(number, start_ns)
    [record] = story.records
    record.gateway, record.record_id = "kong", number_id(number + 5)
    record.ids = (Id("kong_request_id", record.record_id),)
    own = Span(
        trace_id=record.trace_id,
        span_id=record.outgoing_span_id,
        parent_span_id="",
        name="kong",
        service="kong",
        kind="Server",
        scope="kong-internal",
        start_ns=start_ns,
        end_ns=start_ns + 100 * MS,
        attributes={"kong.request.id": record.record_id},
        resource={"service.name": "kong"},
    )
    story.spans.append(own)
    stage.arrive(story)
    assert stage.export() == 0
    skipped = stage.counted("hopline_export_records_skipped_total")
    assert skipped == {("kong", "sent_by_gateway"): 1}


def test_two_gateways_one_behind_the_other(stage: Stage) -> None:
    """The inner gateway's span is the child of the outer one's, the mesh's of the inner one's."""
    number, start_ns = stage.n(1), stage.at()
    story = joined_story(number, start_ns)
    [inner] = story.records
    inner.parent_span_id = number_id(number + 7, 16)
    outer = replace(
        inner,
        gateway="azure-application-gateway",
        record_id=number_id(number + 8),
        ids=(),
        source="access-log",
        start_ns=start_ns - 4 * MS,
        duration_ns=(inner.duration_ns or 0) + 8 * MS,
        backend_ns=(inner.duration_ns or 0) + 2 * MS,
        parent_span_id="",
        outgoing_span_id=inner.parent_span_id,
    )
    story.records.append(outer)
    stage.arrive(story)
    assert stage.export() == 2
    by_id = {span.span_id.hex(): span for span in stage.receiver.spans}
    assert by_id[inner.outgoing_span_id].parent_span_id.hex() == outer.outgoing_span_id
    assert by_id[outer.outgoing_span_id].parent_span_id == b""


def test_only_chosen_gateways_and_attributes_are_sent(stage: Stage) -> None:
    """Records of other gateways stay, and so do attributes that are to be left out."""
    mine, other = joined_story(stage.n(1), stage.at()), joined_story(stage.n(2), stage.at())
    other.records[0].gateway = "apigee"
    stage.arrive(mine, other)
    chosen = stage.exporter(gateways=("azure-apim",), omitted=("url.path", "hopline.verdict.*"))
    assert stage.export(chosen) == 1
    attributes = attributes_of(stage.span())
    assert attributes["hopline.record_id"] == mine.records[0].record_id
    assert not {"url.path", "hopline.verdict.layer"} & attributes.keys()


def test_headers_are_sent_along(stage: Stage) -> None:
    """An endpoint's token goes with each batch."""
    stage.arrive(joined_story(stage.n(1), stage.at()))
    stage.export(stage.exporter(headers=(("x-token", "secret"),)))
    assert stage.receiver.headers[-1]["x-token"] == "secret"


def test_nothing_is_lost_while_the_endpoint_is_away(stage: Stage) -> None:
    """The position stays; what waits is sent when the endpoint is back."""
    stage.arrive(*(joined_story(stage.n(number), stage.at()) for number in range(5)))
    before_ns = stage.store.get_progress(POSITION)
    with receiving() as gone:
        away = gone.url
    with pytest.raises(NotDelivered, match="connection"):
        stage.exporter(away).step()
    assert stage.store.get_progress(POSITION) == before_ns
    assert stage.counted("hopline_export_failures_total") == {("connection",): 1}
    assert stage.export() == 5


def test_what_is_wrong_with_the_endpoint_loses_nothing(stage: Stage) -> None:
    """A wrong token or address refuses every batch: what waits is kept until it is put right."""
    stage.arrive(joined_story(stage.n(1), stage.at()))
    for status in (401, 404, 301, 500):
        stage.receiver.answer = always(status)
        with pytest.raises(NotDelivered, match=str(status)):
            stage.exporter().step()
    stage.receiver.answer = Receiver().answer
    assert stage.export() == 1


def test_a_span_that_is_refused_for_good_costs_the_others_nothing(stage: Stage) -> None:
    """Of a batch that is refused with 400 the one span at fault is found, counted and skipped."""
    stories = [joined_story(stage.n(number), stage.at()) for number in range(9)]
    stage.arrive(*stories)
    bad = bytes.fromhex(stories[4].records[0].trace_id)
    stage.receiver.answer = lambda spans: (
        (400, b"") if any(span.trace_id == bad for span in spans) else (200, b"")
    )
    assert stage.export() == 8
    assert bad not in {span.trace_id for span in stage.receiver.spans}
    assert len({span.span_id for span in stage.receiver.spans}) == 8
    assert stage.counted("hopline_export_spans_refused_total") == {("400",): 1}
    assert stage.export() == 0


def test_spans_that_are_not_kept_are_counted(stage: Stage) -> None:
    """A partial success says how many spans of a batch were rejected."""
    stage.arrive(*(joined_story(stage.n(number), stage.at()) for number in range(4)))
    stage.receiver.answer = lambda _: partial(3)
    assert stage.export() == 1
    assert stage.counted("hopline_export_spans_refused_total") == {("partial_success",): 3}


def test_grpc_carries_the_same_spans(stage: Stage) -> None:
    """Over gRPC the same spans arrive, with the endpoint's token and the tenant's name."""
    stage.arrive(*(joined_story(stage.n(number), stage.at()) for number in range(3)))
    with receiving_grpc() as endpoint:
        chosen = ExportSettings(
            f"grpc://127.0.0.1:{endpoint.port}",
            headers=(("X-Token", "secret"), ("X-Scope-OrgID", "main")),
            tenant_header="x-scope-orgid",
            wait_s=0,
        )
        exporter = stage.exporter(chosen.endpoint, headers=chosen.headers)
        assert stage.export(exporter) == 3
        assert endpoint.headers[-1]["x-token"] == "secret"
        assert endpoint.headers[-1]["x-scope-orgid"] == "main"
        assert attributes_of(endpoint.spans[0])["hopline.record_id"]
        sender = open_sender(chosen, "red")
        assert sender.send([]).outcome is Outcome.TAKEN
        assert endpoint.headers[-1]["x-scope-orgid"] == "red"
        sender.close()
        assert sender.send([]).outcome is Outcome.UNDELIVERED


def test_grpc_failures_lose_nothing(stage: Stage) -> None:
    """What passes is waited for; a span that is refused for good is found, counted and skipped."""
    stories = [joined_story(stage.n(number), stage.at()) for number in range(5)]
    stage.arrive(*stories)
    bad = bytes.fromhex(stories[2].records[0].trace_id)
    with receiving_grpc() as endpoint:
        exporter = stage.exporter(f"grpc://127.0.0.1:{endpoint.port}")
        for status, name in ((401, "UNAUTH"), (404, "UNIMPL"), (429, "RESOURCE"), (503, "UNAVAIL")):
            endpoint.answer = always(status)
            with pytest.raises(NotDelivered, match=name):
                exporter.step()
        endpoint.answer = lambda spans: (
            (413, b"")
            if len(spans) > 2
            else (400 * (bad in {s.trace_id for s in spans}) or 200, b"")
        )
        assert stage.export(exporter) == 4
        assert bad not in {span.trace_id for span in endpoint.spans}
        assert stage.counted("hopline_export_spans_refused_total") == {("INVALID_ARGUMENT",): 1}
        stage.arrive(joined_story(stage.n(9), stage.at()))
        endpoint.answer = lambda _: partial(1)
        assert stage.export(exporter) == 0
        away = exporter
    stage.arrive(joined_story(stage.n(10), stage.at()))
    with pytest.raises(NotDelivered, match="UNAVAILABLE"):
        away.step()


def test_services_that_sent_no_spans_are_sent_by_choice(stage: Stage) -> None:
    """A call whose callee sent nothing gets the callee's span below it, marked as inferred."""
    story = joined_story(stage.n(1), stage.at())
    story.spans = [span for span in story.spans if span.service != "payments"]
    call = replace(
        story.spans[-1],
        span_id=number_id(stage.n(77), 16),
        parent_span_id=story.spans[-1].span_id,
        kind="Client",
        name="payments.shop:8080/*",
        attributes={
            "component": "proxy",
            "upstream_cluster": "outbound|8080||payments.shop.svc.cluster.local",
            "node_id": "sidecar~10.0.0.1~orders",
        },
    )
    story.spans.append(call)
    stage.arrive(story)
    assert stage.export(stage.exporter(has_inferred_hops=True)) == 2
    [(resource, span)] = [
        each for each in stage.receiver.taken if attributes_of(each[1]).get("hopline.inferred")
    ]
    assert span.parent_span_id.hex() == call.span_id
    assert str(resource["service.name"]).startswith("payments")


def test_a_request_too_large_to_stitch_is_sent_by_its_record(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stitching would find is left out; the ids are the record's."""
    stories = [joined_story(stage.n(number), stage.at()) for number in range(3)]
    stage.arrive(*stories)
    monkeypatch.setattr(timeline_rows, "MAX_PAGE_SPANS", 5)
    assert stage.export() == 3
    sent = {span.span_id.hex() for span in stage.receiver.spans}
    assert sent == {story.records[0].outgoing_span_id for story in stories}


def test_a_large_request_costs_its_page_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests behind one that takes the room of a page are stitched like any other."""
    stage.arrive(*(joined_story(stage.n(number), stage.at()) for number in range(3)))
    monkeypatch.setattr(timeline_rows, "MAX_PAGE_SPANS", 6)
    assert stage.export() == 3
    assert all("hopline.join.tier" in attributes_of(span) for span in stage.receiver.spans)


def test_a_request_that_the_gateway_answered_itself_is_sent(stage: Stage) -> None:
    """A refused call with a trace id is the whole trace: an error, with its reason."""
    story = refused_story(stage.n(1), stage.at())
    story.records[0].trace_id = number_id(stage.n(1))
    story.records[0].parent_span_id = number_id(stage.n(2), 16)
    stage.arrive(story)
    assert stage.export() == 1
    span = stage.span()
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert attributes_of(span)["error.type"] == "TokenExpired"
    assert span.parent_span_id.hex() == story.records[0].parent_span_id
