"""What is sent more than once, in whatever company, is counted once."""

from pathlib import Path

from collector.decode.records.codec import encode_records
from collector.model import Stream
from collector.store import RequestFilter, Store
from tests.loader_bench import Bench
from tests.stored import (
    NOW_NS,
    encode_spans,
    make_record,
    make_span,
    opened,
    store_settings,
    trace_id,
)

MS = 1_000_000


def send_spans(bench: Bench, *numbers: int) -> None:
    spans = [make_span(n, status="Error" if n % 5 == 0 else "Unset") for n in numbers]
    bench.append(encode_spans(spans))
    assert bench.loader.load_sealed() == 1


def send_records(bench: Bench, *numbers: int) -> None:
    records = [
        make_record(n, api="orders", duration_ns=(1000 if n == 1 else 100) * MS) for n in numbers
    ]
    bench.append(encode_records(records), stream=Stream.RECORD)
    assert bench.loader.load_sealed() == 1


def source_rows(store: Store) -> dict[str, int]:
    return {stat.stream: stat.rows for stat in store.get_source_stats()}


def test_spans_sent_again_in_other_batches(tmp_path: Path) -> None:
    """Spans that come again, re-batched, add nothing to their trace or their source."""
    with opened(store_settings(tmp_path)) as store:
        bench = Bench(tmp_path, store)
        send_spans(bench, *range(1, 21))
        send_spans(bench, *range(1, 11))
        send_spans(bench, *range(6, 31))
        (summary,) = store.get_trace_summaries([trace_id(1)])
        assert (summary.spans, summary.errors) == (30, 6)
        assert source_rows(store) == {"trace": 30}
        assert len(store.get_spans([trace_id(1)])) == 30


def test_client_and_server_that_share_a_span_id(tmp_path: Path) -> None:
    """Zipkin's shared span ids are two spans, however often they come."""
    with opened(store_settings(tmp_path)) as store:
        bench = Bench(tmp_path, store)
        both = [make_span(1, kind="Client", service="cart"), make_span(1, kind="Server")]
        for _ in range(3):
            bench.append(encode_spans(both))
            assert bench.loader.load_sealed() == 1
        (summary,) = store.get_trace_summaries([trace_id(1)])
        assert summary.spans == 2


def test_one_slow_record_sent_six_times(tmp_path: Path) -> None:
    """A record that was delivered six times moves no percentile and no count."""
    with opened(store_settings(tmp_path)) as store:
        bench = Bench(tmp_path, store)
        send_records(bench, *range(1, 6))
        for _ in range(5):
            send_records(bench, 1)
        (stat,) = store.get_group_stats(
            RequestFilter(start_ns=NOW_NS - 3600 * 10**9, end_ns=NOW_NS + 10**9)
        )
        assert (stat.requests, stat.quantiles_ns[0.5]) == (5, 100 * MS)
        assert source_rows(store) == {"record": 5}


def test_many_rows_are_counted_exactly_while_none_comes_twice(tmp_path: Path) -> None:
    """An estimate never replaces a count that nothing speaks against."""
    with opened(store_settings(tmp_path)) as store:
        bench = Bench(tmp_path, store)
        send_spans(bench, *range(1, 20_001))
        assert source_rows(store) == {"trace": 20_000}
        (summary,) = store.get_trace_summaries([trace_id(1)])
        assert summary.spans == 20_000
        send_spans(bench, *range(1, 20_001))
        assert abs(source_rows(store)["trace"] - 20_000) < 800
        (summary,) = store.get_trace_summaries([trace_id(1)])
        assert summary.spans == 20_000
