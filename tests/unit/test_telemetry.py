"""The process's own metrics as text: exact, explained, bounded, and of all processes together."""

import json
import os
import time
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.samples import Sample

from collector.telemetry import (
    MAX_SERIES,
    MEANINGS,
    OPENMETRICS_TYPE,
    OVERFLOW,
    TEXT_TYPE,
    Counter,
    Gauge,
    Histogram,
    Metrics,
)


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
    text, kind = metrics.exposition()
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
    text, _ = metrics.exposition()
    place = 'api="orders",gateway="kong"'
    assert f'hopline_request_seconds_bucket{{{place},le="0.025",phase="total"}} 0\n' in text
    assert f'hopline_request_seconds_bucket{{{place},le="0.05",phase="total"}} 64\n' in text
    assert f'hopline_request_seconds_bucket{{{place},le="+Inf",phase="total"}} 65\n' in text
    assert f'hopline_request_seconds_sum{{{place},phase="total"}} 100.92' in text


def _fill(metrics: Metrics) -> None:
    metrics.count("hopline_journal_syncs_total", 3)
    metrics.count("hopline_stitch_join_total", api='a "quoted" \\ name\nof two lines', tier="1")
    metrics.observe("hopline_store_load_seconds", 0.3, stream="trace", exemplar="ab" * 16)
    metrics.observe("hopline_store_load_seconds", 40.0, stream="trace")


def test_prometheus_reads_it() -> None:
    """The text is what Prometheus's own parser understands, histograms and odd labels included."""
    metrics = Metrics()
    _fill(metrics)
    text, _ = metrics.exposition("text/plain")
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
    text, kind = metrics.exposition("application/openmetrics-text; version=1.0.0, */*;q=0.1")
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


def test_each_process_shows_all(tmp_path: Path) -> None:
    """Processes that share a folder show each other's metrics under the names of the processes."""
    one, two = Metrics(), Metrics()
    one.share(tmp_path, "ingest")
    two.share(tmp_path, "store")
    _fill(one)
    two.count("hopline_journal_syncs_total", 4)
    for wanted in ("ingest", "store"):
        for _ in range(200):
            text, _ = (one if wanted == "store" else two).exposition()
            if f'hopline_journal_syncs_total{{process="{wanted}"}}' in text:
                break
            time.sleep(0.05)
        assert 'hopline_journal_syncs_total{process="ingest"} 3\n' in text
        assert 'hopline_journal_syncs_total{process="store"} 4\n' in text
        assert 'process_resident_memory_bytes{process="ingest"}' in text
        assert text.count("# TYPE hopline_journal_syncs_total counter") == 1
    samples = _read_openmetrics(two.exposition(OPENMETRICS_TYPE)[0])
    assert any(each.exemplar and each.labels["process"] == "ingest" for each in samples)


def test_metrics_of_processes_that_are_gone_are_not_shown(tmp_path: Path) -> None:
    """A file that nobody has written for a minute, or that is no such file, is passed over."""
    metrics = Metrics()
    metrics.share(tmp_path, "store")
    sample = ["hopline_journal_syncs_total", {}, 9, 0, None]
    row = json.dumps([["hopline_journal_syncs", "counter", "", [sample]]])
    (tmp_path / "old.json").write_text(row)
    os.utime(tmp_path / "old.json", (1, 1))
    (tmp_path / "torn.json").write_text(row[:30])
    (tmp_path / "query.json").write_text(row)
    text, _ = metrics.exposition()
    assert 'hopline_journal_syncs_total{process="query"} 9\n' in text
    assert '"old"' not in text
    assert '"torn"' not in text
