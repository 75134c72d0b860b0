"""Segments that somebody made to hurt: the store keeps its size, its speed and its other rows."""

import resource
from collections.abc import Iterator
from pathlib import Path
from time import time_ns

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.errors import StoreRejectedRows, TooExpensive
from collector.model import Stream
from collector.store import OTHERS, Store
from collector.wire.varint import encode_varint
from tests.chaos.floods import flood
from tests.stored import (
    NOW_NS,
    NS,
    Loading,
    encode_spans,
    make_record,
    make_span,
    opened,
    query_rows,
    store_settings,
    trace_id,
)

DAY_NS = 24 * 3600 * NS


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Yield an embedded store whose statements may use 1 GiB."""
    with opened(store_settings(tmp_path, memory_bytes=1 << 30)) as store:
        yield store


@pytest.fixture
def load(store: Store, tmp_path: Path) -> Loading:
    """Return a loader of hand-made segments."""
    return Loading(store, tmp_path)


def test_times_of_all_years_make_few_partitions(store: Store, load: Loading) -> None:
    """Spans of every day since 2000 are stored, in a handful of partitions, and found by trace."""
    days = range(0, 27 * 365, 10)
    first = 946_684_800 * NS
    spans = [make_span(day, trace=day, start_ns=first + day * DAY_NS) for day in days]
    load.spans(*spans)
    sql = "SELECT uniq(partition) FROM system.parts WHERE active AND table = {table:String}"
    for table in ("otel_traces", "trace_summary", "id_index", "otel_traces_trace_id_ts"):
        assert query_rows(store, sql, table=table)[0][0] <= 12
    for day in (days[0], days[500], days[-1]):
        (span,) = store.get_spans([trace_id(day)])
        assert span.start_ns == first + day * DAY_NS


@pytest.mark.parametrize("start_ns", [0, 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
def test_time_that_no_calendar_has_costs_only_itself(
    start_ns: int, store: Store, load: Loading
) -> None:
    """Should such a time get past intake, the segment still loads and its neighbours are whole."""
    odd = make_span(1, trace=1, start_ns=start_ns, end_ns=min(start_ns + 5, 2**64 - 1))
    load.spans(odd, make_span(2, trace=2))
    assert len(store.get_spans([trace_id(2)])) == 1
    assert query_rows(store, "SELECT count() FROM hopline.otel_traces")[0][0] == 2


def test_span_that_ends_before_it_starts_lasts_nothing(store: Store, load: Loading) -> None:
    """A negative duration is stored as zero, not as 584 years."""
    load.spans(make_span(1, end_ns=NOW_NS - 7200 * NS))
    (span,) = store.get_spans([trace_id(1)])
    assert span.end_ns == span.start_ns


def test_one_trace_spread_over_years_is_found_whole(store: Store, load: Loading) -> None:
    """A trace id that is used for ever does not make its lookup list every five minutes."""
    starts = [NOW_NS - year * 365 * DAY_NS for year in range(20)]
    load.spans(*(make_span(n, start_ns=start) for n, start in enumerate(starts)))
    assert [span.start_ns for span in store.get_spans([trace_id(1)])] == sorted(starts)
    (summary,) = store.get_trace_summaries([trace_id(1)])
    assert summary.spans == 20


def test_many_services_names_and_keys_are_stored(store: Store, load: Loading) -> None:
    """20,000 distinct services, names and attribute keys in one segment are only slow."""
    spans = [
        make_span(n, trace=n, name=f"n{n}", service=f"s{n}", attributes={f"k{n}": "v"})
        for n in range(20_000)
    ]
    load.spans(*spans)
    assert query_rows(store, "SELECT uniqExact(ServiceName) FROM hopline.otel_traces") == [
        (20_000,)
    ]
    *named, others = store.get_source_stats()
    assert (len(named), others.source, others.names, others.rows) == (1_000, OTHERS, 19_000, 19_000)


def test_flood_of_names_hides_no_source_that_sends_more(store: Store, load: Loading) -> None:
    """Of very many services those that sent most keep their names, however old they are."""
    load.spans(*(make_span(n, trace=n) for n in range(1, 4)), received_ns=NOW_NS - 3600 * NS)
    load.spans(*(make_span(n, trace=n, service=f"s{n}") for n in range(10, 2_010)))
    load.records(make_record(1))
    stats = {(stat.stream, stat.source): stat for stat in store.get_source_stats()}
    assert stats["trace", "orders"].rows == 3
    assert stats["record", "log-analytics"].rows == 1
    assert stats["trace", OTHERS].names == 2_001 - 1_000


def test_segment_of_very_many_traces_is_one_part_a_table(store: Store, load: Loading) -> None:
    """50,000 traces of one span: grouped in parts, the engine would write 256 parts a table."""
    bodies = [body for _, _, body in flood("pods", 50_000)]
    load.messages(Stream.TRACE, *bodies, received_ns=time_ns())
    written = (
        "SELECT max(max_block_number) FROM system.parts "
        "WHERE database = 'hopline' AND table = {table:String}"
    )
    for table in ("otel_traces", "trace_summary", "otel_traces_trace_id_ts"):
        assert query_rows(store, written, table=table) == [(1,)], table


def test_read_of_too_many_rows_is_refused(store: Store) -> None:
    """A read that forgot its limit ends with an error, and not with the memory of the process."""
    with pytest.raises(TooExpensive):
        query_rows(store, "SELECT number FROM numbers(1000001)")
    assert len(query_rows(store, "SELECT number FROM numbers(5)")) == 5


def test_large_values_come_back_whole(store: Store, load: Loading) -> None:
    """A megabyte in a name, an attribute or a raw record is kept to the last byte."""
    large = "ü" * 500_000
    load.spans(make_span(1, name=large, attributes={"http.url": large, large: "key"}))
    load.records(make_record(1, raw=large, path=large))
    (span,) = store.get_spans([trace_id(1)])
    assert (span.name, span.attributes["http.url"], span.attributes[large]) == (large, large, "key")
    (record,) = store.get_records(record_keys=[("azure-apim", make_record(1).record_id)])
    assert (record.raw, record.path) == (large, large)


def test_million_attributes_stay_within_memory(store: Store, load: Loading) -> None:
    """One span with a million attributes is stored without the process growing by a gigabyte."""
    span = make_span(1, attributes={f"key.{n}": "v" for n in range(1_000_000)})
    segment = load.make(Stream.TRACE, encode_spans([span]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    store.load(segment)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000
    assert query_rows(store, "SELECT length(SpanAttributes) FROM hopline.otel_traces") == [
        (1_000_000,)
    ]


@pytest.mark.parametrize("length", [2**31, 2**40, 2**62])
def test_length_that_lies_is_refused(length: int, store: Store, load: Loading) -> None:
    """A length prefix that promises more than there is costs neither memory nor other segments."""
    segment = load.make(Stream.TRACE, encode_spans([make_span(1)]))
    lie = b"\x0a" + encode_varint(length) + b"abc"
    segment.path.write_bytes(encode_varint(len(lie)) + lie)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(StoreRejectedRows):
        store.load(segment)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    load.spans(make_span(2))
    assert len(store.get_spans([trace_id(1)])) == 1


def test_fields_that_nobody_knows_are_skipped(store: Store, load: Loading) -> None:
    """A newer sender's fields, in the message and in its spans, change nothing."""
    request = ExportTraceServiceRequest.FromString(encode_spans([make_span(1)]))
    unknown = encode_varint(900 << 3 | 2) + b"\x03new"
    request.resource_spans[0].scope_spans[0].spans[0].MergeFromString(unknown)
    load.messages(Stream.TRACE, request.SerializeToString() + unknown)
    (span,) = store.get_spans([trace_id(1)])
    assert span.name == "operation 1"


def test_attribute_key_that_comes_twice_does_not_fail(store: Store, load: Loading) -> None:
    """Keys ought to be unique; a sender that repeats one keeps its span."""
    request = ExportTraceServiceRequest.FromString(encode_spans([make_span(1)]))
    span = request.resource_spans[0].scope_spans[0].spans[0]
    for value in ("first", "second"):
        span.attributes.add(key="twice").value.string_value = value
    load.messages(Stream.TRACE, request.SerializeToString())
    (stored,) = store.get_spans([trace_id(1)])
    assert stored.attributes["twice"] in ("first", "second")


def test_separators_in_names_cost_only_their_own_summary(store: Store, load: Loading) -> None:
    """The summary's own separators, sent as text, neither fail the load nor touch another trace."""
    load.spans(
        make_span(
            1,
            trace=1,
            name="a\x1fb\x1d\x1f\x1f",
            service="\x1f",
            attributes={"http.url": "\x1f\x1d"},
        ),
        make_span(2, trace=2, attributes={"http.method": "PUT"}),
    )
    first, second = store.get_trace_summaries([trace_id(1), trace_id(2)])
    assert (first.spans, first.edge_start_ns) == (1, make_span(1).start_ns)
    assert (second.edge_name, second.method) == ("operation 2", "PUT")
