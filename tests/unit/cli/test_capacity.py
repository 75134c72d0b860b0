"""What machines a load takes: figures that were measured, and no others."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.__main__ import main
from collector.cli import capacity
from collector.cli.capacity import INGEST_US, STORE_US, Load, plan, span_us

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
    assert 0 < once.memory_bytes <= twice.memory_bytes
    assert 0 < once.disk_bytes < twice.disk_bytes
    assert once.nodes * capacity.CORES_A_NODE >= once.ingest_cores


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
