"""A disk that runs full under the engine: what it cut is noticed, and loaded again once."""

import threading
from pathlib import Path
from typing import Any

import pytest

from collector.journal import JournalFolder
from collector.store import Store
from collector.store.loader import Loader
from collector.store.loading import load_file
from collector.telemetry import Metrics
from tests.chaos.cases import nearly_full_disk
from tests.chaos.disks import MIB, CannotMountError
from tests.loader_bench import Bench
from tests.stored import encode_spans, make_span, opened, query_rows, store_settings

_TRACES = range(1, 4)


def journal_of(folder: Path) -> JournalFolder:
    return JournalFolder(folder / "journal", kept_s=600, kept_bytes=1 << 30)


def append(bench: Bench, trace: int) -> None:
    spans = [
        make_span(number, trace=trace, start_ns=1_790_000_000_000_000_000 + number)
        for number in range(1, 11)
    ]
    bench.append(encode_spans(spans))


def counts(store: Store) -> dict[str, int]:
    """Return how many spans each way of counting them sees."""
    questions = {
        "rows": "SELECT count() FROM hopline.otel_traces",
        "summaries": "SELECT sum(spans) FROM hopline.trace_summary",
        "sources": "SELECT sum(rows) FROM hopline.source_stat WHERE stream = 'trace'",
    }
    return {name: int(query_rows(store, sql)[0][0]) for name, sql in questions.items()}


def part_files(store: Store, table: str) -> list[Path]:
    sql = (
        "SELECT path FROM system.parts WHERE active AND database = 'hopline' AND table = {t:String}"
    )
    return [Path(path) for (path,) in query_rows(store, sql, t=table)]


def load_all(store: Store, journal: JournalFolder) -> Loader:
    """Do what the loader's thread does in one round."""
    loader = Loader(store, journal, Metrics(), pauses_s=(0.0,))
    assert loader.prepare()
    loader.load_sealed()
    return loader


@pytest.mark.parametrize("table", ["otel_traces", "trace_summary", "source_stat"])
def test_part_that_is_broken_at_the_start_is_loaded_again(tmp_path: Path, table: str) -> None:
    """A table that lost a part gets its rows back from kept segments; no other table doubles."""
    settings = store_settings(tmp_path)
    journal = journal_of(tmp_path)
    with opened(settings) as store:
        store.hold_merges(is_held=True)
        bench = Bench(tmp_path, store)
        for trace in _TRACES:
            append(bench, trace)
            load_all(store, journal)
        whole = counts(store)
        assert whole == {"rows": 30, "summaries": 30, "sources": 30}
        victim = sorted(part_files(store, table))[1]
    for path in victim.iterdir():  # as a full disk leaves it
        path.write_bytes(b"")
    with opened(settings) as store:
        assert counts(store) != whole
        load_all(store, journal)
        assert counts(store) == whole
        load_all(store, journal)
        assert counts(store) == whole
    with opened(settings) as store:
        assert counts(store) == whole


def test_load_that_is_cut_is_not_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part cut while the segment is loaded is taken out; the next try fills the gap exactly."""
    journal = journal_of(tmp_path)
    cut: list[Path] = []
    with opened(store_settings(tmp_path)) as store:
        store.hold_merges(is_held=True)
        bench = Bench(tmp_path, store)

        def load_then_cut(*arguments: Any, **options: Any) -> None:
            load_file(*arguments, **options)
            if not cut:
                cut.append(max(part_files(store, "trace_summary")))
                (cut[0] / "checksums.txt").write_bytes(b"")

        append(bench, 1)
        load_all(store, journal)
        append(bench, 2)
        monkeypatch.setattr("collector.store.store.load_file", load_then_cut)
        loader = Loader(store, journal, Metrics(), pauses_s=(0.0,))
        assert loader.prepare()
        assert loader.load_sealed() == 0
        assert cut and not cut[0].exists()
        assert counts(store) == {"rows": 20, "summaries": 10, "sources": 20}
        assert loader.load_sealed() == 1
        assert counts(store) == {"rows": 20, "summaries": 20, "sources": 20}


def test_load_beside_one_that_is_cut_is_not_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cut part may be of either load: both are repeated, and nothing is there twice."""
    journal = journal_of(tmp_path)
    cut: list[Path] = []
    both = threading.Barrier(2, timeout=30)
    with opened(store_settings(tmp_path, loads_at_once=2)) as store:
        store.hold_merges(is_held=True)
        bench = Bench(tmp_path, store)

        def load_then_cut(*arguments: Any, **options: Any) -> None:
            if cut:
                load_file(*arguments, **options)
                return
            both.wait()
            load_file(*arguments, **options)
            if both.wait() == 0:
                cut.append(max(part_files(store, "trace_summary")))
                (cut[0] / "checksums.txt").write_bytes(b"")
            both.wait()

        append(bench, 1)
        load_all(store, journal)
        append(bench, 2)
        append(bench, 3)
        monkeypatch.setattr("collector.store.store.load_file", load_then_cut)
        loader = Loader(store, journal, Metrics(), pauses_s=(0.0,), at_once=2)
        assert loader.prepare()
        assert loader.load_sealed() == 0
        assert cut and not cut[0].exists()
        assert counts(store) == {"rows": 30, "summaries": 20, "sources": 30}
        assert loader.load_sealed() == 2
        assert counts(store) == {"rows": 30, "summaries": 30, "sources": 30}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_nearly_full_disk_loses_nothing(tmp_path: Path, kind: str) -> None:
    """Without a floor, on a disk with 0 to 4 MB free, nothing acknowledged is lost or doubled."""
    try:
        outcome = nearly_full_disk(
            tmp_path, kind=kind, most_bytes=4 * MIB, floor_bytes=0, full_s=4, size_bytes=256 * MIB
        )
    except CannotMountError as exc:
        pytest.skip(f"mounting is not allowed here: {exc}")
    assert outcome.acknowledged
    assert (outcome.lost, outcome.doubled) == (0, 0)
