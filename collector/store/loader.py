"""
The loop that empties the journal into ClickHouse.

A segment is released only after its rows are on disk. What ClickHouse refuses for good is halved
until the refused messages stand alone: they go to the dead letter, all beside them is loaded.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from collector.errors import JournalError, StoreRejectedRows, StoreUnavailable
from collector.model import Stream
from collector.store.rows import LoadableSegment
from collector.telemetry import Metrics

_POLL_S = 0.05
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_log = logging.getLogger(__name__)


class Journal(Protocol):
    """What the loader needs of the journal."""

    def find_sealed(self) -> Sequence[LoadableSegment]:
        """Return the segments to load, oldest first."""
        ...

    def read_messages(self, path: Path) -> Iterator[tuple[int, bytes]]:
        """Yield offset and bytes of each message; `JournalError` where the file is damaged."""
        ...

    def write_messages(self, path: Path, messages: Sequence[bytes]) -> None:
        """Write a file of the same form."""
        ...

    def release(self, path: Path) -> None:
        """Delete the segment; its rows are safe."""
        ...

    def bury(self, stream: Stream, message: bytes, reason: str) -> None:
        """Keep a message that can not be loaded, with the reason, for an operator."""
        ...


class Loads(Protocol):
    """What the loader needs of the store."""

    def load(self, segment: LoadableSegment) -> None:
        """Load exactly once, or raise `StoreRejectedRows` or `StoreUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class _Part:
    """Some messages of a segment, as a segment. The same part always gets the same id."""

    id: str
    stream: Stream
    path: Path


class Loader:
    """Loads segments one after the other, in a thread of its own."""

    def __init__(self, store: Loads, journal: Journal, metrics: Metrics) -> None:
        self._store = store
        self._journal = journal
        self._metrics = metrics

    def run(self, halt: threading.Event) -> None:
        """Load until *halt* is set; a segment that is under way is finished."""
        failures = 0
        while not halt.is_set():
            try:
                self.load_sealed(halt)
            except StoreUnavailable as exc:
                self._metrics.count("hopline_store_load_retries_total", reason=exc.code)
                pause_s = _PAUSES_S[min(failures, len(_PAUSES_S) - 1)]
                failures += 1
                _log.warning("load failed, trying again in %g s: %s", pause_s, exc.message)
                halt.wait(pause_s)
            else:
                failures = 0
                halt.wait(_POLL_S)

    def load_sealed(self, halt: threading.Event | None = None) -> int:
        """
        Load everything that is sealed now; return how many segments that were.

        Raises:
            StoreUnavailable: the segment it stopped at is tried again by the next call.
        """
        count = 0
        for segment in self._journal.find_sealed():
            if halt is not None and halt.is_set():
                break
            self._load(segment)
            self._journal.release(segment.path)
            count += 1
        return count

    def _load(self, segment: LoadableSegment) -> None:
        try:
            self._store.load(segment)
        except StoreRejectedRows as exc:
            _log.error("segment %s is refused, loading it in parts: %s", segment.id, exc.message)
            self._load_in_parts(segment)

    def _load_in_parts(self, segment: LoadableSegment) -> None:
        messages = list(self._read_undamaged(segment))
        with TemporaryDirectory(dir=segment.path.parent, prefix=".parts-") as folder:
            spans = [(0, len(messages))]
            while spans:
                first, end = spans.pop()
                if first == end:
                    continue
                part = _Part(f"{segment.id}.{first}-{end}", segment.stream, Path(folder) / "part")
                self._journal.write_messages(part.path, messages[first:end])
                try:
                    self._store.load(part)
                except StoreRejectedRows as exc:
                    if end - first == 1:
                        self._bury(segment.stream, messages[first], exc.message)
                    else:
                        middle = (first + end) // 2
                        spans += [(middle, end), (first, middle)]

    def _read_undamaged(self, segment: LoadableSegment) -> Iterator[bytes]:
        """Yield messages up to where the file is damaged; the rest of it is buried as it is."""
        end = 0
        try:
            for offset, message in self._journal.read_messages(segment.path):
                end = offset + len(message)
                yield message
        except JournalError as exc:
            self._bury(segment.stream, segment.path.read_bytes()[end:], exc.message)

    def _bury(self, stream: Stream, message: bytes, reason: str) -> None:
        self._journal.bury(stream, message, reason)
        self._metrics.count("hopline_store_messages_dead_letter_total", stream=str(stream))
        _log.error(
            "a %s message of %d bytes went to the dead letter: %s", stream, len(message), reason
        )
