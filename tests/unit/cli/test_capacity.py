"""What machines a load takes: figures that were measured, and no others."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.__main__ import main
from collector.cli import capacity
from collector.cli.capacity import INGEST_US, READ_S, STORE_US, WRITE_S, Load, plan, span_us
from collector.cli.queueing import (
    MERGE_US,
    QUOTA_BYTES,
    SEGMENT_BYTES,
    Flow,
    flow_of,
    scenarios,
    simulate,
)

BENCH = (Path(__file__).parents[2] / "bench" / "README.md").read_text()


def figures(pattern: str) -> tuple[float, ...]:
    """Return the numbers that the committed table of measurements has in a row."""
    found = re.search(pattern, BENCH)
    assert found, pattern
    return tuple(float(each.replace(",", "")) for each in found.groups())


@pytest.mark.parametrize("size", [500, 20])
def test_costs_of_spans_are_the_measured_ones(size: int) -> None:
    """Microseconds a span are those of the table of measurements."""
    measured = figures(
        rf"\| {size}-span requests, per server CPU-second.*ingest ([\d.]+) µs, store ([\d.]+) µs"
    )
    assert (INGEST_US[size], STORE_US[size]) == measured


def test_other_costs_are_the_measured_ones() -> None:
    """Bytes, memory and what records cost are those of the table of measurements."""
    assert figures(r"on disk, all tables \| ([\d.]+) bytes") == (capacity.SPAN_BYTES,)
    assert figures(r"resident when idle \| (\d+) MiB") == (capacity.IDLE_MIB,)
    assert figures(r"gateway records, loaded and on disk \| ([\d.]+) µs and ([\d.]+) bytes") == (
        capacity.RECORD_LOAD_US,
        capacity.RECORD_BYTES,
    )
    assert figures(r"another, [\d.]+ k on ([\d.]+)") == (capacity.LOADING_CORES,)
    slowest = min(float(each) for each in re.findall(r"decoded, ([\d.]+) k journaled", BENCH))
    assert slowest * 1000 == capacity.RECORDS_PER_CPU_S


def test_the_model_meets_what_it_was_not_made_from() -> None:
    """Both processes together cost what was measured at 5 spans a message, within a tenth."""
    measured = sum(figures(r"5 spans a request, per server CPU.*ingest (\d+) µs, store (\d+) µs"))
    modelled = 5 * (span_us(INGEST_US, 5) + span_us(STORE_US, 5))
    assert modelled == pytest.approx(measured, rel=0.1)


@given(st.floats(1e3, 1e11), st.floats(1, 500), st.floats(1, 2000), st.floats(1, 20))
def test_more_never_takes_less(requests: float, spans: float, batch: float, peak: float) -> None:
    """Twice the requests take at least as many cores, nodes and bytes; every figure is positive."""
    once = plan(Load(requests_per_day=requests, spans=spans, batch=batch, peak=peak))
    twice = plan(Load(requests_per_day=2 * requests, spans=spans, batch=batch, peak=peak))
    assert 0 < once.ingest_cores < twice.ingest_cores
    assert 0 < once.store_cores < twice.store_cores
    assert 1 <= once.nodes <= twice.nodes
    assert 0 <= once.shards <= twice.shards
    assert 1 <= once.clusters <= twice.clusters
    assert once.loads_per_s <= once.clusters * capacity.CLUSTER_LOADS_PER_S
    assert 0 < once.memory_bytes <= twice.memory_bytes
    assert 0 < once.disk_bytes < twice.disk_bytes
    assert once.nodes * capacity.CORES_A_NODE >= once.ingest_cores


def test_one_node_loads_with_more_than_a_core() -> None:
    """Two loads at once do what one core could not, as far as the node has cores."""
    each = plan(Load(requests_per_day=3.5e7))
    assert (each.nodes, each.shards) == (1, 0)
    assert 1 < each.store_cores < capacity.LOADING_CORES
    assert each.ingest_cores + each.store_cores <= capacity.CORES_A_NODE
    assert plan(Load(requests_per_day=6e7)).shards == 1


def test_the_command_prints_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    """Without any service it says what a load takes, for people and as JSON."""
    given_load = ["capacity", "--requests-per-day", "3e8", "--spans", "25"]
    assert main(given_load) == 0
    assert "300,000,000 requests a day, 25 spans each" in capsys.readouterr().out
    assert main([*given_load, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shards"] == 1


def test_a_load_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A number that makes no sense is named."""
    assert main(["capacity", "--requests-per-day", "0"]) != 0
    assert "--requests-per-day" in capsys.readouterr().err


# What a load of the benchmark takes: one stream, senders on the same two cores (2 µs a span).
_BENCH = Flow(
    nodes=1,
    spans_per_s=99_000,
    work_us=STORE_US[500] - MERGE_US - (READ_S + WRITE_S) / capacity.SEGMENT_SPANS * 1e6,
    load_s=READ_S + WRITE_S,
    cores=2,
    beside_us=INGEST_US[500] + 2,
)


def test_the_simulation_meets_what_was_measured() -> None:
    """Time to be found at half load, and to fill the store, are a fifth less than measured."""
    (p50_s,) = figures(r"from sending to queryable at half load \| p50 ([\d.]+) s")
    assert simulate(_BENCH).p50_s == pytest.approx(p50_s, rel=0.25)
    (fill_s,) = figures(r"filling the store with 10.0 M spans over one day \| (\d+) s")
    rate = figures(r"500-span requests, acknowledged \| (\d+) k spans/s")[0] * 1_000
    filling = replace(_BENCH, spans_per_s=rate, lasts_s=10e6 / rate)
    caught_up_s = simulate(filling).caught_up_s
    assert caught_up_s is not None
    assert filling.lasts_s + caught_up_s == pytest.approx(fill_s, rel=0.25)


def test_nothing_is_lost_between_journal_and_refusal() -> None:
    """While the engine is away a journal fills to its quota, and only then is anything refused."""
    short = simulate(replace(_BENCH, spans_per_s=10_000, away_s=300, lasts_s=600))
    assert short.refused_s == 0
    assert short.deepest_bytes == pytest.approx(10_000 * 300 * SEGMENT_BYTES / 90_000, rel=0.05)
    long = simulate(replace(_BENCH, away_s=300, lasts_s=600))
    assert long.deepest_bytes <= QUOTA_BYTES
    fills_s = QUOTA_BYTES / SEGMENT_BYTES * 90_000 / 99_000
    assert long.refused_s == pytest.approx(300 - fills_s, abs=10)
    assert long.p99_s > 300


def test_an_engine_that_is_too_small_never_catches_up() -> None:
    """More than the cores can load fills the journal; it is not called stable."""
    found = simulate(replace(_BENCH, cores=1, beside_us=0, lasts_s=10_000))
    assert found.caught_up_s is None
    assert found.refused_s > 0


@pytest.mark.parametrize("requests", [1e6, 3e8, 1e10])
def test_a_plan_holds_at_its_peak_and_without_a_node(requests: float) -> None:
    """What is sent is found within the promised time at the peak, and nothing is ever refused."""
    each = plan(Load(requests_per_day=requests))
    for name, found in scenarios(each):
        if "away" not in name:
            assert found.refused_s == 0, name
            assert found.p99_s < 5 or name != "at the peak"
    assert flow_of(each).spans_per_s * each.nodes == pytest.approx(each.spans_per_s)


def test_the_command_simulates(capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the machines it draws what becomes of them, for people and as JSON."""
    given_load = ["capacity", "--requests-per-day", "1e6", "--simulate"]
    assert main(given_load) == 0
    assert "engine away for 10 minutes" in capsys.readouterr().out
    assert main([*given_load, "--json"]) == 0
    names = [each["scenario"] for each in json.loads(capsys.readouterr().out)["simulation"]]
    assert names == ["at the peak", "engine away for 10 minutes"]
