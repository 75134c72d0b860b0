"""The journal: what is acknowledged is on the disk, whole, until it is released."""

import asyncio
import errno
import itertools
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.clock import SystemClock
from collector.config import load_settings
from collector.errors import JournalError
from collector.journal import (
    Journal,
    JournalFolder,
    add_checksum,
    find_sealed,
    move_to_dead_letter,
    read_messages,
    release,
    replay_dead_letters,
    writer,
)
from collector.model import Stream
from collector.settings import JournalSettings
from collector.telemetry import Metrics
from collector.wire.varint import encode_varint
from tests.manual_clock import ManualClock

MESSAGES = [add_checksum(bytes([number]) * (number * 40)) for number in range(1, 9)]


def make_journal(
    folder: Path,
    *,
    max_bytes: int = 1 << 30,
    segment_bytes: int = 1 << 20,
    age_ms: int = 60_000,
    metrics: Metrics | None = None,
) -> Journal:
    limits = JournalSettings(folder / "journal", max_bytes, segment_bytes, age_ms)
    journal = Journal(limits, SystemClock(), metrics or Metrics())
    journal.open()
    return journal


def messages_in(folder: Path, stream: Stream = Stream.TRACE) -> list[bytes]:
    segments = find_sealed(folder / "journal", stream)
    return [message for segment in segments for _, message in read_messages(segment.path)]


async def until(condition: object, deadline_s: float = 5.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.01)


async def test_appended_messages_come_back_in_order(tmp_path: Path) -> None:
    """What was appended is read from the sealed segment, byte for byte and in order."""
    journal = make_journal(tmp_path)
    for message in MESSAGES:
        await journal.append([(Stream.TRACE, message)])
    await journal.close()
    assert messages_in(tmp_path) == MESSAGES


async def test_message_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    """An acknowledged message is in the open segment before anything is sealed."""
    journal = make_journal(tmp_path)
    await journal.append([(Stream.LOG, MESSAGES[0])])
    (path,) = (tmp_path / "journal" / "log").iterdir()
    assert path.suffix == ".open"
    assert [message for _, message in read_messages(path)] == MESSAGES[:1]
    await journal.close()


async def test_concurrent_appends_share_syncs(tmp_path: Path) -> None:
    """A hundred callers at once need far fewer than a hundred syncs, and all are stored."""
    metrics = Metrics()
    journal = make_journal(tmp_path, metrics=metrics)
    many = [add_checksum(b"message %d" % number) for number in range(100)]
    await asyncio.gather(*(journal.append([(Stream.TRACE, each)]) for each in many))
    await journal.close()
    assert sorted(messages_in(tmp_path)) == sorted(many)
    assert metrics.value("hopline_journal_syncs_total") <= 10


async def test_few_callers_never_wait_for_a_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls one after the other, and a few at once, are committed as soon as the disk is free."""
    monkeypatch.setattr(writer, "_GATHER_S", 60)
    journal = make_journal(tmp_path)
    async with asyncio.timeout(30):
        for message in MESSAGES:
            await journal.append([(Stream.TRACE, message)])
        await asyncio.gather(*(journal.append([(Stream.LOG, each)]) for each in MESSAGES[:7]))
    await journal.close()


async def test_group_is_complete_when_as_many_call_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of two callers waits until the first is back, and both share a sync."""
    monkeypatch.setattr(writer, "_GATHER_S", 60)
    monkeypatch.setattr(writer, "_GATHER_CALLS", 2)
    metrics = Metrics()
    journal = make_journal(tmp_path, metrics=metrics)
    first, second = (
        asyncio.create_task(journal.append([(Stream.TRACE, message)])) for message in MESSAGES[:2]
    )
    await first
    assert not second.done()
    async with asyncio.timeout(30):
        await journal.append([(Stream.TRACE, MESSAGES[2])])
        await second
    assert metrics.value("hopline_journal_syncs_total") == 2
    await journal.close()
    assert messages_in(tmp_path) == MESSAGES[:3]


async def test_waiting_for_a_group_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers who do not come back hold nobody up for long, also not the end."""
    monkeypatch.setattr(writer, "_GATHER_S", 0.01)
    journal = make_journal(tmp_path)
    calls = [asyncio.create_task(journal.append([(Stream.LOG, each)])) for each in MESSAGES]
    async with asyncio.timeout(30):
        await calls[0]
        await journal.close()
    assert all(call.done() for call in calls)
    assert messages_in(tmp_path, Stream.LOG) == MESSAGES


async def test_many_bytes_are_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that is large already is not held up for more."""
    monkeypatch.setattr(writer, "_GATHER_S", 60)
    monkeypatch.setattr(writer, "_GATHER_CALLS", 2)
    monkeypatch.setattr(writer, "_GATHER_BYTES", 100)
    journal = make_journal(tmp_path)
    async with asyncio.timeout(30):
        await asyncio.gather(*(journal.append([(Stream.LOG, each)]) for each in MESSAGES[4:]))
    await journal.close()


async def test_items_of_one_call_go_to_their_streams(tmp_path: Path) -> None:
    """One call may carry messages of several streams; each lands in its own segment."""
    journal = make_journal(tmp_path)
    await journal.append([(Stream.TRACE, MESSAGES[0]), (Stream.RECORD, MESSAGES[1])])
    await journal.close()
    assert messages_in(tmp_path, Stream.TRACE) == [MESSAGES[0]]
    assert messages_in(tmp_path, Stream.RECORD) == [MESSAGES[1]]


async def test_segment_is_sealed_by_size(tmp_path: Path) -> None:
    """A segment that has reached its size is sealed at once and the next one begins."""
    journal = make_journal(tmp_path, segment_bytes=100)
    for message in MESSAGES[2:5]:
        await journal.append([(Stream.TRACE, message)])
    assert len(find_sealed(tmp_path / "journal")) == 3
    await journal.close()


async def test_segment_is_sealed_by_rows(tmp_path: Path) -> None:
    """However few its bytes, a segment is closed at so many rows; a call is never divided."""
    journal = make_journal(tmp_path)
    await journal.append([(Stream.TRACE, MESSAGES[0])], rows=writer.SEGMENT_ROWS - 1)
    assert find_sealed(tmp_path / "journal") == []
    await journal.append([(Stream.LOG, MESSAGES[1])], rows=1)
    assert find_sealed(tmp_path / "journal") == []
    await journal.append([(Stream.TRACE, each) for each in MESSAGES[2:4]], rows=1)
    (segment,) = find_sealed(tmp_path / "journal")
    assert [message for _, message in read_messages(segment.path)] == [MESSAGES[0], *MESSAGES[2:4]]
    await journal.append([(Stream.TRACE, MESSAGES[4])], rows=1)
    assert len(find_sealed(tmp_path / "journal")) == 1
    await journal.close()


async def test_calls_that_waited_are_no_larger_segment(tmp_path: Path) -> None:
    """Many calls at once make segments of the rows that one may hold, not one for all of them."""
    journal = make_journal(tmp_path)
    many = [add_checksum(bytes([number]) * 40) for number in range(12)]
    half = writer.SEGMENT_ROWS // 2
    await asyncio.gather(*(journal.append([(Stream.TRACE, each)], rows=half) for each in many))
    await journal.close()
    held = [len(list(read_messages(each.path))) for each in find_sealed(tmp_path / "journal")]
    assert sum(held) == len(many)
    assert max(held) <= 3


async def test_idle_segment_is_sealed_by_age(tmp_path: Path) -> None:
    """A segment with data is sealed after its age although nothing more arrives."""
    journal = make_journal(tmp_path, age_ms=50)
    await journal.append([(Stream.TRACE, MESSAGES[0])])
    await until(lambda: find_sealed(tmp_path / "journal"))
    await journal.close()


async def test_segments_grow_while_nobody_loads_them(tmp_path: Path) -> None:
    """With three segments waiting the next one stays open; once they are loaded it is sealed."""
    journal = make_journal(tmp_path, age_ms=200)
    for number in range(3):
        await journal.append([(Stream.TRACE, MESSAGES[number])])
        await until(lambda n=number: len(find_sealed(tmp_path / "journal")) == n + 1)
    for message in MESSAGES[3:6]:
        await journal.append([(Stream.TRACE, message)])
        await asyncio.sleep(0.25)  # more than the age; what grows is still one segment
    assert len(find_sealed(tmp_path / "journal")) == 3
    for segment in find_sealed(tmp_path / "journal"):
        segment.path.unlink()
    await until(lambda: find_sealed(tmp_path / "journal"))
    assert messages_in(tmp_path) == MESSAGES[3:6]
    await journal.close()


async def test_no_empty_segments(tmp_path: Path) -> None:
    """A journal that never got a message leaves no file."""
    journal = make_journal(tmp_path, age_ms=50)
    await journal.append([])
    await journal.close()
    assert not [path for path in (tmp_path / "journal").rglob("*") if path.is_file()]


async def test_folders_are_private(tmp_path: Path) -> None:
    """Folders are 0700 and files 0600: telemetry is nobody else's business."""
    journal = make_journal(tmp_path)
    await journal.append([(Stream.TRACE, MESSAGES[0])])
    for path in (tmp_path / "journal").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
    await journal.close()


async def test_full_quota_refuses_with_a_retry_hint(tmp_path: Path) -> None:
    """Above the quota an append is refused with a hint, and nothing of it is stored."""
    journal = make_journal(tmp_path, max_bytes=600)
    await journal.append([(Stream.TRACE, MESSAGES[7])])
    with pytest.raises(JournalError) as refused:
        await journal.append([(Stream.TRACE, MESSAGES[7])])
    assert refused.value.retry_after_s
    assert journal.check_health() == ""
    await journal.close()
    assert messages_in(tmp_path) == [MESSAGES[7]]


async def test_hints_grow_while_the_journal_is_full(tmp_path: Path) -> None:
    """Who asks while it is full is sent away for longer and longer, and at once let in after."""
    clock = ManualClock(1)
    limits = JournalSettings(tmp_path / "journal", len(MESSAGES[7]) + 10, 1 << 20, 60_000)
    journal = Journal(limits, clock, Metrics())
    journal.open()
    journal.check_room()
    await journal.append([(Stream.TRACE, MESSAGES[7])])
    hints = []
    for _ in range(6):
        with pytest.raises(JournalError) as refused:
            journal.check_room()
        hints.append(refused.value.retry_after_s)
        clock.advance(s=10)
    assert hints == [5, 5, 10, 20, 20, 30]
    await journal.close()
    for segment in find_sealed(tmp_path / "journal"):
        release(segment)
    again = Journal(limits, clock, Metrics())
    again.open()
    again.check_room()
    await again.close()


async def test_quota_counts_sealed_segments_until_they_are_released(tmp_path: Path) -> None:
    """Sealed segments use the quota; deleting one, by whatever process, makes room again."""
    journal = make_journal(tmp_path, max_bytes=600, segment_bytes=100)
    await journal.append([(Stream.TRACE, MESSAGES[7])])
    with pytest.raises(JournalError):
        await journal.append([(Stream.LOG, MESSAGES[7])])
    (segment,) = find_sealed(tmp_path / "journal")
    release(segment)
    await until(lambda: journal.pending_bytes == 0)
    await journal.append([(Stream.LOG, MESSAGES[7])])
    await journal.close()
    assert messages_in(tmp_path, Stream.LOG) == [MESSAGES[7]]


async def test_quota_counts_what_an_earlier_process_left(tmp_path: Path) -> None:
    """Segments found at start count from the first append on."""
    first = make_journal(tmp_path)
    await first.append([(Stream.TRACE, MESSAGES[7])])
    await first.close()
    second = make_journal(tmp_path, max_bytes=600)
    assert second.pending_bytes > 300
    with pytest.raises(JournalError):
        await second.append([(Stream.TRACE, MESSAGES[7])])
    await second.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_failed_sync_is_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """When the disk fails, the append fails, its bytes are cut away and earlier ones stay."""
    journal = make_journal(tmp_path)
    await journal.append([(Stream.TRACE, MESSAGES[0])])
    real = os.fdatasync
    fails = [True]

    def fail_once(fd: int) -> None:
        if fails and fails.pop():
            raise OSError(number, "the disk says no")
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fail_once)
    with pytest.raises(JournalError) as refused:
        await journal.append([(Stream.TRACE, MESSAGES[1]), (Stream.LOG, MESSAGES[2])])
    assert refused.value.retry_after_s
    assert journal.check_health()
    await journal.append([(Stream.TRACE, MESSAGES[3])])
    assert not journal.check_health()
    await journal.close()
    assert messages_in(tmp_path) == [MESSAGES[0], MESSAGES[3]]
    assert messages_in(tmp_path, Stream.LOG) == []


async def test_segment_that_can_not_be_cut_back_yet_is_cut_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If cutting fails as well, the segment is not handed to the store before it succeeds."""
    journal = make_journal(tmp_path)
    await journal.append([(Stream.TRACE, MESSAGES[0])])
    is_broken = [True]
    real_sync, real_cut = os.fdatasync, os.ftruncate

    def sync(fd: int) -> None:
        if is_broken[0]:
            raise OSError(errno.EIO, "the disk says no")
        real_sync(fd)

    def cut(fd: int, size: int) -> None:
        if is_broken[0]:
            raise OSError(errno.EIO, "the disk says no")
        real_cut(fd, size)

    monkeypatch.setattr(os, "fdatasync", sync)
    monkeypatch.setattr(os, "ftruncate", cut)
    with pytest.raises(JournalError):
        await journal.append([(Stream.TRACE, MESSAGES[1])])
    assert not find_sealed(tmp_path / "journal")
    is_broken[0] = False
    await until(lambda: find_sealed(tmp_path / "journal"))
    await journal.close()
    assert messages_in(tmp_path) == MESSAGES[:1]


async def test_cancelled_caller_does_not_disturb_its_group(tmp_path: Path) -> None:
    """A sender that goes away while its group is written costs no other sender anything."""
    journal = make_journal(tmp_path)
    gone = asyncio.create_task(journal.append([(Stream.TRACE, MESSAGES[0])]))
    stays = asyncio.create_task(journal.append([(Stream.TRACE, MESSAGES[1])]))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    await journal.append([(Stream.TRACE, MESSAGES[2])])
    await journal.close()
    assert MESSAGES[1] in messages_in(tmp_path)


async def test_closed_journal_refuses(tmp_path: Path) -> None:
    """After close nothing is taken any more."""
    journal = make_journal(tmp_path)
    await journal.close()
    with pytest.raises(JournalError):
        await journal.append([(Stream.TRACE, MESSAGES[0])])


async def test_segment_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    """A second journal on the same folder does not take over what the first one still writes."""
    first = make_journal(tmp_path)
    await first.append([(Stream.TRACE, MESSAGES[0])])
    second = make_journal(tmp_path)
    await first.append([(Stream.TRACE, MESSAGES[1])])
    await second.close()
    await first.close()
    assert messages_in(tmp_path) == MESSAGES[:2]


def test_dead_letter_is_kept_once_with_its_reason(tmp_path: Path) -> None:
    """A refused message is kept in a folder of its own, readable as a segment, however often."""
    paths = {
        move_to_dead_letter(tmp_path, Stream.TRACE, MESSAGES[0], "no such column") for _ in "12"
    }
    (path,) = paths
    assert [message for _, message in read_messages(path)] == MESSAGES[:1]
    assert "no such column" in path.with_suffix(".json").read_text()
    assert find_sealed(tmp_path) == []


def test_replayed_message_says_that_it_is_an_old_one(tmp_path: Path) -> None:
    """Its segment begins before the letter was written: what goes by time has gone past it."""
    letter = move_to_dead_letter(tmp_path, Stream.TRACE, MESSAGES[0], "no such column")
    written_ns = letter.stat().st_mtime_ns
    assert replay_dead_letters(tmp_path, written_ns + 3_000_000_000) == 1
    (segment,) = find_sealed(tmp_path)
    assert written_ns - 2 * 3_600_000_000_000 < int(segment.id.partition("-")[0]) < written_ns


def test_an_interrupted_replay_goes_on_where_it_was(tmp_path: Path) -> None:
    """What is put back is put back once; the rest waits with its note for the next call."""
    for number in range(4):
        move_to_dead_letter(tmp_path, Stream.TRACE, add_checksum(b"%d" % number), "no such column")

    def end_after_two(count: int, of: int) -> None:
        assert of == 4
        if count == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay_dead_letters(tmp_path, 2 * 3_600_000_000_000, end_after_two)
    assert len(find_sealed(tmp_path)) == 2
    assert len(list((tmp_path / "dead-letter").glob("*.json"))) == 2
    assert replay_dead_letters(tmp_path, 2 * 3_600_000_000_000) == 2
    found = [message for each in find_sealed(tmp_path) for _, message in read_messages(each.path)]
    assert sorted(found) == sorted(add_checksum(b"%d" % number) for number in range(4))
    assert list((tmp_path / "dead-letter").iterdir()) == []


def test_find_sealed_orders_all_streams_by_age(tmp_path: Path) -> None:
    """Segments of all streams come oldest first."""
    for name in ("trace/3-a", "log/1-a", "record/2-a"):
        path = tmp_path / f"{name}.seg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    assert [segment.id for segment in find_sealed(tmp_path)] == ["1-a", "2-a", "3-a"]


def read_what_is_left(path: Path) -> tuple[list[bytes], str]:
    """Return the whole messages of a segment, and what it says is wrong with it."""
    found: list[bytes] = []
    try:
        for _, message in read_messages(path):
            found.append(message)
    except JournalError as exc:
        return found, exc.message
    return found, ""


async def sealed(folder: Path, messages: list[bytes]) -> Path:
    """Return the segment that the real journal makes of *messages*."""
    journal = make_journal(folder)
    for message in messages:
        await journal.append([(Stream.TRACE, message)])
    await journal.close()
    return find_sealed(folder / "journal", Stream.TRACE)[-1].path


def test_damaged_length_that_leads_to_another_message(tmp_path: Path) -> None:
    """A length that by its damage spans exactly two messages costs neither of them."""
    messages = [add_checksum(each) for each in (b"", b"5", b"\xfd\x7f" * 9)]
    content = bytearray(b"".join(encode_varint(len(each)) + each for each in messages))
    content[0] ^= 8
    assert content[0] == len(messages[0]) + 1 + len(messages[1])
    path = tmp_path / f"1-a.{len(messages)}x{len(content)}.seg"
    path.write_bytes(content)
    assert read_what_is_left(path)[0] == messages


@settings(
    max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data(), sizes=st.lists(st.integers(0, 400), min_size=1, max_size=8))
def test_flipped_bit_costs_one_message(
    tmp_path: Path, data: st.DataObject, sizes: list[int]
) -> None:
    """Whichever bit is flipped, all other messages are read, and the damage is reported."""
    messages = [add_checksum(os.urandom(size)) for size in sizes]
    content = bytearray(b"".join(encode_varint(len(each)) + each for each in messages))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / f"1-a.{len(messages)}x{len(content)}.seg"
    path.write_bytes(content)
    found, problem = read_what_is_left(path)
    assert len(found) >= len(messages) - 1
    assert all(each in messages for each in found)
    # a damaged length alone costs nothing: the checksum tells where its message ends
    assert problem if len(found) < len(messages) else not problem


@settings(
    max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data(), hole=st.integers(1, 600))
def test_hole_costs_only_what_it_touches(tmp_path: Path, data: st.DataObject, hole: int) -> None:
    """Bytes that became zeros, as a lost page does, cost the messages that they belong to."""
    messages = [add_checksum(os.urandom(60 + 40 * number)) for number in range(8)]
    ends = list(itertools.accumulate(len(encode_varint(len(m))) + len(m) for m in messages))
    content = bytearray(b"".join(encode_varint(len(each)) + each for each in messages))
    first = data.draw(st.integers(0, len(content) - 1))
    content[first : first + hole] = bytes(min(hole, len(content) - first))
    path = tmp_path / f"1-a.{len(messages)}x{len(content)}.seg"
    path.write_bytes(content)
    found, problem = read_what_is_left(path)
    untouched = [
        message
        for message, start, end in zip(messages, [0, *ends], ends, strict=False)
        if end <= first or start >= first + hole
    ]
    assert [each for each in found if each in untouched] == untouched
    assert all(each in messages for each in found)
    assert problem or found == messages


async def test_cut_between_two_messages_is_noticed(tmp_path: Path) -> None:
    """A sealed segment knows how many messages it has to hold, and says what is missing."""
    path = await sealed(tmp_path, MESSAGES[:4])
    assert read_what_is_left(path) == (MESSAGES[:4], "")
    content = path.read_bytes()
    path.write_bytes(content[: -len(MESSAGES[3]) - len(encode_varint(len(MESSAGES[3])))])
    found, problem = read_what_is_left(path)
    assert found == MESSAGES[:3]
    assert "left with 3 of 4 messages" in problem
    path.write_bytes(b"")
    assert "left with 0 of 4 messages" in read_what_is_left(path)[1]


async def test_segment_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """A sealed segment whose name is its id alone is read, and its id stays."""
    path = await sealed(tmp_path, MESSAGES[:3])
    (segment,) = find_sealed(tmp_path / "journal")
    path.rename(path.with_name(f"{segment.id}.seg"))
    (renamed,) = find_sealed(tmp_path / "journal")
    assert renamed.id == segment.id
    assert read_what_is_left(renamed.path) == (MESSAGES[:3], "")


def test_recovery_keeps_what_lies_behind_damage(tmp_path: Path) -> None:
    """A bad byte within an abandoned segment does not cut off the messages behind it."""
    content = bytearray(b"".join(encode_varint(len(each)) + each for each in MESSAGES))
    content[len(MESSAGES[0]) + 20] ^= 1
    stream = tmp_path / "trace"
    stream.mkdir()
    (stream / "00000000000000000001-00000000.open").write_bytes(content + b"\x40torn")
    limits = JournalSettings(tmp_path, 1 << 30, 1 << 20, 60_000)
    Journal(limits, ManualClock(), Metrics()).open()
    found, problem = read_what_is_left(find_sealed(tmp_path)[0].path)
    assert found == [MESSAGES[0], *MESSAGES[2:]]
    assert "damaged at byte" in problem


def recover(folder: Path, content: bytes) -> tuple[list[bytes], float]:
    metrics = Metrics()
    stream = folder / "journal" / "trace"
    stream.mkdir(parents=True, exist_ok=True)
    for old in stream.iterdir():
        old.unlink()
    (stream / "00000000000000000001-00000000.open").write_bytes(content)
    limits = JournalSettings(folder / "journal", 1 << 30, 1 << 20, 60_000)
    Journal(limits, ManualClock(), metrics).open()
    return messages_in(folder), metrics.value("hopline_journal_torn_bytes_total")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    sizes=st.lists(st.integers(0, 300), max_size=6),
    cut=st.integers(0, 2000),
    noise=st.binary(max_size=40),
)
def test_recovery_keeps_whole_messages_and_nothing_else(
    tmp_path: Path, sizes: list[int], cut: int, noise: bytes
) -> None:
    """Cut anywhere, with noise behind: every fully written message comes back, nothing else."""
    messages = [add_checksum(os.urandom(size)) for size in sizes]
    content, ends = b"", []
    for message in messages:
        content += encode_varint(len(message)) + message
        ends.append(len(content))
    kept = content[:cut]
    whole = [message for message, end in zip(messages, ends, strict=True) if end <= len(kept)]
    found, torn = recover(tmp_path, kept + noise if cut < len(content) else kept)
    if cut < len(content) and noise:
        # noise may happen to finish the torn message; then it is whole, and equal to what was sent
        assert found[: len(whole)] == whole
        assert all(each in messages for each in found)
    else:
        assert found == whole
        assert torn == len(kept) - (ends[len(whole) - 1] if whole else 0)


def test_every_cut_of_a_small_segment(tmp_path: Path) -> None:
    """All cuts of a three-message segment, byte by byte."""
    content, ends = b"", [0]
    for message in MESSAGES[:3]:
        content += encode_varint(len(message)) + message
        ends.append(len(content))
    for cut in range(len(content) + 1):
        expected = MESSAGES[: sum(end <= cut for end in ends[1:])]
        assert recover(tmp_path, content[:cut])[0] == expected


def settings_of(folder: Path, number: int, processes: int = 2) -> JournalSettings:
    """Return the journal of one of several ingest processes."""
    chosen = load_settings(data_dir=folder, ingest_processes=processes, journal_max_bytes=10_000)
    return chosen.of_ingest_process(number).journal()


async def write_as(folder: Path, number: int, *messages: bytes, processes: int = 2) -> None:
    """Write a segment as one of several ingest processes does."""
    journal = Journal(settings_of(folder, number, processes), SystemClock(), Metrics())
    journal.open()
    for message in messages:
        await journal.append([(Stream.TRACE, message)])
    await journal.close()


async def test_journals_of_several_processes_are_one_to_the_loader(tmp_path: Path) -> None:
    """Segments come by age whoever wrote them, and each is kept and restored where it was."""
    for number in (1, 0, 1):
        await write_as(tmp_path, number, MESSAGES[number])
    loaded = JournalFolder(tmp_path / "journal", kept_s=600, kept_bytes=1 << 20)
    found = loaded.find_sealed()
    assert [each.path.parents[1].name for each in found] == ["journal-1", "journal", "journal-1"]
    for segment in found:
        loaded.release(segment.path)
    assert loaded.find_sealed() == []
    assert loaded.restore_kept() == 3
    assert loaded.find_sealed() == found
    loaded.set_aside(Stream.TRACE, found[0].path, "unexpected error")
    assert loaded.find_sealed() == found[1:]
    assert replay_dead_letters(tmp_path / "journal-1", 0) == 1


async def test_what_a_process_left_that_there_is_no_more_is_sealed(tmp_path: Path) -> None:
    """With fewer processes than before a crash, the first sees to the journals of the others."""
    await write_as(tmp_path, 2, MESSAGES[2], processes=3)
    await write_as(tmp_path, 1, MESSAGES[1])
    for path in tmp_path.glob("journal-*/trace/*.seg"):
        path.rename(path.with_name(f"{path.name.partition('.')[0]}.open"))
    journal = Journal(settings_of(tmp_path, 0, processes=2), SystemClock(), Metrics())
    journal.open()
    (segment,) = JournalFolder(tmp_path / "journal").find_sealed()
    assert [message for _, message in read_messages(segment.path)] == [MESSAGES[2]]
    assert journal.pending_bytes == segment.size_bytes  # it takes room until it is loaded
    await journal.close()


def test_processes_divide_the_quota(tmp_path: Path) -> None:
    """All journals together hold no more than one would."""
    sizes = [settings_of(tmp_path, number, processes=4).max_bytes for number in range(4)]
    assert sizes == [2500] * 4


def test_one_process_is_as_it_was(tmp_path: Path) -> None:
    """Without the setting the folder of the journal is the one of earlier versions."""
    assert settings_of(tmp_path, 0, processes=1).directory == tmp_path / "journal"
    assert settings_of(tmp_path, 0, processes=9).directory == tmp_path / "journal"
