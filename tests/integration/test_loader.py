"""The loader over a real journal and the real engine: whatever happens, each row is there once."""

import errno
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector import operations
from collector.config import load_settings
from collector.errors import StoreUnavailable
from collector.intake import describe_damaged, rewrite_refused
from collector.journal import (
    JournalFolder,
    add_checksum,
    find_sealed,
)
from collector.model import Stream
from collector.settings import StoreSettings
from collector.store import LoadableSegment, Store
from collector.store.loader import Loader
from tests.loader_bench import TRAILER, Bench, Faulty
from tests.stored import (
    NOW_NS,
    encode_log,
    encode_spans,
    make_span,
    opened,
    query_rows,
    store_settings,
    trace_id,
)

# a length that goes beyond the message, which no reader accepts
_POISON = b"\x0a\xff\xff\xff\xff\x07"
# resource spans whose resource is a number: the parser skips it as unknown, ClickHouse refuses it
_ODD_FIELD = b"\x0a\x02\x08\x05"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StoreSettings:
    return store_settings(tmp_path_factory.mktemp("loader"))


@pytest.fixture(scope="module")
def store(settings: StoreSettings) -> Iterator[Store]:
    with opened(settings) as it:
        yield it


@pytest.fixture
def trace() -> int:
    """Return a trace of the test's own: the tables are shared."""
    _traces.append(len(_traces) + 1)
    return _traces[-1]


_traces: list[int] = []


class Crash(BaseException):
    """The end of the process, as far as a loader can tell."""


def id_of(path: Path) -> str:
    """Return the id of a sealed segment: its name tells its size as well."""
    return path.name.partition(".")[0]


def spans_of(trace: int, *numbers: int) -> bytes:
    return encode_spans([make_span(number, trace=trace) for number in numbers])


def stored(store: Store, trace: int) -> Counter[str]:
    """Return how many rows each span of *trace* has, by name."""
    rows = query_rows(
        store,
        "SELECT SpanName, count() FROM hopline.otel_traces WHERE TraceId = {id:String} GROUP BY 1",
        id=trace_id(trace),
    )
    return Counter({str(name).removeprefix("operation "): int(count) for name, count in rows})


def once(*numbers: int) -> Counter[str]:
    return Counter({str(number): 1 for number in numbers})


def summed(store: Store, trace: int) -> int:
    """Return the spans of *trace* as the summary table, which is fed two views further, counts."""
    sql = "SELECT sum(spans) FROM hopline.trace_summary WHERE trace_id = {id:String}"
    return int(query_rows(store, sql, id=trace_id(trace))[0][0])


def test_poison_in_the_middle_costs_only_itself(store: Store, trace: int, tmp_path: Path) -> None:
    """A refused message goes to the dead letter with its reason; all others are there once."""
    bench = Bench(tmp_path, store)
    good = [spans_of(trace, number) for number in range(9)]
    bench.append(*good[:4], _POISON, *good[4:])
    assert bench.loader.load_sealed() == 1
    assert stored(store, trace) == once(*range(9))
    assert summed(store, trace) == 9
    assert bench.is_empty()
    letter = bench.letters()[0].read_bytes()
    assert letter.endswith(add_checksum(_POISON, TRAILER))
    assert "ClickHouse could not load" in bench.reasons()[0]
    assert bench.metrics.value("hopline_store_messages_dead_letter_total", stream="trace") == 1


def test_several_poisons_are_each_found(store: Store, trace: int, tmp_path: Path) -> None:
    """First, last and neighbouring refused messages are all singled out."""
    bench = Bench(tmp_path, store)
    poisons = [_POISON + bytes((8, number)) for number in range(4)]
    bench.append(
        poisons[0], spans_of(trace, 1), poisons[1], poisons[2], spans_of(trace, 2), poisons[3]
    )
    bench.loader.load_sealed()
    assert stored(store, trace) == once(1, 2)
    assert len(bench.letters()) == len(bench.reasons()) == 4


def test_segment_of_poison_alone(store: Store, tmp_path: Path) -> None:
    """A segment without any good message leaves dead letters and nothing to load."""
    bench = Bench(tmp_path, store)
    bench.append(_POISON)
    assert bench.loader.load_sealed() == 1
    assert bench.is_empty()
    assert len(bench.letters()) == 1


def test_refused_message_is_rewritten_and_loaded(store: Store, trace: int, tmp_path: Path) -> None:
    """What another spelling of the same content saves is not lost; the rest is buried."""
    bench = Bench(tmp_path, store)
    bench.append(spans_of(trace, 0), spans_of(trace, 1) + _ODD_FIELD, _POISON, spans_of(trace, 2))
    loader = bench.make_loader(store, rewrite=rewrite_refused)
    loader.load_sealed()
    assert stored(store, trace) == once(0, 1, 2)
    assert len(bench.letters()) == 1


def test_damaged_segment_costs_the_damaged_message(
    store: Store, trace: int, tmp_path: Path
) -> None:
    """A flipped bit that ClickHouse would not notice costs its message; it is said whose it was."""
    bench = Bench(tmp_path, store)
    path = bench.append(*(spans_of(trace, number) for number in range(6)))
    content = bytearray(path.read_bytes())
    at = content.index(b"operation 3")
    content[at] ^= 0x20
    path.write_bytes(content)
    bench.make_loader(store, describe=describe_damaged).load_sealed()
    assert stored(store, trace) == once(0, 1, 2, 4, 5)
    assert bench.is_empty()
    (letter,) = bench.letters()
    assert b"peration 3" in letter.read_bytes()
    assert b"operation 2" not in letter.read_bytes()
    assert "damaged at byte" in bench.reasons()[0]
    assert "about 1 spans of orders" in bench.reasons()[0]


def test_segment_cut_between_messages_is_no_success(
    store: Store, trace: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is missing from the end is reported by verify, kept as a dead letter, and no replay."""
    bench = Bench(tmp_path, store)
    path = bench.append(*(spans_of(trace, number) for number in range(3)))
    ends = [end for _, end in bench.journal.find_messages(path)]
    path.write_bytes(path.read_bytes()[: ends[1]])
    list_journal = operations._check_journal(load_settings(data_dir=tmp_path))
    assert any(is_bad and "2 of 3 messages" in line for line, is_bad in list_journal)
    bench.loader.load_sealed()
    assert stored(store, trace) == once(0, 1)
    assert "2 of 3 messages" in bench.reasons()[0]
    assert bench.replay() == 0
    assert len(bench.letters()) == 1


def test_damage_that_is_replayed_is_the_same_dead_letter(
    store: Store, trace: int, tmp_path: Path
) -> None:
    """Replaying what is damaged neither loads it nor makes more of it."""
    bench = Bench(tmp_path, store)
    path = bench.append(*(spans_of(trace, number) for number in range(3)))
    content = bytearray(path.read_bytes())
    content[content.index(b"operation 1")] ^= 1
    path.write_bytes(content)
    bench.loader.load_sealed()
    before = {path.name: path.read_bytes() for path in bench.letters()}
    for _ in range(2):
        assert bench.replay() == 1
        bench.loader.load_sealed()
    assert {path.name: path.read_bytes() for path in bench.letters()} == before
    assert stored(store, trace) == once(0, 2)


def test_torn_segment_is_loaded_up_to_the_tear(store: Store, trace: int, tmp_path: Path) -> None:
    """A segment whose end is missing gives what is whole."""
    bench = Bench(tmp_path, store)
    path = bench.append(spans_of(trace, 1), spans_of(trace, 2))
    path.write_bytes(path.read_bytes()[:-3])
    bench.loader.load_sealed()
    assert stored(store, trace) == once(1)
    assert len(bench.letters()) == 1


def test_replayed_poison_is_buried_again(store: Store, trace: int, tmp_path: Path) -> None:
    """A replay puts the message back; refused again, it is the same dead letter."""
    bench = Bench(tmp_path, store)
    bench.append(spans_of(trace, 1), _POISON)
    bench.loader.load_sealed()
    before = [path.name for path in bench.letters()]
    assert bench.replay() == 1
    assert bench.letters() == []
    bench.loader.load_sealed()
    assert [path.name for path in bench.letters()] == before
    assert stored(store, trace) == once(1)


def test_loaded_but_not_released(store: Store, trace: int, tmp_path: Path) -> None:
    """A crash between load and release leaves each row once after the next start."""
    bench = Bench(tmp_path, store)
    faulty = Faulty(store)
    bench.append(spans_of(trace, 1), spans_of(trace, 2))

    def crash(_: LoadableSegment) -> None:
        raise Crash

    faulty.after = crash
    with pytest.raises(Crash):
        bench.make_loader(faulty).load_sealed()
    assert stored(store, trace) == once(1, 2)
    assert bench.loader.load_sealed() == 1
    assert stored(store, trace) == once(1, 2)
    assert summed(store, trace) == 2


def test_crash_between_the_parts_of_a_segment(store: Store, trace: int, tmp_path: Path) -> None:
    """However far the halving of a refused segment came, the next start ends with each row once."""
    bench = Bench(tmp_path, store)
    faulty = Faulty(store)
    bench.append(*(spans_of(trace, number) for number in range(11)), _POISON)
    for crash_after in (1, 2, 3, 4):

        def crash(_: LoadableSegment, limit: int = crash_after) -> None:
            if len(faulty.loaded) == limit:
                raise Crash

        faulty.loaded.clear()
        faulty.after = crash
        with pytest.raises(Crash):
            bench.make_loader(faulty).load_sealed()
    assert bench.loader.load_sealed() == 1
    assert stored(store, trace) == once(*range(11))
    assert summed(store, trace) == 11
    assert len(bench.letters()) == 1


def test_unexpected_error_does_not_end_the_thread(store: Store, trace: int, tmp_path: Path) -> None:
    """A bug that goes away costs time, and is counted; the thread lives and loads everything."""
    faulty = Faulty(store)
    bench = Bench(tmp_path, faulty)
    bench.append(spans_of(trace, 1))
    bench.append(spans_of(trace, 2))
    failures = iter([ValueError("one"), KeyError("two"), ValueError("three")])

    def fail(_: LoadableSegment) -> None:
        error = next(failures, None)
        if error:
            raise error

    faulty.before = fail
    assert bench.run_until(bench.is_empty)
    assert stored(store, trace) == once(1, 2)
    retries = bench.metrics.value("hopline_store_load_retries_total", reason="unexpected")
    assert retries == 3
    assert bench.letters() == []


def test_segment_that_always_meets_a_bug_is_set_aside(
    store: Store, trace: int, tmp_path: Path
) -> None:
    """After five failures at the same place the segment makes way; a replay loads it once."""
    faulty = Faulty(store)
    bench = Bench(tmp_path, faulty)
    first = bench.append(spans_of(trace, 1), spans_of(trace, 2))
    bench.append(spans_of(trace, 3))

    def fail(segment: LoadableSegment) -> None:
        if segment.id == id_of(first):
            raise ZeroDivisionError("a bug after the rows were stored")

    faulty.after = fail
    assert bench.run_until(bench.is_empty)
    assert faulty.loaded == [id_of(first)] * 5 + faulty.loaded[5:]
    assert [path.name for path in bench.letters()] == [f"trace-{first.name}"]
    assert "5 times" in bench.reasons()[0]
    assert "ZeroDivisionError" in bench.reasons()[0]
    assert bench.metrics.value("hopline_store_messages_dead_letter_total", stream="trace") == 2
    faulty.after = lambda _: None
    assert bench.replay() == 1
    assert first.exists()
    bench.loader.load_sealed()
    assert stored(store, trace) == once(1, 2, 3)


def test_different_bugs_do_not_add_up(store: Store, trace: int, tmp_path: Path) -> None:
    """Only failing in the same way again and again sets a segment aside."""
    faulty = Faulty(store)
    bench = Bench(tmp_path, faulty)
    bench.append(spans_of(trace, 1))
    failures = iter([ValueError(), TypeError()] * 6)

    def fail(_: LoadableSegment) -> None:
        error = next(failures, None)
        if error:
            raise error

    faulty.before = fail
    assert bench.run_until(bench.is_empty)
    assert bench.letters() == []
    assert stored(store, trace) == once(1)


def test_store_that_does_not_answer_keeps_the_order(
    store: Store, trace: int, tmp_path: Path
) -> None:
    """While the store is away nothing is dropped or overtaken, however long it takes."""
    faulty = Faulty(store)
    bench = Bench(tmp_path, faulty)
    paths = [bench.append(spans_of(trace, number)) for number in range(4)]
    refusals = iter(range(12))

    def fail(segment: LoadableSegment) -> None:
        if segment.id == id_of(paths[1]) and next(refusals, None) is not None:
            raise StoreUnavailable("the store is away")

    faulty.before = fail
    assert bench.run_until(bench.is_empty)
    assert faulty.loaded == [id_of(path) for path in paths]
    assert stored(store, trace) == once(0, 1, 2, 3)
    retries = bench.metrics.value("hopline_store_load_retries_total", reason="store_unavailable")
    assert retries == 12
    assert bench.letters() == []


def test_waiting_segments_are_loaded_at_once(store: Store, trace: int, tmp_path: Path) -> None:
    """Two loads of one stream are under way at the same moment; each row is there once."""
    faulty = Faulty(store)
    bench = Bench(tmp_path, faulty)
    for number in range(6):
        bench.append(spans_of(trace, number))
    both = threading.Barrier(2, timeout=30)

    def meet(_: LoadableSegment) -> None:
        both.wait()

    faulty.before = meet
    assert bench.make_loader(faulty, at_once=2).load_sealed() == 6
    assert stored(store, trace) == once(*range(6))
    assert summed(store, trace) == 6


def test_nothing_overtakes_a_segment_that_is_tried_again(
    store: Store, trace: int, tmp_path: Path
) -> None:
    """With two at once, one load passes a segment that fails; the others wait, and a bug ends."""
    faulty = Faulty(store)
    bench = Bench(tmp_path, faulty)
    paths = [bench.append(spans_of(trace, number)) for number in range(5)]

    has_failed = threading.Event()

    def fail(segment: LoadableSegment) -> None:
        if segment.id == id_of(paths[0]):
            has_failed.set()
            raise ZeroDivisionError
        assert has_failed.wait(30)

    faulty.before = fail
    loader = bench.make_loader(faulty, at_once=2)
    for _ in range(4):
        loader.load_sealed()
        assert faulty.loaded == [id_of(paths[1])]
        time.sleep(0.02)
    assert bench.run_until(bench.is_empty, loader)
    assert [path.name for path in bench.letters()] == [f"trace-{paths[0].name}"]
    assert stored(store, trace) == once(1, 2, 3, 4)


def test_streams_do_not_block_each_other(store: Store, trace: int, tmp_path: Path) -> None:
    """A stream that fails for ever, with the oldest segment of all, leaves the others alone."""
    faulty = Faulty(store)
    bench = Bench(tmp_path, faulty)
    log = bench.append(encode_log(time_unix_nano=NOW_NS), stream=Stream.LOG)
    for number in range(3):
        bench.append(spans_of(trace, number))

    def fail(segment: LoadableSegment) -> None:
        if segment.stream is Stream.LOG:
            raise StoreUnavailable("no table")

    faulty.before = fail
    assert bench.run_until(lambda: not find_sealed(bench.directory, Stream.TRACE))
    assert log.exists()
    assert stored(store, trace) == once(0, 1, 2)


def test_full_disk_sets_nothing_aside(store: Store, trace: int, tmp_path: Path) -> None:
    """An error of the disk is waited out, also more than five times; rows are there once."""
    bench = Bench(tmp_path, store)
    bench.append(spans_of(trace, 1), spans_of(trace, 2), _POISON)
    failures = iter(range(7))

    class FullDisk(JournalFolder):
        def dead_letter(self, stream: Stream, message: bytes, reason: str) -> None:
            if next(failures, None) is not None:
                raise OSError(errno.ENOSPC, "No space left on device")
            super().dead_letter(stream, message, reason)

    loader = Loader(store, FullDisk(bench.directory), bench.metrics, pauses_s=(0.01,))
    assert bench.run_until(bench.is_empty, loader)
    assert stored(store, trace) == once(1, 2)
    assert [path.stat().st_size < 100 for path in bench.letters()] == [True]
    assert bench.metrics.value("hopline_store_load_retries_total", reason="journal") == 7


def test_folder_that_can_not_be_read_does_not_end_the_thread(
    store: Store, trace: int, tmp_path: Path
) -> None:
    """A failure outside of any segment is logged, counted and tried again."""
    bench = Bench(tmp_path, store)
    bench.append(spans_of(trace, 1))
    failures = iter(range(3))

    class Unreadable(JournalFolder):
        def find_sealed(self) -> list[LoadableSegment]:  # type: ignore[override]  # wider is fine
            if next(failures, None) is not None:
                raise PermissionError(errno.EACCES, "Permission denied")
            return list(super().find_sealed())

    loader = Loader(store, Unreadable(bench.directory), bench.metrics, pauses_s=(0.01,))
    assert bench.run_until(bench.is_empty, loader)
    assert stored(store, trace) == once(1)


def test_files_that_a_crash_left_are_cleared(store: Store, trace: int, tmp_path: Path) -> None:
    """Temporary files of a halving that was cut off are gone after the next start."""
    bench = Bench(tmp_path, store)
    bench.append(spans_of(trace, 1))
    left = bench.directory / "trace" / ".parts-abc"
    left.mkdir()
    (left / "part").write_bytes(b"anything")
    assert bench.run_until(bench.is_empty)
    assert sorted((bench.directory / "trace").iterdir()) == []


def test_message_too_large_for_the_memory_limit_is_buried(
    settings: StoreSettings, store: Store, trace: int, tmp_path: Path
) -> None:
    """One message that no amount of halving makes smaller is buried; its neighbours are loaded."""
    attributes = {f"key.{number}": "x" * 40 for number in range(40)}
    huge = [make_span(number, trace=trace, attributes=attributes) for number in range(100, 6100)]
    with opened(replace(settings, memory_bytes=48 << 20)) as small:
        bench = Bench(tmp_path, small)
        bench.append(spans_of(trace, 1), spans_of(trace, 2), encode_spans(huge), spans_of(trace, 3))
        assert bench.loader.load_sealed() == 1
    assert stored(store, trace) == once(1, 2, 3)
    assert summed(store, trace) == 3
    assert bench.is_empty()
    assert len(bench.letters()) == 1
    assert "memory limit" in bench.reasons()[0].lower()


def test_operator_sees_dead_letters_and_puts_them_back(
    store: Store, trace: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`hopline verify` names each dead letter and why; `hopline replay` empties the folder."""
    bench = Bench(tmp_path, store)
    settings = load_settings(data_dir=tmp_path)
    bench.append(spans_of(trace, 1), _POISON)
    bench.loader.load_sealed()
    assert operations.verify(settings) == 1
    shown = capsys.readouterr().out
    assert f"dead letter {bench.letters()[0].stem}" in shown
    assert "ClickHouse could not load" in shown
    assert operations.replay(settings) == 0
    assert "1 dead letter is back in the journal" in capsys.readouterr().out
    assert bench.letters() == []
    assert bench.reasons() == []
    assert operations.verify(settings) == 0
    assert "trace: 1 segments to load, 1 messages" in capsys.readouterr().out
    assert "no dead letters" not in shown
