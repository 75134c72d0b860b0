"""
The writing side of the journal: group commit, seal, quota, recovery.
"""

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from collector.clock import Clock
from collector.errors import JournalError
from collector.journal.segments import (
    OPEN,
    SEALED,
    describe_shortage,
    free_bytes,
    make_folder,
    map_file,
    scan_folder,
    seal_name,
    sync_directory,
    sync_file,
    walk,
)
from collector.model import Stream
from collector.settings import JournalSettings
from collector.telemetry import Metrics
from collector.timestamps import NS_PER_S
from collector.wire.varint import encode_varint

# long enough for one load to free room, short enough that senders keep the data (OTLP O-14)
_RETRY_AFTER_S = 5
# twice as long after each of these, so that senders slow down while it stays full; exporters
# give up after a minute, so never longer than half of that
_RETRY_DOUBLES_S = 15
_RETRY_MOST_S = 30
# a request of ordinary size may already be refused here
_FULL_RATIO = 0.95
_RESCAN_AGE_NS = 500_000_000
_REFUSAL_RESCAN_AGE_NS = 200_000_000
_TICK_S = 0.1
# a load costs 0.1 s of CPU however little is in it: while the store has so many segments of a
# stream to load, the next ones are not closed by age but grow. After an outage of an hour that is
# hundreds of loads instead of thousands.
_BACKLOG_SEGMENTS = 3
_BACKLOG_AGE_RATIO = 30
# What one load takes of memory at most: 4 KiB a span of an ordinary request of 500, 2.4 where each
# is a trace of its own, 5 where each is a service of its own, which is 36 times its bytes. A
# load of 50,000 ordinary spans takes 10 us of CPU a span, like one of 100,000; one of 20,000 15.
SEGMENT_ROWS = 50_000
# a group costs 0.3 ms of CPU whatever its size (two thread switches, a write, a sync): 32 calls at
# once of 5-span requests took a third more CPU a request when it never waited for them to gather
_GATHER_S = 0.006
# for fewer calls the wait is felt and saves little, with more bytes they cost more than the group
_GATHER_CALLS = 8
_GATHER_BYTES = 128 * 1024
_IOV_MAX = 1024
_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _OpenSegment:
    """The segment of a stream that is being written. `size` counts durable bytes only."""

    path: Path
    fd: int
    opened_ns: int
    size: int = 0
    messages: int = 0
    rows: int = 0

    def append(self, parts: list[bytes]) -> int:
        """Write *parts* behind the durable bytes, without syncing, and return their size."""
        total = 0
        for at in range(0, len(parts), _IOV_MAX):
            some = parts[at : at + _IOV_MAX]
            expected = sum(map(len, some))
            written = os.writev(self.fd, some)
            if written < expected:  # short writes: nearly always a full disk, which the next shows
                rest = memoryview(b"".join(some))[written:]
                while rest:
                    rest = rest[os.write(self.fd, rest) :]
            total += expected
        return total

    def roll_back(self) -> None:
        """Cut what is not durable."""
        os.ftruncate(self.fd, self.size)
        sync_file(self.fd)

    def seal(self) -> None:
        """Rename to the sealed name, or delete when empty; the lock goes with the descriptor."""
        if not self.size:
            self.path.unlink(missing_ok=True)
        elif self.path.exists():  # else renamed by an attempt that failed after that
            self.path.rename(
                self.path.with_name(seal_name(self.path.stem, self.messages, self.size))
            )
        sync_directory(self.path.parent)
        os.close(self.fd)


@dataclass(slots=True)
class _Call:
    """One `append` that waits for its group."""

    items: Sequence[tuple[Stream, bytes]]
    rows: int
    size: int
    done: asyncio.Future[None] = field(repr=False)


class Journal:
    """
    The writing side, one instance per process, used from one event loop.

    Concurrent `append` calls share one write and one fdatasync per stream (group commit): while a
    group is on its way to the disk the next one gathers, and when many call at once a small group
    waits a moment for as many as there were before. All file work happens on one thread, so the
    event loop never waits for the disk and the segments need no lock.
    """

    def __init__(self, settings: JournalSettings, clock: Clock, metrics: Metrics) -> None:
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(1, "journal")
        self._waiting: list[_Call] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_committing = False
        self._expected_calls = 0
        self._gathering: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._ticker: asyncio.Task[None] | None = None
        self._queued_bytes = 0
        self._trouble = ""
        self._full_since_ns: int | None = None
        # the rest belongs to the journal thread; the loop only reads the two numbers
        self._stored_bytes = 0
        self._free_bytes = 0
        self._scanned_ns = 0
        self._segments: dict[Stream, _OpenSegment] = {}
        self._broken: list[_OpenSegment] = []
        self._backlog: Counter[Stream] = Counter()

    @property
    def pending_bytes(self) -> int:
        """Bytes written and not yet released by the store, plus those on their way to the disk."""
        return self._stored_bytes + self._queued_bytes

    def check_health(self) -> str:
        """Return why an append would fail at the moment, "" when all is well."""
        if self._is_closed:
            return "the journal is closed"
        shortage = self._find_shortage()
        return shortage.message if shortage else self._trouble

    def check_room(self) -> None:
        """
        Refuse what has not been read yet while no request of ordinary size would find room.

        Raises:
            JournalError: the quota or the disk is used up. Its hint when to come back grows while
                that lasts. Retryable.
        """
        shortage = self._find_shortage()
        if shortage is None:
            self._full_since_ns = None
            return
        self._full_since_ns = self._full_since_ns or self._clock.monotonic_ns()
        raise shortage

    def open(self) -> None:
        """
        Create the folders, then seal what a crashed process left, cut to its last whole message.

        Raises:
            JournalError: the folder cannot be used. Retryable.
        """
        try:
            make_folder(self._settings.directory)
            for stream in Stream:
                make_folder(self._settings.directory / stream)
                for folder in self._folders(stream):
                    for name, _ in scan_folder(folder, OPEN):
                        self._recover(folder / name)
            self._rescan()
        except OSError as exc:
            raise _translated(exc) from exc
        with contextlib.suppress(RuntimeError):  # no event loop yet: the first append starts it
            self._start_ticker(asyncio.get_running_loop())

    async def append(self, items: Sequence[tuple[Stream, bytes]], *, rows: int = 0) -> None:
        """
        Return once all *items* are durable; each is a message that ends with its checksum.

        To load them takes as much memory as so many *rows*. A segment is closed when it holds many,
        since that grows with the rows as well as with the bytes.

        Raises:
            JournalError: the quota is used up, the disk is full or broken. Nothing of *items* is
                kept. Retryable.
        """
        size = sum(len(message) + 10 for _, message in items)
        await self._reserve(size)
        loop = asyncio.get_running_loop()
        call = _Call(items, rows, size, loop.create_future())
        self._queued_bytes += size
        self._waiting.append(call)
        self._start_ticker(loop)
        self._idle.clear()
        if not self._is_committing:
            self._gather(loop)
        await call.done

    async def close(self) -> None:
        """Finish the appends under way, then seal everything."""
        self._is_closed = True
        if self._ticker is not None:
            self._ticker.cancel()
        await self._idle.wait()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._seal_older_than, 0)
        self._executor.shutdown()

    async def _reserve(self, size: int) -> None:
        if self._is_closed:
            raise JournalError("the journal is closing", retry_after_s=_RETRY_AFTER_S)
        limit = self._settings.max_bytes
        if self.pending_bytes + size <= limit and not self._is_short(size):
            return
        if self._clock.monotonic_ns() - self._scanned_ns > _REFUSAL_RESCAN_AGE_NS:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._executor, self._rescan)
        if self._is_short(size):
            raise self._short_of_disk()
        if self.pending_bytes + size > limit:
            raise self._over_quota()

    def _find_shortage(self) -> JournalError | None:
        if self.pending_bytes >= self._settings.max_bytes * _FULL_RATIO:
            return self._over_quota()
        if self._is_short(self._settings.min_free_bytes // 20):  # see _FULL_RATIO
            return self._short_of_disk()
        return None

    def _short_of_disk(self) -> JournalError:
        return JournalError(
            describe_shortage(self._free_bytes, self._settings.min_free_bytes),
            hint="free space on the disk of HOPLINE_DATA_DIR, or lower HOPLINE_MIN_FREE_BYTES",
            retry_after_s=self._retry_after_s(),
        )

    def _over_quota(self) -> JournalError:
        return JournalError(
            f"the journal holds {self.pending_bytes} of at most {self._settings.max_bytes} bytes",
            hint="the store is behind: check /readyz, or raise HOPLINE_JOURNAL_MAX_BYTES",
            retry_after_s=self._retry_after_s(),
        )

    def _retry_after_s(self) -> int:
        if self._full_since_ns is None:
            return _RETRY_AFTER_S
        full_s = (self._clock.monotonic_ns() - self._full_since_ns) // NS_PER_S
        doubled = int(_RETRY_AFTER_S << min(full_s // _RETRY_DOUBLES_S, 10))
        return min(doubled, _RETRY_MOST_S)

    def _is_short(self, size: int) -> bool:
        """Tell whether *size* bytes more would leave too little of the disk to others."""
        room = self._free_bytes - self._queued_bytes - size
        return room < self._settings.min_free_bytes and self._settings.min_free_bytes > 0

    def _gather(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start a commit once all who called lately are back, or have been waited for."""
        if len(self._waiting) >= self._expected_calls or self._queued_bytes >= _GATHER_BYTES:
            self._start_commit(loop)
        elif self._gathering is None:
            self._gathering = loop.call_later(_GATHER_S, self._start_commit, loop)

    def _start_commit(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        self._is_committing = True
        group: list[_Call] = []
        size = rows = 0
        # a group larger than a segment would make a segment larger than its limits
        while self._waiting and not (size >= self._settings.segment_bytes or rows >= SEGMENT_ROWS):
            call = self._waiting.pop(0)
            group.append(call)
            size += call.size
            rows += call.rows
        commit = loop.run_in_executor(self._executor, self._commit, group)
        commit.add_done_callback(lambda done: self._finish_commit(loop, group, done))

    def _finish_commit(
        self, loop: asyncio.AbstractEventLoop, group: list[_Call], done: asyncio.Future[None]
    ) -> None:
        self._is_committing = False
        calls = len(group) + len(self._waiting)
        self._expected_calls = calls if calls >= _GATHER_CALLS else 0
        error = done.exception()
        self._trouble = "" if error is None else str(error)
        for call in group:
            self._queued_bytes -= call.size
            if call.done.done():  # its caller was cancelled
                continue
            if error is None:
                call.done.set_result(None)
            else:
                call.done.set_exception(error)
        if self._waiting:
            self._gather(loop)
        else:
            self._idle.set()

    def _start_ticker(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._ticker is None:
            self._ticker = loop.create_task(self._tick())

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                await loop.run_in_executor(self._executor, self._maintain)
            except Exception:  # without this task no segment would ever be sealed by age
                _log.exception("sealing old segments of the journal failed")

    # ---- on the journal thread

    def _commit(self, group: list[_Call]) -> None:
        by_stream: dict[Stream, list[bytes]] = {}
        rows: Counter[Stream] = Counter()
        for call in group:
            for stream, message in call.items:
                by_stream.setdefault(stream, []).extend((encode_varint(len(message)), message))
            for stream in {stream for stream, _ in call.items}:
                rows[stream] += call.rows
        written: dict[Stream, int] = {}
        try:
            for stream, parts in by_stream.items():
                written[stream] = 0
                segment = self._segments.get(stream) or self._create(stream)
                written[stream] = segment.append(parts)
            for stream in written:
                sync_file(self._segments[stream].fd)
        except OSError as exc:
            self._roll_back(written)
            raise _translated(exc) from exc
        for stream, size in written.items():
            self._segments[stream].size += size
            self._segments[stream].messages += len(by_stream[stream]) // 2
            self._segments[stream].rows += rows[stream]
            self._stored_bytes += size
            self._free_bytes -= size
            self._metrics.count("hopline_journal_bytes_total", size, stream=stream)
        self._metrics.count("hopline_journal_syncs_total", len(written))
        self._seal_full()

    def _create(self, stream: Stream) -> _OpenSegment:
        while True:
            name = f"{self._clock.now_ns():020d}-{secrets.token_hex(4)}{OPEN}"
            path = self._settings.directory / stream / name
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if path.exists():
                break
            os.close(fd)  # a process that started just now took it for abandoned and removed it
        segment = _OpenSegment(path, fd, self._clock.monotonic_ns())
        self._segments[stream] = segment
        sync_directory(path.parent)
        return segment

    def _roll_back(self, streams: Iterable[Stream]) -> None:
        # After a failed fdatasync the kernel may have dropped the pages and forgotten the error:
        # the descriptor proves nothing any more. Keep what was durable, go on in a new file.
        for stream in streams:
            if stream in self._segments:
                self._retire(self._segments.pop(stream))

    def _retire(self, segment: _OpenSegment) -> None:
        try:
            segment.roll_back()
            segment.seal()
        except OSError:
            _log.exception("cannot truncate %s yet", segment.path.name)
            self._broken.append(segment)

    def _maintain(self) -> None:
        broken, self._broken = self._broken, []
        for segment in broken:
            self._retire(segment)
        if self._clock.monotonic_ns() - self._scanned_ns > _RESCAN_AGE_NS:
            try:
                self._rescan()
            except OSError:
                _log.exception("cannot read the journal folder")
        self._seal_older_than(self._settings.segment_age_ms * 1_000_000)

    def _seal_full(self) -> None:
        for stream, segment in list(self._segments.items()):
            if segment.size >= self._settings.segment_bytes or segment.rows >= SEGMENT_ROWS:
                self._seal(stream)

    def _seal_older_than(self, age_ns: int) -> None:
        now_ns = self._clock.monotonic_ns()
        for stream, segment in list(self._segments.items()):
            is_waited_for = self._backlog[stream] < _BACKLOG_SEGMENTS
            if now_ns - segment.opened_ns >= age_ns * (1 if is_waited_for else _BACKLOG_AGE_RATIO):
                self._seal(stream)

    def _seal(self, stream: Stream) -> None:
        # what is in the segment is durable and acknowledged: a failure here is tried again
        segment = self._segments.pop(stream)
        self._backlog[stream] += 1
        try:
            segment.seal()
        except OSError:
            _log.exception("cannot seal %s yet", segment.path.name)
            self._broken.append(segment)

    def _recover(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_APPEND)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)  # another process is writing it
            return
        segment = _OpenSegment(path, fd, 0)
        size = os.fstat(fd).st_size
        if size:
            with map_file(path) as view:
                # damage with whole messages behind it is no torn end: it stays, to be reported
                for piece in walk(view):
                    if piece.is_whole:
                        segment.size = piece.end
                        segment.messages += 1
        if segment.size < size:
            _log.warning("removed %d torn bytes from the end of %s", size - segment.size, path.name)
            self._metrics.count("hopline_journal_torn_bytes_total", size - segment.size)
        segment.roll_back()
        segment.seal()

    def _rescan(self) -> None:
        # the store process deletes segments: their absence is the only word of it that we get
        mine = {segment.path: segment.size for segment in self._segments.values()}
        found: dict[Path, int] = {}
        backlog: Counter[Stream] = Counter()
        for stream in Stream:
            for folder in self._folders(stream):
                for name, size in scan_folder(folder, SEALED, OPEN):
                    found[folder / name] = mine.get(folder / name, size)
                    backlog[stream] += name.endswith(SEALED)
        self._backlog = backlog
        self._stored_bytes = sum(found.values())
        self._free_bytes = free_bytes(self._settings.directory)
        self._metrics.gauge("hopline_journal_disk_free_bytes", self._free_bytes)
        self._scanned_ns = self._clock.monotonic_ns()
        self._metrics.gauge("hopline_journal_pending_bytes", self._stored_bytes)

    def _folders(self, stream: Stream) -> Iterator[Path]:
        for directory in (self._settings.directory, *self._settings.abandoned):
            yield directory / stream


def _translated(exc: OSError) -> JournalError:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        text, hint = "the disk of the journal is full", "free space on the disk of HOPLINE_DATA_DIR"
    else:
        text, hint = f"the journal cannot write: {exc.strerror}", "check the disk and its mount"
    return JournalError(text, hint=hint, retry_after_s=_RETRY_AFTER_S)
