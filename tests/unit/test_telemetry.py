"""The process's own metrics as text: exact, explained, bounded, and of all processes together."""

import json
import os
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import get_args

import pytest
from google.protobuf.proto import parse_length_prefixed
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.samples import NativeHistogram, Sample

from collector.exposition import OPENMETRICS_TYPE, PROTOBUF_TYPE, TEXT_TYPE
from collector.telemetry import (
    MAX_SERIES,
    MEANINGS,
    OVERFLOW,
    Counter,
    Gauge,
    Histogram,
    Metrics,
)
from collector.wire.prometheus_pb2 import MetricFamily


def test_every_metric_says_what_it_means() -> None:
    """The names that can be counted are those that have a meaning."""
    names = [name for kind in (Counter, Gauge, Histogram) for name in get_args(kind)]
    assert list(MEANINGS) == names
    assert all(meaning and not meaning.endswith(".") for meaning in MEANINGS.values())


def test_values_keep_all_their_digits() -> None:
    """Large numbers are written out: an exponent would cut what is counted byte by byte."""
    metrics = Metrics()
    metrics.count("hopline_journal_bytes_total", 10_000_001, stream="trace")
    metrics.count("hopline_journal_bytes_total", 2**53 - 10_000_002, stream="trace")
    metrics.gauge("hopline_pull_lag_seconds", 12_345_678.25, source="one")
    metrics.gauge("hopline_pull_lag_seconds", float("nan"), source="two")
    metrics.gauge("hopline_pull_lag_seconds", float("inf"), source="three")
    text, kind = _text(metrics)
    assert kind == TEXT_TYPE
    assert 'hopline_journal_bytes_total{stream="trace"} 9007199254740991\n' in text
    assert 'hopline_pull_lag_seconds{source="one"} 12345678.25\n' in text
    assert 'hopline_pull_lag_seconds{source="two"} NaN\n' in text
    assert 'hopline_pull_lag_seconds{source="three"} +Inf\n' in text
    assert "# HELP hopline_journal_bytes_total bytes of canonical messages" in text
    assert "# TYPE hopline_journal_bytes_total counter" in text


def test_a_duration_counts_as_often_as_it_is_said_to() -> None:
    """A request that stands for 64 is in its bucket 64 times, and no more than that."""
    metrics = Metrics()
    for seconds, times in ((0.03, 64), (99.0, 1)):
        metrics.observe(
            "hopline_request_seconds",
            seconds,
            "ab" * 16,
            times,
            gateway="kong",
            api="orders",
            phase="total",
        )
    text, _ = _text(metrics)
    place = 'api="orders",gateway="kong"'
    assert f'hopline_request_seconds_bucket{{{place},le="0.025",phase="total"}} 0\n' in text
    assert f'hopline_request_seconds_bucket{{{place},le="0.05",phase="total"}} 64\n' in text
    assert f'hopline_request_seconds_bucket{{{place},le="+Inf",phase="total"}} 65\n' in text
    assert f'hopline_request_seconds_sum{{{place},phase="total"}} 100.92' in text


def _text(metrics: Metrics, accept: str = "") -> tuple[str, str]:
    page, kind = metrics.exposition(accept)
    return page.decode(), kind


def _fill(metrics: Metrics) -> None:
    metrics.count("hopline_journal_syncs_total", 3)
    metrics.count("hopline_stitch_join_total", api='a "quoted" \\ name\nof two lines', tier="1")
    metrics.observe("hopline_store_load_seconds", 0.3, stream="trace", exemplar="ab" * 16)
    metrics.observe("hopline_store_load_seconds", 40.0, stream="trace")


def test_prometheus_reads_it() -> None:
    """The text is what Prometheus's own parser understands, histograms and odd labels included."""
    metrics = Metrics()
    _fill(metrics)
    text, _ = _text(metrics, "text/plain")
    found = {each.name: each for each in parser.text_string_to_metric_families(text)}
    (joined,) = found["hopline_stitch_join"].samples
    assert joined.labels["api"] == 'a "quoted" \\ name\nof two lines'
    values = {
        (s.name, s.labels.get("le")): s.value for s in found["hopline_store_load_seconds"].samples
    }
    assert values["hopline_store_load_seconds_bucket", "0.25"] == 0
    assert values["hopline_store_load_seconds_bucket", "0.5"] == 1
    assert values["hopline_store_load_seconds_bucket", "+Inf"] == 2
    assert values["hopline_store_load_seconds_count", None] == 2
    assert values["hopline_store_load_seconds_sum", None] == pytest.approx(40.3)


def test_openmetrics_carries_exemplars() -> None:
    """Who asks for OpenMetrics gets it, and with it the trace id of a request in each bucket."""
    metrics = Metrics()
    _fill(metrics)
    text, kind = _text(metrics, "application/openmetrics-text; version=1.0.0, */*;q=0.1")
    assert kind == OPENMETRICS_TYPE
    known = [(s.labels["le"], s.exemplar.labels) for s in _read_openmetrics(text) if s.exemplar]
    assert known == [("0.5", {"trace_id": "ab" * 16})]


def _read_openmetrics(text: str) -> list[Sample]:
    families = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # untyped
    return [sample for family in families for sample in family.samples]


def test_label_values_are_bounded() -> None:
    """What a sender can choose grows a metric up to a limit; the rest is counted together."""
    metrics = Metrics()
    for number in range(MAX_SERIES + 50):
        metrics.count("hopline_stitch_join_total", api=f"api-{number}", tier="1")
    metrics.count("hopline_stitch_join_total", api="api-0", tier="1")
    assert metrics.value("hopline_stitch_join_total") == MAX_SERIES + 51
    assert metrics.value("hopline_stitch_join_total", api=OVERFLOW, tier=OVERFLOW) == 50
    assert metrics.value("hopline_stitch_join_total", api="api-0") == 2


def test_one_tenants_labels_leave_room_for_anothers() -> None:
    """The limit of a metric is each tenant's own."""
    metrics = Metrics()
    red, blue = metrics.of_tenant("red"), metrics.of_tenant("blue")
    for number in range(MAX_SERIES + 50):
        red.count("hopline_stitch_join_total", api=f"api-{number}", tier="1")
    blue.count("hopline_stitch_join_total", api="orders", tier="1")
    assert blue.value("hopline_stitch_join_total", api="orders", tier="1") == 1
    assert red.value("hopline_stitch_join_total", api=OVERFLOW) == 50


@pytest.mark.parametrize("has_tenants", [False, True])
def test_a_gauge_that_is_forgotten_is_not_shown(has_tenants: bool) -> None:
    """What another process shows by now has no old value here, until it is set again."""
    metrics = Metrics()
    if has_tenants:
        metrics.of_tenant("")
    for source in ("a", "b"):
        metrics.gauge("hopline_pull_lag_seconds", 4, source=source)
    for _ in range(2):
        metrics.forget("hopline_pull_lag_seconds", source="a")
    page = metrics.exposition()[0].decode()
    assert 'source="b"' in page
    assert 'source="a"' not in page
    metrics.gauge("hopline_pull_lag_seconds", 5, source="a")
    assert metrics.value("hopline_pull_lag_seconds", source="a") == 5


def test_each_process_shows_all(tmp_path: Path) -> None:
    """Processes that share a folder show each other's metrics under the names of the processes."""
    one, two = Metrics(), Metrics()
    one.share(tmp_path, "ingest")
    two.share(tmp_path, "store")
    _fill(one)
    two.count("hopline_journal_syncs_total", 4)
    for wanted in ("ingest", "store"):
        for _ in range(200):
            text, _ = _text(one if wanted == "store" else two)
            if f'hopline_journal_syncs_total{{process="{wanted}"}}' in text:
                break
            time.sleep(0.05)
        assert 'hopline_journal_syncs_total{process="ingest"} 3\n' in text
        assert 'hopline_journal_syncs_total{process="store"} 4\n' in text
        assert 'process_resident_memory_bytes{process="ingest"}' in text
        assert text.count("# TYPE hopline_journal_syncs_total counter") == 1
    samples = _read_openmetrics(_text(two, OPENMETRICS_TYPE)[0])
    assert any(each.exemplar and each.labels["process"] == "ingest" for each in samples)


def test_metrics_of_processes_that_are_gone_are_not_shown(tmp_path: Path) -> None:
    """A file that nobody has written for a minute, or that is no such file, is passed over."""
    metrics = Metrics()
    metrics.share(tmp_path, "store")
    sample = ["hopline_journal_syncs_total", {}, 9, 0, None, None]
    row = json.dumps([["hopline_journal_syncs", "counter", "", [sample]]])
    (tmp_path / "old.json").write_text(row)
    os.utime(tmp_path / "old.json", (1, 1))
    (tmp_path / "torn.json").write_text(row[:30])
    (tmp_path / "query.json").write_text(row)
    text, _ = _text(metrics)
    assert 'hopline_journal_syncs_total{process="query"} 9\n' in text
    assert '"old"' not in text
    assert '"torn"' not in text


def test_native_buckets_hold_what_was_observed() -> None:
    """Each duration is in the bucket that ends at or just above it, zero and days included."""
    bounds = [2 ** (number / 8) for number in range(-160, 161)]
    for seconds in (*bounds[1:], 3e-6, 0.0499, 0.05, 1.0000001, 700.0, 86_400.0):
        (native,) = _natives([seconds])
        ((offset, length),) = native.pos_spans or ()
        assert (length, native.zero_count, native.pos_deltas) == (1, 0, [1])
        assert 2 ** ((offset - 1) / 8) < seconds * (1 + 1e-12)
        assert seconds * (1 - 1e-12) <= 2 ** (offset / 8)
    (native,) = _natives([0.0, 1e-7, 3e8])
    assert (native.zero_count, native.count_value) == (2, 3)
    assert native.pos_spans == [(160, 1)]


def _natives(observed: list[float]) -> list[NativeHistogram]:
    metrics = Metrics()
    for seconds in observed:
        metrics.observe("hopline_store_load_seconds", seconds, stream="trace")
    samples = [each for family in metrics.families() for each in family.samples]
    return [each.native_histogram for each in samples if each.native_histogram is not None]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", TEXT_TYPE),
        ("*/*", TEXT_TYPE),
        ("application/json", TEXT_TYPE),
        (f"{OPENMETRICS_TYPE};q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", OPENMETRICS_TYPE),
        (f"{OPENMETRICS_TYPE};q=0.6,{PROTOBUF_TYPE};q=0.7", PROTOBUF_TYPE),
        (f"{OPENMETRICS_TYPE};q=0.6, {PROTOBUF_TYPE};q=0.5", OPENMETRICS_TYPE),
        (f"{PROTOBUF_TYPE};q=0", TEXT_TYPE),
        (f"{PROTOBUF_TYPE};q=much, {OPENMETRICS_TYPE}", OPENMETRICS_TYPE),
        (PROTOBUF_TYPE.replace("delimited", "text"), TEXT_TYPE),
        ("application/vnd.google.protobuf", TEXT_TYPE),
        ('Application/OpenMetrics-Text; Version="1.0.0"', OPENMETRICS_TYPE),
        (";;,,=;q", TEXT_TYPE),
    ],
)
def test_a_scraper_gets_the_form_that_it_likes_best(accept: str, form: str) -> None:
    """By the weights of its Accept header; text for what is none of ours."""
    assert Metrics().exposition(accept)[1] == form


def test_processes_share_native_buckets(tmp_path: Path) -> None:
    """In protobuf each process's histogram is whole, those from the siblings' files too."""
    one, two = Metrics(), Metrics()
    _fill(one)
    one.share(tmp_path, "ingest")
    while not (tmp_path / "ingest.json").exists():
        time.sleep(0.01)
    two.share(tmp_path, "store")
    _fill(two)
    page, _ = two.exposition(PROTOBUF_TYPE)
    families = {each.name: each for each in _read_protobuf(page)}
    assert families["hopline_journal_syncs_total"].metric[0].counter.value == 3
    assert families["process_resident_memory_bytes"].metric[0].gauge.value > 0
    loads = families["hopline_store_load_seconds"].metric
    labels = [{pair.name: pair.value for pair in each.label} for each in loads]
    assert [each["process"] for each in labels] == ["store", "ingest"]
    for each in loads:
        counted = each.histogram
        assert (counted.sample_count, counted.bucket[-1].cumulative_count) == (2, 2)
        assert [(span.offset, span.length) for span in counted.positive_span] == [(-13, 1), (55, 1)]
        assert list(counted.positive_delta) == [1, 0]
        (known,) = counted.exemplars
        assert known == counted.bucket[8].exemplar
        assert known.timestamp.seconds > 1_700_000_000


def _read_protobuf(page: bytes) -> Iterator[MetricFamily]:
    stream = BytesIO(page)
    while (family := parse_length_prefixed(MetricFamily, stream)) is not None:
        yield family
