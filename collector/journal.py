"""
Segments on disk: the only thing the ingest process and the store process share.

A segment is `journal/<stream>/<id>.open` while it is written and `<id>.seg` once it is sealed. The
id is its creation time in 20 digits of nanoseconds, a dash and 8 random hex digits, so names sort
by age. A file is a run of length-delimited protobuf messages, which is ClickHouse's `Protobuf`
format: the file that was synced is the file that is loaded. Every message ends with a checksum
field (`add_checksum`), so what a crash left half-written is found by walking lengths and checksums.

The process that writes a segment holds a lock on it: recovery takes over only abandoned ones.
"""

import asyncio
import errno
import fcntl
import json
import logging
import mmap
import os
import secrets
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from collector.clock import Clock
from collector.config import JournalSettings
from collector.errors import JournalError
from collector.model import Stream
from collector.telemetry import Metrics

DEAD_LETTER = "dead-letter"
_OPEN = ".open"
_SEALED = ".seg"
# long enough for one load to free room, short enough that senders keep the data (OTLP O-14)
_RETRY_AFTER_S = 5
# a request of ordinary size may already be refused here
_FULL_RATIO = 0.95
_RESCAN_AGE_NS = 1_000_000_000
_REFUSAL_RESCAN_AGE_NS = 200_000_000
_TICK_S = 0.1
_IOV_MAX = 1024
_log = logging.getLogger(__name__)


def encode_varint(value: int) -> bytes:
    """Return *value*, which is not negative, as a protobuf varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_CHECKSUM_TAG = encode_varint(2047 << 3 | 5)
_CHECKSUM_BYTES = len(_CHECKSUM_TAG) + 4


def add_checksum(message: bytes, trailer: bytes = b"") -> bytes:
    """
    Return *message* and *trailer* as one message that ends with its checksum.

    The checksum is the CRC-32 of all before it, as fixed32 field 2047: decoders skip it.
    """
    checksum = zlib.crc32(trailer, zlib.crc32(message))
    return b"".join((message, trailer, _CHECKSUM_TAG, checksum.to_bytes(4, "little")))


@dataclass(frozen=True, slots=True)
class Segment:
    """A sealed segment. `id` is unique for ever and orders segments by creation."""

    id: str
    stream: Stream
    path: Path
    size_bytes: int


def find_sealed(directory: Path, stream: Stream | None = None) -> list[Segment]:
    """Return the sealed segments of the journal at *directory*, oldest first."""
    found = []
    for each in Stream if stream is None else (stream,):
        for name, size in _scan(directory / each, _SEALED):
            segment_id = name.removesuffix(_SEALED)
            found.append(Segment(segment_id, each, directory / each / name, size))
    return sorted(found, key=lambda segment: segment.id)


def read_messages(path: Path) -> Iterator[tuple[int, bytes]]:
    """
    Yield the offset and bytes of each message of a segment, trailer included, length excluded.

    Raises:
        JournalError: a length or a checksum is wrong at some offset; what came before is good.
    """
    size = path.stat().st_size
    if not size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        end = 0
        for start, end in _walk(view):
            yield start, view[start:end]
    if end != size:
        raise JournalError(f"segment {path.name} is damaged at byte {end}")


def release(segment: Segment) -> None:
    """Delete a segment. Only call it once its rows are on disk for good."""
    segment.path.unlink(missing_ok=True)
    _sync_directory(segment.path.parent)


def move_to_dead_letter(directory: Path, stream: Stream, message: bytes, reason: str) -> Path:
    """
    Keep one message that the store refuses for good, beside the reason, and return its path.

    The file is a segment of one message, named after its bytes: doing it twice leaves one.
    """
    folder = directory / DEAD_LETTER
    _make_folder(folder)
    path = folder / f"{stream}-{sha256(message).hexdigest()[:32]}{_SEALED}"
    note = json.dumps({"stream": stream, "reason": reason}, indent=1).encode()
    _write_file(path.with_suffix(".json"), note)
    _write_file(path, encode_varint(len(message)) + message)
    _sync_directory(folder)
    return path


def replay_dead_letters(directory: Path, now_ns: int) -> int:
    """Make sealed segments of the dead letters again, under new ids, and return how many."""
    folder = directory / DEAD_LETTER
    letters = sorted(folder.glob(f"*{_SEALED}")) if folder.exists() else []
    for number, letter in enumerate(letters):
        stream = directory / letter.stem.partition("-")[0]
        _make_folder(stream)
        letter.rename(stream / f"{now_ns + number:020d}-{secrets.token_hex(4)}{_SEALED}")
        letter.with_suffix(".json").unlink(missing_ok=True)
        _sync_directory(stream)
    if letters:
        _sync_directory(folder)
    return len(letters)


class JournalFolder:
    """The journal as the process that loads it sees it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find_sealed(self) -> list[Segment]:
        """Return the segments to load, oldest first."""
        return find_sealed(self._directory)

    def read_messages(self, path: Path) -> Iterator[tuple[int, bytes]]:
        """Yield offset and bytes of each message; see the function of the same name."""
        return read_messages(path)

    def write_messages(self, path: Path, messages: Sequence[bytes]) -> None:
        """Write a file of the segments' form; nothing is synced."""
        path.write_bytes(b"".join(encode_varint(len(each)) + each for each in messages))

    def release(self, path: Path) -> None:
        """Delete the segment; its rows are safe."""
        path.unlink(missing_ok=True)
        _sync_directory(path.parent)

    def bury(self, stream: Stream, message: bytes, reason: str) -> None:
        """Keep a message that can not be loaded, with the reason."""
        move_to_dead_letter(self._directory, stream, message, reason)


@dataclass(slots=True, eq=False)
class _OpenSegment:
    """The segment of a stream that is being written. `size` counts durable bytes only."""

    path: Path
    fd: int
    opened_ns: int
    size: int = 0

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
        os.fdatasync(self.fd)

    def seal(self) -> None:
        """Rename to the sealed name, or delete when empty; the lock goes with the descriptor."""
        if not self.size:
            self.path.unlink(missing_ok=True)
        elif self.path.exists():  # else renamed by an attempt that failed after that
            self.path.rename(self.path.with_suffix(_SEALED))
        _sync_directory(self.path.parent)
        os.close(self.fd)


@dataclass(slots=True)
class _Call:
    """One `append` that waits for its group."""

    items: Sequence[tuple[Stream, bytes]]
    size: int
    done: asyncio.Future[None] = field(repr=False)


class Journal:
    """
    The writing side, one instance per process, used from one event loop.

    Concurrent `append` calls share one write and one fdatasync per stream (group commit): while a
    group is on its way to the disk the next one gathers. All file work happens on one thread, so
    the event loop never waits for the disk and the segments need no lock.
    """

    def __init__(self, settings: JournalSettings, clock: Clock, metrics: Metrics) -> None:
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(1, "journal")
        self._waiting: list[_Call] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_closed = False
        self._ticker: asyncio.Task[None] | None = None
        self._queued_bytes = 0
        self._trouble = ""
        # the rest belongs to the journal thread; the loop only reads the two numbers
        self._stored_bytes = 0
        self._scanned_ns = 0
        self._segments: dict[Stream, _OpenSegment] = {}
        self._broken: list[_OpenSegment] = []
        self._sizes: dict[Path, int] = {}

    @property
    def pending_bytes(self) -> int:
        """Bytes written and not yet released by the store, plus those on their way to the disk."""
        return self._stored_bytes + self._queued_bytes

    def check_health(self) -> str:
        """Return why an append would fail at the moment, "" when all is well."""
        if self._is_closed:
            return "the journal is closed"
        if self.pending_bytes >= self._settings.max_bytes * _FULL_RATIO:
            return f"the journal holds {self.pending_bytes} of {self._settings.max_bytes} bytes"
        return self._trouble

    def open(self) -> None:
        """
        Create the folders, then seal what a crashed process left, cut to its last whole message.

        Raises:
            JournalError: the folder can not be used. Retryable.
        """
        try:
            _make_folder(self._settings.directory)
            for stream in Stream:
                _make_folder(self._settings.directory / stream)
                for name, _ in _scan(self._settings.directory / stream, _OPEN):
                    self._recover(self._settings.directory / stream / name)
            self._rescan()
        except OSError as exc:
            raise _translated(exc) from exc

    async def append(self, items: Sequence[tuple[Stream, bytes]]) -> None:
        """
        Return once all *items* are durable; each is a message that ends with its checksum.

        Raises:
            JournalError: the quota is used up, the disk is full or broken. Nothing of *items* is
                kept. Retryable.
        """
        size = sum(len(message) + 10 for _, message in items)
        await self._reserve(size)
        loop = asyncio.get_running_loop()
        call = _Call(items, size, loop.create_future())
        self._queued_bytes += size
        self._waiting.append(call)
        if self._ticker is None:
            self._ticker = loop.create_task(self._tick())
        if self._idle.is_set():
            self._start_commit(loop)
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
        if self.pending_bytes + size <= limit:
            return
        if self._clock.monotonic_ns() - self._scanned_ns > _REFUSAL_RESCAN_AGE_NS:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._executor, self._rescan)
        if self.pending_bytes + size > limit:
            raise JournalError(
                f"the journal holds {self.pending_bytes} of at most {limit} bytes",
                hint="the store is behind: check /readyz, or raise HOPLINE_JOURNAL_MAX_BYTES",
                retry_after_s=_RETRY_AFTER_S,
            )

    def _start_commit(self, loop: asyncio.AbstractEventLoop) -> None:
        group: list[_Call] = []
        size = 0
        # a group larger than a segment would make a segment larger than its limit
        while self._waiting and (not group or size < self._settings.segment_bytes):
            call = self._waiting.pop(0)
            group.append(call)
            size += call.size
        self._idle.clear()
        commit = loop.run_in_executor(self._executor, self._commit, group)
        commit.add_done_callback(lambda done: self._finish_commit(loop, group, done))

    def _finish_commit(
        self, loop: asyncio.AbstractEventLoop, group: list[_Call], done: asyncio.Future[None]
    ) -> None:
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
            self._start_commit(loop)
        else:
            self._idle.set()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_TICK_S)
            await loop.run_in_executor(self._executor, self._keep_house)

    # ---- on the journal thread

    def _commit(self, group: list[_Call]) -> None:
        by_stream: dict[Stream, list[bytes]] = {}
        for call in group:
            for stream, message in call.items:
                by_stream.setdefault(stream, []).extend((encode_varint(len(message)), message))
        written: dict[Stream, int] = {}
        try:
            for stream, parts in by_stream.items():
                written[stream] = 0
                segment = self._segments.get(stream) or self._create(stream)
                written[stream] = segment.append(parts)
            for stream in written:
                os.fdatasync(self._segments[stream].fd)
        except OSError as exc:
            self._roll_back(written)
            raise _translated(exc) from exc
        for stream, size in written.items():
            self._segments[stream].size += size
            self._stored_bytes += size
            self._metrics.count("hopline_journal_bytes_total", size, stream=stream)
        self._metrics.count("hopline_journal_syncs_total", len(written))
        self._seal_full()

    def _create(self, stream: Stream) -> _OpenSegment:
        while True:
            name = f"{self._clock.now_ns():020d}-{secrets.token_hex(4)}{_OPEN}"
            path = self._settings.directory / stream / name
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if path.exists():
                break
            os.close(fd)  # a process that started just now took it for abandoned and removed it
        segment = _OpenSegment(path, fd, self._clock.monotonic_ns())
        self._segments[stream] = segment
        _sync_directory(path.parent)
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
            _log.exception("can not cut %s back yet", segment.path.name)
            self._broken.append(segment)

    def _keep_house(self) -> None:
        broken, self._broken = self._broken, []
        for segment in broken:
            self._retire(segment)
        self._seal_older_than(self._settings.segment_age_ms * 1_000_000)
        if self._clock.monotonic_ns() - self._scanned_ns > _RESCAN_AGE_NS:
            try:
                self._rescan()
            except OSError:
                _log.exception("can not read the journal folder")

    def _seal_full(self) -> None:
        for stream, segment in list(self._segments.items()):
            if segment.size >= self._settings.segment_bytes:
                self._seal(stream)

    def _seal_older_than(self, age_ns: int) -> None:
        now_ns = self._clock.monotonic_ns()
        for stream, segment in list(self._segments.items()):
            if now_ns - segment.opened_ns >= age_ns:
                self._seal(stream)

    def _seal(self, stream: Stream) -> None:
        # what is in the segment is durable and acknowledged: a failure here is tried again
        segment = self._segments.pop(stream)
        try:
            segment.seal()
        except OSError:
            _log.exception("can not seal %s yet", segment.path.name)
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
            with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as view:
                for _, end in _walk(view):
                    segment.size = end
        if segment.size < size:
            _log.warning("cut %d torn bytes from %s", size - segment.size, path.name)
            self._metrics.count("hopline_journal_torn_bytes_total", size - segment.size)
        segment.roll_back()
        segment.seal()

    def _rescan(self) -> None:
        # the store process deletes segments: their absence is the only word of it that we get
        mine = {segment.path: segment.size for segment in self._segments.values()}
        found: dict[Path, int] = {}
        for stream in Stream:
            folder = self._settings.directory / stream
            for name, size in _scan(folder, _SEALED, _OPEN):
                found[folder / name] = mine.get(folder / name, size)
        self._stored_bytes = sum(found.values())
        self._scanned_ns = self._clock.monotonic_ns()
        self._metrics.gauge("hopline_journal_pending_bytes", self._stored_bytes)


def _walk(view: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Yield start and end of each whole message, until the end or the first that is not whole."""
    at, size = 0, len(view)
    while at < size:
        length, shift = 0, 0
        while at < size and shift < 35:
            byte = view[at]
            length |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                break
        else:
            return
        end = at + length
        if length < _CHECKSUM_BYTES or end > size:
            return
        trailer = _CHECKSUM_TAG + zlib.crc32(view[at : end - _CHECKSUM_BYTES]).to_bytes(4, "little")
        if view[end - _CHECKSUM_BYTES : end] != trailer:
            return
        yield at, end
        at = end


def _scan(folder: Path, *suffixes: str) -> list[tuple[str, int]]:
    try:
        with os.scandir(folder) as entries:
            return [
                (entry.name, size)
                for entry in entries
                if entry.name.endswith(suffixes) and (size := _size(entry)) is not None
            ]
    except FileNotFoundError:
        return []


def _size(entry: os.DirEntry[str]) -> int | None:
    try:
        return entry.stat().st_size
    except FileNotFoundError:  # deleted or renamed since it was listed
        return None


def _write_file(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def _make_folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _translated(exc: OSError) -> JournalError:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        text, hint = "the disk of the journal is full", "free space on the disk of HOPLINE_DATA_DIR"
    else:
        text, hint = f"the journal can not write: {exc.strerror}", "check the disk and its mount"
    return JournalError(text, hint=hint, retry_after_s=_RETRY_AFTER_S)
