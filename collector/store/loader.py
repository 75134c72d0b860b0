"""
The loop that empties the journal into ClickHouse.

A segment is released only after its rows are on disk. What can go wrong, and what becomes of it:

- The store does not answer, or the disk fails: the segment is tried again until it works. Its
  stream waits behind it; the other streams go on.
- ClickHouse refuses the bytes: the segment is halved until the refused messages stand alone. They
  are rewritten and tried once more, else they go to the dead letter; all beside them is loaded.
- A checksum is wrong, or the end is missing: what is whole is loaded, the damaged bytes go to the
  dead letter, which says how much is missing and whose it was.
- Anything else is a bug of ours. The segment is tried again; when it has failed `_MAX_FAULTS` times
  at the same place, it is set aside as a whole, so that a bug that needs particular bytes costs
  their arrival and not that of everything behind them. It keeps its id: a replay after the bug is
  fixed loads it once, even if its rows were stored before the bug struck.

When several wait, the oldest few are loaded at once, each on its own: one load keeps little more
than one core busy, whatever the engine is told (its setting `parallel_view_processing` makes 1.0
cores of 0.9; two loads at once make it 1.3 and more). Order is kept as far as it matters: what one
overtakes in its stream is as many as are loaded at once, and none while it is tried again.
"""

import logging
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import AbstractContextManager
from dataclasses import dataclass
from errno import EIO
from pathlib import Path
from time import monotonic
from typing import Protocol

from collector.errors import JournalError, StoreRejectedRows, StoreUnavailable
from collector.model import Stream
from collector.store.rows import LoadableSegment
from collector.telemetry import Metrics

_POLL_S = 0.05
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_MAX_FAULTS = 5
# what merges wrote is looked at; the parts they were made of stay for eight minutes
_CHECK_EVERY_S = 5.0
# of each tenant, before it is the next one's turn
_TURN_SEGMENTS = 4
_log = logging.getLogger(__name__)


class Journal(Protocol):
    """What the loader needs of the journal."""

    def find_sealed(self) -> Sequence[LoadableSegment]:
        """Return the segments to load, oldest first."""
        ...

    def find_messages(self, path: Path) -> Iterator[tuple[int, int]]:
        """Yield start and end of each whole message; then `JournalError` if that is not all."""
        ...

    def read_messages(self, path: Path) -> Iterator[tuple[int, bytes]]:
        """Yield offset and bytes of each whole message; then `JournalError` if that is not all."""
        ...

    def find_damage(self, path: Path) -> list[tuple[int, int]]:
        """Return where damaged bytes start and end."""
        ...

    def read_damaged(self, path: Path, start: int, end: int) -> bytes:
        """Return damaged bytes as they can be kept."""
        ...

    def write_messages(self, path: Path, messages: Sequence[bytes]) -> None:
        """Write a file of the same form."""
        ...

    def open_scratch(self, stream: Stream) -> AbstractContextManager[str]:
        """Lend a folder for temporary files."""
        ...

    def clear_scratch(self) -> None:
        """Delete the temporary files that a crash has left."""
        ...

    def release(self, path: Path) -> None:
        """Let the segment go; its rows are safe."""
        ...

    def free_bytes(self) -> int:
        """Return how many bytes are free on the disk."""
        ...

    def prune_kept(self, wanted_free_bytes: int) -> None:
        """Delete segments that were let go, so that so much of the disk is free."""
        ...

    def restore_kept(self) -> int:
        """Put the segments that were let go back, and return how many."""
        ...

    def dead_letter(self, stream: Stream, message: bytes, reason: str) -> None:
        """Keep a message that cannot be loaded, with the reason, for an operator."""
        ...

    def set_aside(self, stream: Stream, path: Path, reason: str) -> None:
        """Keep a whole segment that cannot be loaded, with the reason, for an operator."""
        ...


class Loads(Protocol):
    """What the loader needs of the store."""

    def load(self, segment: LoadableSegment) -> None:
        """
        Load exactly once. Several threads do, each another segment.

        Raises:
            StoreRejectedRows: refused for good, and no row of it is stored: its parts are loaded
                under ids of their own. Measured for the memory limit too: of 201 loads that it
                ended, wherever it struck, none left a row in a table that is fed by a view.
            StoreUnavailable: it may be stored or not. Load it again.
        """
        ...

    def recover(self) -> None:
        """Put the tables in order after a start. Raises `StoreUnavailable`."""
        ...

    def check_parts(self) -> bool:
        """Check what merges wrote; tell whether segments let go must be loaded again."""
        ...

    def hold_merges(self, *, is_held: bool) -> None:
        """Stop merges, or let them go on. Raises `StoreUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class _Part:
    """Some messages of a segment, as a segment. The same part always gets the same id."""

    id: str
    stream: Stream
    path: Path


@dataclass(slots=True)
class _Delay:
    """Why a stream waits: how often its oldest segment failed in a row, and how."""

    failures: int = 0
    until_s: float = 0.0
    fault: str = ""
    faults: int = 0


def run_in_turns(loaders: "Sequence[Loader]", halt: threading.Event) -> None:
    """
    Load until *halt* is set, one loader at a time: the memory of its loads is all that they take.

    With several, none loads more than a few segments while others wait.
    """
    most = _TURN_SEGMENTS if len(loaders) > 1 else None
    while not halt.is_set():
        for loader in loaders:
            loader.take_turn(halt, most)
        halt.wait(_POLL_S)


class Loader:
    """
    Loads segments, *at_once* at the same time. Used from one thread.

    *rewrite* makes other bytes of a message that ClickHouse refuses, with the same content, or
    raises. *describe* says what damaged bytes held, as far as they can be read. *pauses_s* lie
    between the tries of a segment; the last one repeats.
    """

    def __init__(
        self,
        store: Loads,
        journal: Journal,
        metrics: Metrics,
        *,
        rewrite: Callable[[Stream, bytes], bytes] | None = None,
        describe: Callable[[Stream, bytes], str] | None = None,
        pauses_s: Sequence[float] = _PAUSES_S,
        min_free_bytes: int = 0,
        at_once: int = 1,
    ) -> None:
        self._store = store
        self._journal = journal
        self._metrics = metrics
        self._rewrite = rewrite
        self._describe = describe
        self._pauses_s = pauses_s
        self._min_free_bytes = min_free_bytes
        self._at_once = at_once
        self._delays: dict[Stream, _Delay] = {}
        self._is_ready = False
        self._is_short = False
        self._check_at_s = 0.0
        self._rest_until_s = 0.0

    def run(self, halt: threading.Event) -> None:
        """Load until *halt* is set; a segment that is under way is finished. Never raises."""
        run_in_turns([self], halt)

    def take_turn(self, halt: threading.Event, most: int | None = None) -> None:
        """Load at most *most* segments, unless there is a reason to wait. Never raises."""
        if monotonic() < self._rest_until_s:
            return
        pause_s = 0.0
        try:
            if self.prepare():
                self.load_sealed(halt, most)
            else:
                pause_s = self._pauses_s[0]
        except StoreUnavailable as exc:
            _log.warning("the store is not ready yet: %s", exc.message)
            self._metrics.count("hopline_store_load_retries_total", reason=exc.code)
            pause_s = self._pauses_s[0]
        except Exception:
            # only the journal's folder is touched outside of `_load_and_release`
            _log.exception("looking for segments failed")
            self._metrics.count("hopline_store_load_retries_total", reason="journal")
            pause_s = self._pauses_s[-1]
        self._rest_until_s = monotonic() + pause_s

    def prepare(self) -> bool:
        """Look after the disk and the tables; return whether there is room to load. May raise."""
        now_s = monotonic()
        if self._is_ready and now_s < self._check_at_s and not self._is_short:
            return self._has_room()
        if not self._is_ready:
            self._journal.clear_scratch()
        has_room = self._has_room()
        if has_room:
            if not self._is_ready:
                self._store.recover()
                self._is_ready = True
            if self._store.check_parts():
                count = self._journal.restore_kept()
                self._metrics.count("hopline_store_segments_reloaded_total", count)
                _log.warning("rows were lost: %d segments are loaded again", count)
            self._journal.prune_kept(2 * self._min_free_bytes)
            self._check_at_s = now_s + _CHECK_EVERY_S
        return has_room

    def _has_room(self) -> bool:
        """
        Tell whether the disk has room for a load, and hold merges while it is nearly full.

        Loads go on longer than requests and merges: they make room, since a segment is several
        times as large as its rows.
        """
        free = self._journal.free_bytes()
        if free < self._min_free_bytes and not self._is_short:
            _log.warning(
                "%d bytes are free on the disk: merges are stopped, and loads will be soon", free
            )
            self._store.hold_merges(is_held=True)
            self._is_short = True
        elif free >= self._min_free_bytes and self._is_short:
            _log.info("%d bytes are free on the disk again: merges are resumed", free)
            self._store.hold_merges(is_held=False)
            self._is_short = False
        return free * 2 >= self._min_free_bytes

    def load_sealed(self, halt: threading.Event | None = None, most: int | None = None) -> int:
        """
        Load what is sealed now, *most* at most, oldest first; return how many segments that were.

        A stream whose segment fails waits a while; the others go on.
        """
        count = 0
        waiting = {stream for stream, delay in self._delays.items() if delay.until_s > monotonic()}
        under_way: dict[Future[None], LoadableSegment] = {}
        with ThreadPoolExecutor(self._at_once, "load") as threads:
            for segment in self._journal.find_sealed():
                while len(under_way) == self._at_once or self._must_wait(segment, under_way):
                    count += self._finish_one(under_way, waiting)
                if (halt is not None and halt.is_set()) or count + len(under_way) == most:
                    break
                if not self._has_room():
                    break
                if segment.stream not in waiting:
                    under_way[threads.submit(self._load_and_release, segment)] = segment
            while under_way:
                count += self._finish_one(under_way, waiting)
        return count

    def _must_wait(
        self, segment: LoadableSegment, under_way: dict[Future[None], LoadableSegment]
    ) -> bool:
        """Tell whether one of the segment's stream is being tried again: none overtakes it then."""
        is_tried_again = segment.stream in self._delays
        return is_tried_again and any(s.stream == segment.stream for s in under_way.values())

    def _finish_one(
        self, under_way: dict[Future[None], LoadableSegment], waiting: set[Stream]
    ) -> bool:
        """Wait for one of the loads, and return whether it worked; else its stream waits."""
        done = wait_for(under_way, return_when=FIRST_COMPLETED).done
        oldest = next(each for each in under_way if each in done)
        segment = under_way.pop(oldest)
        error = oldest.exception()
        if not isinstance(error, Exception | None):
            raise error
        if segment.stream in waiting:
            # one before it has failed, and is the next of the stream that is tried, alone
            return error is None
        if error is None:
            self._delays.pop(segment.stream, None)
            return True
        # also when its pause ends during this round: segments stay in order
        waiting.add(segment.stream)
        if isinstance(error, StoreUnavailable):
            self._wait(segment, error.code, error.message)
        elif isinstance(error, OSError) and error.errno != EIO:
            # a full disk, no file descriptors, a file that is gone: not what the segment holds
            self._wait(segment, "journal", str(error))
        else:
            self._handle_fault(segment, error)
        return False

    def _load_and_release(self, segment: LoadableSegment) -> None:
        self._load(segment)
        self._journal.release(segment.path)

    def _wait(self, segment: LoadableSegment, reason: str, text: str) -> _Delay:
        delay = self._delays.setdefault(segment.stream, _Delay())
        pause_s = self._pauses_s[min(delay.failures, len(self._pauses_s) - 1)]
        delay.failures += 1
        delay.until_s = monotonic() + pause_s
        self._metrics.count("hopline_store_load_retries_total", reason=reason)
        _log.warning("segment %s: trying again in %g s: %s", segment.id, pause_s, text)
        return delay

    def _handle_fault(self, segment: LoadableSegment, exc: Exception) -> None:
        """Try again later, or set the segment aside when it has failed like this too often."""
        where = traceback.extract_tb(exc.__traceback__)[-1]
        # not the text: it may name a temporary file or a time
        fault = f"{segment.id} {type(exc).__qualname__} {where.filename}:{where.lineno}"
        _log.error("segment %s: unexpected error", segment.id, exc_info=exc)
        delay = self._wait(segment, "unexpected", repr(exc))
        delay.faults = delay.faults + 1 if delay.fault == fault else 1
        delay.fault = fault
        if delay.faults < _MAX_FAULTS:
            return
        reason = f"unexpected error, {delay.faults} times: {exc!r} at {where.name}:{where.lineno}"
        try:
            messages = sum(1 for _ in self._read_whole(segment))
            self._journal.set_aside(segment.stream, segment.path, reason)
        except OSError:
            _log.exception("segment %s cannot be set aside yet", segment.id)
            return
        self._delays.pop(segment.stream)
        stream = str(segment.stream)
        self._metrics.count("hopline_store_messages_dead_letter_total", messages, stream=stream)
        _log.error("segment %s became a dead letter as a whole: %s", segment.id, reason)

    def _load(self, segment: LoadableSegment) -> None:
        try:
            # ClickHouse skips the checksum as it skips any field that it does not know
            for _ in self._journal.find_messages(segment.path):
                pass
        except JournalError as exc:
            _log.error("%s; loading the messages that are intact", exc.message)
            self._load_in_parts(segment)
            self._keep_damaged(segment, exc.message)
            return
        try:
            self._store.load(segment)
        except StoreRejectedRows as exc:
            _log.error("segment %s is refused, loading it in parts: %s", segment.id, exc.message)
            self._load_in_parts(segment)

    def _load_in_parts(self, segment: LoadableSegment) -> None:
        messages = list(self._read_whole(segment))
        with self._journal.open_scratch(segment.stream) as folder:
            spans = [(0, len(messages))] if messages else []
            while spans:
                first, end = spans.pop()
                part = _Part(f"{segment.id}.{first}-{end}", segment.stream, Path(folder) / "part")
                refusal = self._find_refusal(part, messages[first:end])
                if refusal and end - first > 1:
                    middle = (first + end) // 2
                    spans += [(middle, end), (first, middle)]
                elif refusal and not self._load_rewritten(part, messages[first]):
                    self._dead_letter(segment.stream, messages[first], refusal)

    def _keep_damaged(self, segment: LoadableSegment, reason: str) -> None:
        places = self._journal.find_damage(segment.path)
        for start, end in places:
            damaged = self._journal.read_damaged(segment.path, start, end)
            whose = self._describe(segment.stream, damaged) if self._describe else ""
            self._dead_letter(segment.stream, damaged, f"{reason}; {whose}" if whose else reason)
        if not places:  # the end is missing, cut between two messages
            self._dead_letter(segment.stream, b"", reason)

    def _read_whole(self, segment: LoadableSegment) -> Iterator[bytes]:
        try:
            for _, message in self._journal.read_messages(segment.path):
                yield message
        except JournalError:
            return

    def _find_refusal(self, part: _Part, messages: Sequence[bytes]) -> str:
        """Load *messages* as *part*; return why they are refused, "" when they are loaded."""
        self._journal.write_messages(part.path, messages)
        try:
            self._store.load(part)
        except StoreRejectedRows as exc:
            return exc.message
        return ""

    def _load_rewritten(self, part: _Part, message: bytes) -> bool:
        if self._rewrite is None:
            return False
        try:
            rewritten = self._rewrite(part.stream, message)
        except Exception as exc:
            # refused as it is, and no other way to write it: that it is buried is all that is left
            _log.warning("a message of %s cannot be rewritten: %r", part.id, exc)
            return False
        if rewritten == message:
            return False
        other = _Part(f"{part.id}.rewritten", part.stream, part.path)
        return not self._find_refusal(other, [rewritten])

    def _dead_letter(self, stream: Stream, message: bytes, reason: str) -> None:
        self._journal.dead_letter(stream, message, reason)
        self._metrics.count("hopline_store_messages_dead_letter_total", stream=str(stream))
        _log.error(
            "a %s message of %d bytes went to the dead letter: %s", stream, len(message), reason
        )
