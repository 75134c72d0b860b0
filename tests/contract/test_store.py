"""
One battery for every ClickHouse behind the store: embedded, and over HTTP.

`HOPLINE_TEST_CLICKHOUSE=<url>` adds a real server. Nothing opts out.
"""

import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.errors import (
    BadQuestion,
    QueryTimeout,
    StoreRejectedRows,
    StoreUnavailable,
    TooExpensive,
)
from collector.model import Id, SpanEvent, SpanLink, Stream
from collector.settings import Retention, StoreSettings
from collector.store import RequestFilter, Store, open_store
from collector.telemetry import Metrics
from tests.manual_clock import ManualClock
from tests.stitched_rows import make_stitched
from tests.stored import (
    NOW_NS,
    NS,
    Loading,
    clickhouse_server,
    encode_log,
    encode_spans,
    make_record,
    make_span,
    opened,
    query_rows,
    span_id,
    store_settings,
    trace_id,
)

_REAL = os.environ.get("HOPLINE_TEST_CLICKHOUSE", "")
SUBJECTS = ["chdb", "http", *(["server"] if _REAL else [])]
LAST_HOUR = RequestFilter(start_ns=NOW_NS - 3600 * NS, end_ns=NOW_NS)


@pytest.fixture(scope="module", params=SUBJECTS)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StoreSettings]:
    """Yield settings of a ClickHouse that stays up for the whole module."""
    folder = tmp_path_factory.mktemp("store")
    if request.param == "server":
        yield store_settings(folder, url=_REAL)
    elif request.param == "http":
        with clickhouse_server(folder, password="open sesame") as url:
            yield store_settings(folder, url=url.replace(" ", "%20"))
    else:
        keeper = open_store(store_settings(folder), ManualClock(), Metrics())
        yield store_settings(folder)
        keeper.close()


@pytest.fixture
def settings(place: StoreSettings) -> StoreSettings:
    """Return settings with a database of the test's own."""
    return replace(place, database=f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture
def store(settings: StoreSettings) -> Iterator[Store]:
    """Yield a store with its tables."""
    with opened(settings) as store:
        yield store


@pytest.fixture
def load(store: Store, tmp_path: Path) -> Loading:
    """Return a loader of hand-made segments."""
    return Loading(store, tmp_path)


def _count(store: Store, settings: StoreSettings, table: str, what: str = "count()") -> int:
    return int(query_rows(store, f"SELECT {what} FROM {settings.database}.{table}")[0][0])


def test_span_comes_back_as_it_went_in(store: Store, load: Loading) -> None:
    """Every field of a span survives the journal's format, the views, the table and the read."""
    span = make_span(
        1,
        parent_span_id=span_id(9),
        trace_state="a=b",
        status="Error",
        status_message="no such part",
        scope="io.test",
        attributes={"http.route": "/orders/{id}", "note": "näh ✓ \x01 'quoted' \\"},
        resource={"host.name": "node-1"},
        events=[SpanEvent(NOW_NS - 59 * NS, "exception", {"exception.type": "Oops"})],
        links=[SpanLink(trace_id(5), span_id(5), {"why": "batch"})],
    )
    load.spans(span)
    assert store.get_spans([span.trace_id]) == [span]
    brief = replace(span, trace_state="", events=[], links=[], received_ns=0)
    assert store.get_spans([span.trace_id], is_brief=True) == [brief]


@pytest.mark.parametrize(
    "kind", ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"]
)
def test_kinds_are_the_exporters_words(kind: str, store: Store, load: Loading) -> None:
    """Span kinds are stored in the words that the OpenTelemetry exporter for ClickHouse writes."""
    load.spans(make_span(1, kind=kind))
    assert [span.kind for span in store.get_spans([trace_id(1)])] == [kind]


def test_record_comes_back_as_it_went_in(store: Store, load: Loading) -> None:
    """Recorded zeros, missing numbers and lists of a gateway record survive the round trip."""
    record = make_record(
        1,
        ids=(Id("x_request_id", "A-1"), Id("correlation_id", "")),
        is_sampled=False,
        client_ns=0,
        attempts=0,
        status=None,
        quality=("TOTAL_LT_PARTS",),
        attributes={"region": "west", "": "empty key"},
        raw='{"é": 1}',
        weight=0.5,
    )
    load.records(record, received_ns=NOW_NS)
    assert store.get_records(record_keys=[("azure-apim", record.record_id)]) == [
        replace(record, received_ns=NOW_NS)
    ]


def test_log_record_comes_back_as_it_went_in(store: Store, load: Loading) -> None:
    """A log record is found by its trace; its body may be any value."""
    message = encode_log(
        time_unix_nano=NOW_NS,
        trace_id=bytes.fromhex(trace_id(1)),
        span_id=bytes.fromhex(span_id(1)),
        severity_text="WARN",
        body=AnyValue(string_value="served"),
        attributes={"status": 200},
        resource={"service.name": "edge"},
        event_name="access",
    )
    load.messages(Stream.LOG, message)
    (found,) = store.get_logs([trace_id(1)])
    assert (found.body, found.severity, found.service) == ("served", "WARN", "edge")
    assert (found.attributes, found.event_name, found.time_ns) == (
        {"status": "200"},
        "access",
        NOW_NS,
    )


def test_log_record_without_a_time_takes_the_observed_one(store: Store, load: Loading) -> None:
    """A zero time means unknown: the observed time stands in, and without it the received one."""
    observed = encode_log(observed_time_unix_nano=NOW_NS - 5, trace_id=bytes.fromhex(trace_id(1)))
    neither = encode_log(trace_id=bytes.fromhex(trace_id(1)))
    load.messages(Stream.LOG, observed, neither, received_ns=NOW_NS)
    assert [log.time_ns for log in store.get_logs([trace_id(1)])] == [NOW_NS - 5, NOW_NS]


def test_same_segment_twice_is_stored_once(
    store: Store, settings: StoreSettings, load: Loading
) -> None:
    """A repeated load changes neither the tables nor what the views have added up from them."""
    spans = [make_span(number, status="Error") for number in range(1, 6)]
    traces = load.spans(*spans)
    records = load.records(make_record(1, trace_id=trace_id(1)))
    other = load.spans(make_span(7, trace=2))
    for segment in (traces, records, other, traces, records):
        store.load(segment)
    assert _count(store, settings, "otel_traces") == 6
    assert _count(store, settings, "gateway_record") == 1
    assert _count(store, settings, "trace_summary", "sum(spans)") == 6
    assert _count(store, settings, "source_stat", "sum(rows)") == 7
    (summary, _) = store.get_trace_summaries([trace_id(1), trace_id(2)])
    assert (summary.spans, summary.errors) == (5, 5)


def test_equal_bytes_in_two_segments_are_stored_twice_and_read_once(
    store: Store, settings: StoreSettings, load: Loading
) -> None:
    """Only the segment's id makes a load a repeated one; a read drops what is equal in content."""
    load.spans(make_span(1))
    load.spans(make_span(1), received_ns=NOW_NS + 5)
    assert _count(store, settings, "otel_traces") == 2
    assert [span.received_ns for span in store.get_spans([trace_id(1)])] == [NOW_NS]


def test_reads_know_only_what_had_arrived(store: Store, load: Loading) -> None:
    """`received_until_ns` shows the past: neither later spans nor later versions of a record."""
    load.spans(make_span(1), received_ns=NOW_NS)
    load.spans(make_span(2), received_ns=NOW_NS + NS)
    load.records(make_record(1, status=200, trace_id=trace_id(1)), received_ns=NOW_NS)
    load.records(make_record(1, status=502, trace_id=trace_id(1)), received_ns=NOW_NS + NS)
    assert len(store.get_spans([trace_id(1)], received_until_ns=NOW_NS)) == 1
    assert [r.status for r in store.get_records(trace_ids=[trace_id(1)])] == [200, 502]
    past = store.get_records(trace_ids=[trace_id(1)], received_until_ns=NOW_NS)
    assert [record.status for record in past] == [200]


def test_unknown_ids_give_nothing(store: Store, load: Loading) -> None:
    """An id that nobody knows is an empty answer from every read, and so is no id at all."""
    load.spans(make_span(1))
    for ids in ([], [trace_id(77)], ["'; DROP TABLE otel_traces; --"]):
        assert store.get_spans(ids) == []
        assert store.get_logs(ids) == []
        assert store.get_trace_summaries(ids) == []
        assert store.find_ids(ids) == []
        assert store.get_records(trace_ids=ids, record_keys=[("g", each) for each in ids]) == []


def test_ids_lead_to_traces_and_records(store: Store, load: Loading) -> None:
    """One key finds the spans that carry it and the records that carry it, whoever came first."""
    uuid_of_client = "11112222-3333-4444-8555-666677778888"
    key = "111122223333*4448555666677778888"
    load.records(make_record(1, ids=(Id("x_request_id", uuid_of_client.upper()),)))
    rewritten = uuid_of_client.replace("-4444-", "-9444-")
    load.spans(make_span(1, attributes={"guid:x-request-id": rewritten}))
    hits = store.find_ids([key])
    assert {(hit.trace_id, hit.record_id, hit.kind) for hit in hits} == {
        (trace_id(1), "", "x_request_id"),
        ("", make_record(1).record_id, "x_request_id"),
    }


def test_trace_id_is_found_by_its_lower_half(store: Store, load: Loading) -> None:
    """A 64-bit system keeps the lower half of a trace id; that is enough to find the trace."""
    load.spans(make_span(1))
    (hit,) = store.find_ids([trace_id(1)[16:]])
    assert (hit.trace_id, hit.kind) == (trace_id(1), "trace_id")


def test_header_attribute_in_a_list_is_an_id_too(store: Store, load: Loading) -> None:
    """Semantic conventions make header attributes lists; each of their values is a key."""
    attributes = {"http.request.header.x-request-id": ["one-id", "two-id"]}
    load.spans(make_span(1, attributes=attributes))
    hits = store.find_ids(["one-id", "two-id"])
    assert {(hit.key, hit.trace_id) for hit in hits} == {
        ("one-id", trace_id(1)),
        ("two-id", trace_id(1)),
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("http.request.header.x_kong_request_id", "kong_request_id"),
        ("http.request.header.x-azure-ref", "tracking_id"),
        ("http.request.header.apim-request-id", "apim_correlation_id"),
        ("faas.invocation_id", "invocation_id"),
    ],
)
def test_an_id_that_a_gateway_sent_on_leads_to_the_trace(
    store: Store, load: Loading, name: str, kind: str
) -> None:
    """Whatever gateway made it, and whether the library writes dashes or underscores."""
    load.spans(make_span(1, attributes={name: ["made-at-the-door-7"]}))
    (hit,) = store.find_ids(["made-at-the-door-7"])
    assert (hit.trace_id, hit.kind) == (trace_id(1), kind)


def test_summary_adds_up_what_arrives_in_any_order(store: Store, load: Loading) -> None:
    """The edge of a trace is its earliest root, even when the root is the last to arrive."""
    child = make_span(2, parent_span_id=span_id(1), service="stock", status="Error")
    late = make_span(
        1,
        start_ns=child.start_ns - 5_000_000,
        end_ns=child.end_ns + 5_000_000,
        attributes={
            "http.request.method": "POST",
            "url.full": "https://shop.test:8443/cart?x=1",
            "http.response.status_code": 503,
        },
    )
    load.spans(child)
    load.spans(late)
    (summary,) = store.get_trace_summaries([trace_id(1)])
    assert (summary.spans, summary.errors) == (2, 1)
    assert (summary.start_ns, summary.end_ns) == (late.start_ns, late.end_ns)
    assert summary.services == ("orders", "stock")
    assert (summary.edge_span_id, summary.edge_duration_ns) == (span_id(1), 30_000_000)
    assert (summary.method, summary.host, summary.path) == ("POST", "shop.test", "/cart")
    assert (summary.status, summary.edge_is_error) == (503, True)


def test_search_lists_records_and_unclaimed_traces(store: Store, load: Loading) -> None:
    """A request is one row: its record joined with its trace, or the trace that nobody recorded."""
    load.spans(make_span(1, trace=1), make_span(2, trace=2))
    load.records(
        make_record(1, trace_id=trace_id(1), duration_ns=40_000_000),
        make_record(2, duration_ns=None, status=401, is_error=True),
    )
    rows = store.find_requests(LAST_HOUR, 10)
    assert [(row.record_id[-1:], row.trace_id, row.is_joined) for row in rows] == [
        ("1", trace_id(1), True),
        ("", trace_id(2), False),
        ("2", "", False),
    ]
    assert [each.record_id for each in rows[0].versions] == [rows[0].record_id]


def test_search_shows_the_newest_version_once(store: Store, load: Loading) -> None:
    """A record that was delivered again stands where its newest version belongs, and only there."""
    load.records(make_record(1, duration_ns=90_000_000, status=200), received_ns=NOW_NS)
    load.records(make_record(1, duration_ns=50_000_000, status=500), received_ns=NOW_NS + 1)
    load.records(make_record(2, duration_ns=70_000_000))
    rows = store.find_requests(LAST_HOUR, 10)
    assert [(row.duration_ns, row.status) for row in rows] == [(70_000_000, 200), (50_000_000, 500)]
    assert store.find_requests(replace(LAST_HOUR, status=200), 10) == rows[:1]


def test_search_finds_paths_as_sent_and_as_meant_and_hosts_in_any_case(
    store: Store, load: Loading
) -> None:
    """One gateway logs `caf%C3%A9`, another decodes it; a host has no case."""
    load.records(
        make_record(1, path="/shop/Caf%C3%A9%20Noir", host="API.Test"),
        make_record(2, path="/shop/café noir"),
        make_record(3, path="/shop/cafe"),
    )
    for text in ("café noir", "Café", "caf%c3%a9", "/shop/caf%C3%A9%20noir"):
        found = store.find_requests(replace(LAST_HOUR, text=text), 10)
        assert sorted(row.record_id[-1:] for row in found) == ["1", "2"], text
    assert len(store.find_requests(replace(LAST_HOUR, host="api.test"), 10)) == 3


@pytest.mark.parametrize("order", ["-duration", "-start"])
def test_search_pages_through_equal_requests(
    order: Literal["-duration", "-start"], store: Store, load: Loading
) -> None:
    """Requests equal in start and duration, more than a page of them, come once each."""
    start_ns = NOW_NS - 60 * NS
    load.records(*(make_record(number, start_ns=start_ns) for number in range(40)))
    load.records(make_record(40, duration_ns=90_000_000))
    wanted, cursor, found = replace(LAST_HOUR, order=order), "", []
    while rows := store.find_requests(wanted, 7, cursor):
        found += [row.record_id for row in rows]
        cursor = rows[-1].cursor
    assert len(found) == len(set(found)) == 41


def test_cursor_of_another_search_is_refused(store: Store, load: Loading) -> None:
    """A cursor continues the order it came from; garbage and another order are bad questions."""
    load.records(make_record(1))
    (row,) = store.find_requests(LAST_HOUR, 10)
    assert store.find_requests(LAST_HOUR, 10, row.cursor) == []
    for cursor in ("garbage", "!!!!", "W10"):
        with pytest.raises(BadQuestion, match="cursor"):
            store.find_requests(LAST_HOUR, 10, cursor)
    with pytest.raises(BadQuestion, match="order"):
        store.find_requests(replace(LAST_HOUR, order="-start"), 10, row.cursor)


def test_sources_say_how_late_they_are(store: Store, load: Loading) -> None:
    """Rows, last event and lag are kept for each source of each stream."""
    load.spans(make_span(1, start_ns=NOW_NS - 3 * NS, end_ns=NOW_NS - 2 * NS))
    load.records(make_record(1, start_ns=NOW_NS - 100 * NS, duration_ns=0), received_ns=NOW_NS)
    stats = {(stat.stream, stat.source): stat for stat in store.get_source_stats()}
    assert stats.keys() == {("trace", "orders"), ("record", "log-analytics")}
    assert stats["trace", "orders"].lag_p50_ns == pytest.approx(2 * NS, rel=0.06)
    late = stats["record", "log-analytics"]
    assert late.lag_p99_ns == pytest.approx(100 * NS, rel=0.06)
    assert (late.rows, late.last_event_ns) == (1, NOW_NS - 100 * NS)
    assert late.last_received_ns == NOW_NS


def test_apis_say_how_many_are_joined(store: Store, load: Loading) -> None:
    """Requests, errors, percentiles and the joined share are counted for each API."""
    load.spans(make_span(1, attributes={"guid:x-request-id": "by-request-id"}))
    load.spans(make_span(1, trace=2))
    load.records(
        make_record(1, trace_id=trace_id(2)),
        make_record(2, ids=(Id("x_request_id", "by-request-id"),), is_error=True),
        make_record(3, api="stock", duration_ns=None),
        make_record(4, attempts=0, is_error=True),
        make_record(5, cache="hit"),
        make_record(6, api="mocked", attempts=0),
    )
    orders, mocked, stock = store.get_group_stats(LAST_HOUR)
    coverage = store.get_join_coverage(LAST_HOUR, 6)
    assert (orders.api, orders.requests, orders.errors) == ("orders", 4, 2)
    assert coverage["azure-apim", "orders"] == 1.0
    assert orders.quantiles_ns[0.5] == pytest.approx(30_000_000)
    assert (stock.api, stock.requests, stock.quantiles_ns) == ("stock", 1, {})
    assert coverage["azure-apim", "stock"] == 0.0
    failed = store.get_join_coverage(replace(LAST_HOUR, is_error=False, api="stock"), 1)
    assert failed == {("azure-apim", "stock"): 0.0}, "of the requests that fit"
    # What never left the gateway could not have been joined.
    assert mocked.api == "mocked"
    assert ("azure-apim", "mocked") not in coverage


def test_what_requests_add_up_to(store: Store, load: Loading) -> None:
    """Groups of records, and services, calls and shares of stitched requests, each weighed."""
    load.records(
        make_record(1, consumer="acme", operation="list"),
        make_record(2, consumer="acme", weight=3.0),
        make_record(3, consumer="other", status=503, is_error=True),
    )
    groups = store.get_group_stats(LAST_HOUR, ("consumer", "status"))
    assert [(each.values, each.requests, each.errors) for each in groups] == [
        (("acme", "200"), 4.0, 0.0),
        (("other", "503"), 1.0, 1.0),
    ]
    assert store.get_whole_stat(replace(LAST_HOUR, consumer="acme")).requests == 4.0
    assert store.get_whole_stat(replace(LAST_HOUR, api="none")).quantiles_ns == {}
    began_ns = NOW_NS - 600 * NS
    store.write_requests(
        [
            make_stitched(1, began_ns, 100, weight=9),
            make_stitched(2, began_ns, 200, is_error=True),
            make_stitched(3, began_ns, 300, is_joined=False, hops=[], services=()),
        ],
        (),
        1,
    )
    orders = next(s for s in store.get_service_stats(LAST_HOUR) if s.service == "orders")
    assert (orders.seen, orders.requests, orders.errors) == (2, 10, 1)
    assert orders.p50_ns == pytest.approx(96_000_000, rel=0.2)
    calls = store.get_edge_stats(LAST_HOUR, by_operation=True)
    assert {(each.caller, each.operation): each.calls for each in calls} == {
        ("azure-apim", "get-order"): 10,
        ("istio-ingressgateway", ""): 10,
        ("orders", ""): 10,
        ("payments", ""): 10,
    }
    (shares,) = store.get_share_stats(LAST_HOUR).values()
    assert (shares.stitched, shares.known, shares.failed_first) == (3, 2, {"app": 1})
    assert shares.joined == pytest.approx(10 / 11)
    count = store.count_stitched(replace(LAST_HOUR, service="orders"))
    assert (count.stitched, count.requests) == (2, 10)
    slow = replace(LAST_HOUR, min_duration_ns=150_000_000)
    observed = store.find_observed(slow, 10, among=2)
    assert sorted(each.id for each in observed) == ["request-2", "request-3"]
    assert [len(each.hops) for each in sorted(observed, key=lambda each: each.id)] == [5, 0]
    (one,) = store.find_observed(LAST_HOUR, 1, among=3)
    assert one.weight > 1, "it stands for those that were not drawn"


def test_damaged_segment_is_rejected_and_leaves_nothing(
    store: Store, settings: StoreSettings, load: Loading
) -> None:
    """Bytes that are no message are refused for good, and none of the segment's rows is stored."""
    segment = load.make(Stream.TRACE, encode_spans([make_span(1)]), encode_spans([make_span(2)]))
    whole = segment.path.read_bytes()
    segment.path.write_bytes(whole[: len(whole) - 20])
    with pytest.raises(StoreRejectedRows):
        store.load(segment)
    assert _count(store, settings, "otel_traces") == 0
    assert _count(store, settings, "trace_summary") == 0


def test_statement_over_its_memory_is_too_expensive(
    store: Store, settings: StoreSettings, load: Loading
) -> None:
    """A read that needs more than its share of memory is refused, and the store lives on."""
    load.spans(*(make_span(number) for number in range(1, 2000)))
    with opened(replace(settings, memory_bytes=200_000)) as small:
        with pytest.raises(TooExpensive) as refusal:
            small.get_spans([trace_id(1)])
        assert refusal.value.hint
    assert len(store.get_spans([trace_id(1)])) == 1999


def test_read_over_its_time_is_a_timeout(store: Store) -> None:
    """A read that takes too long is stopped and says so; asking again is allowed."""
    with pytest.raises(QueryTimeout), store.connections.reading() as client:
        client.query(
            "SELECT sum(sleepEachRow(0.1)) FROM numbers(50) "
            "SETTINGS max_execution_time = 0.3, max_block_size = 1"
        )


def test_answer_has_nothing_of_a_read_that_failed_before(store: Store) -> None:
    """What a statement had put out before it failed is not the beginning of the next answer."""
    for _ in range(2):
        with pytest.raises(StoreUnavailable), store.connections.reading() as client:
            client.query("SELECT number FROM numbers(2000000) WHERE throwIf(number = 900000) = 0")
        assert query_rows(store, "SELECT 42 AS x") == [(42,)]


def test_reads_can_not_write(store: Store, settings: StoreSettings) -> None:
    """The clients that read are not allowed to change anything."""
    with pytest.raises(StoreUnavailable, match="readonly"), store.connections.reading() as client:
        client.command(f"DROP TABLE {settings.database}.otel_traces")


def test_migrating_again_changes_nothing(store: Store, settings: StoreSettings) -> None:
    """Each schema file is applied once, however often and from wherever migrate is called."""
    applied = _count(store, settings, "schema_migration")
    store.migrate()
    with opened(settings) as second:
        assert _count(second, settings, "schema_migration") == applied


def test_versions_far_from_a_row_are_read_with_it(store: Store, load: Loading) -> None:
    """A search brings the versions near a record's start; one of another hour is found by trace."""
    near = make_record(1, trace_id=trace_id(1))
    far = replace(near, start_ns=near.start_ns - 3600 * NS, source="other")
    load.records(near, far)
    key = (near.gateway, near.record_id)
    found = store.get_records(trace_ids=[trace_id(1)], starts={key: near.start_ns}, held=[key])
    assert [each.start_ns for each in found] == [far.start_ns]


def test_records_of_before_a_column_are_read(
    store: Store, settings: StoreSettings, load: Loading
) -> None:
    """A schema file that adds to a table is applied to one with rows, and they are read with it."""
    with store.connections.writing() as client:
        client.command(f"ALTER TABLE {settings.database}.gateway_record DROP COLUMN record_json")
        client.command(
            f"DELETE FROM {settings.database}.schema_migration "
            "WHERE name = '0086_gateway_record_json'"
        )
    before = make_record(1, ids=(Id("x_request_id", "one"),), weight=2.5, quality=("CLOCK_STEP",))
    load.records(before)
    store.migrate()
    load.records(make_record(2))
    keys = [(each.gateway, each.record_id) for each in (before, make_record(2))]
    found = [replace(each, received_ns=0) for each in store.get_records(record_keys=keys)]
    assert found == [before, make_record(2)]


def test_changed_schema_file_is_followed(store: Store, settings: StoreSettings) -> None:
    """Where a file differs from what was applied, the tables are brought to what it says."""
    with store.connections.writing() as client:
        client.command(f"ALTER TABLE {settings.database}.id_index_log_mv MODIFY QUERY "
                       f"SELECT * FROM {settings.database}.id_index WHERE 0")  # fmt: skip
        client.command(
            f"INSERT INTO {settings.database}.schema_migration (name, checksum, applied) "
            "SELECT '0085_id_index_log_mv', 'other', now64(3) + 1"
        )
    said: list[str] = []
    assert store.migrate(said.append) == ["0085_id_index_log_mv"]
    assert said[0].endswith("id_index_log_mv: new statement")
    assert all("id_index_log_mv" in each for each in said)
    ((create,),) = query_rows(
        store,
        "SELECT as_select FROM system.tables WHERE database = {database:String} "
        "AND name = 'id_index_log_mv'",
        database=settings.database,
    )
    assert "otel_logs" in create


@pytest.mark.parametrize("days", [0, 7])
def test_time_to_live_follows_the_setting(days: int, settings: StoreSettings) -> None:
    """Tables that exist take a changed time to live over; 0 days removes it."""
    with opened(settings):
        pass
    with opened(replace(settings, retention=Retention(days, days, days))) as store:
        rows = query_rows(
            store,
            "SELECT name, engine_full FROM system.tables WHERE database = {db:String} "
            "AND engine LIKE '%MergeTree' "
            # what the work itself needs is kept as long as that needs it
            "AND name NOT IN ('schema_migration', 'progress', 'late_load', 'lease', 'node_status', "
            "'pull_progress')",
            db=settings.database,
        )
    wanted = f"toIntervalDay({days})" if days else ""
    assert rows
    for name, engine in rows:
        assert ("TTL" in engine) == bool(days), name
        assert wanted in engine.partition("TTL")[2], name


def test_spans_have_a_time_of_their_own(settings: StoreSettings) -> None:
    """Spans go sooner than records, an id with what it leads to; 0 stays for ever."""
    for of_records, of_spans in ((90, 7), (0, 7)):
        with opened(replace(settings, retention=Retention(of_records, of_spans))) as store:
            found = dict(
                query_rows(
                    store,
                    "SELECT replaceOne(name, '_local', ''), engine_full FROM system.tables "
                    "WHERE database = {db:String} AND engine LIKE '%MergeTree'",
                    db=settings.database,
                )
            )
        for table in ("otel_traces", "trace_summary", "otel_logs", "otel_metrics_sum"):
            assert "toIntervalDay(7)" in found[table], table
        for table in ("gateway_record", "request", "change"):
            assert ("toIntervalDay(90)" in found[table]) == (of_records == 90), table
            assert ("TTL" in found[table]) == (of_records == 90), table
        assert f"if(gateway = '', 7, {of_records or 20_000})" in found["id_index"]


def test_rows_on_the_disk_are_told_apart(store: Store, load: Loading) -> None:
    """Each kind has its rows and bytes; ids of records are with the records."""
    before = {each.kind for each in store.get_disk_days()}
    assert "spans" not in before
    load.spans(make_span(1), make_span(2))
    load.records(make_record(1, trace_id=trace_id(1)))
    found = store.get_disk_days()
    rows = {kind: sum(e.rows for e in found if e.kind == kind) for kind in ("spans", "records")}
    assert rows == {"spans": 2, "records": 1}
    assert all(each.bytes > 0 for each in found)
    days = {each.day for each in found if each.rows}
    assert days == {NOW_NS // (86_400 * NS)}
    of_ids = [each for each in found if each.kind == "records" and not each.rows]
    assert len(of_ids) == 1


def test_tables_satisfy_grafanas_query(
    store: Store, settings: StoreSettings, load: Loading
) -> None:
    """The trace query that Grafana's ClickHouse data source generates works on our tables."""
    load.spans(
        make_span(1, status="Error", events=[SpanEvent(NOW_NS, "retry", {"n": "2"})]),
        make_span(2, start_ns=NOW_NS - 59 * NS),
    )
    sql = (Path(__file__).parent / "grafana_trace.sql").read_text()
    rows = query_rows(store, sql.replace("$database", settings.database), trace=trace_id(1))
    assert [(row[1], row[4], row[9]) for row in rows] == [
        (span_id(1), "operation 1", 2),
        (span_id(2), "operation 2", 0),
    ]


def test_no_table_function_is_reachable_through_an_id(store: Store, load: Loading) -> None:
    """Ids are bound, never pasted: text that would be SQL elsewhere is only an unknown id."""
    load.spans(make_span(1))
    for text in (
        "') UNION ALL SELECT * FROM url('http://127.0.0.1/', CSV, 'a String') --",
        "{trace_ids:Array(String)}",
        "\\'", "%27", "\x00", "💥" * 300,
    ):  # fmt: skip
        assert store.find_ids([text]) == []
        assert store.find_requests(replace(LAST_HOUR, text=text, api=text, service=text), 5) == []
