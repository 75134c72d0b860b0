"""What a loader works on: a journal in a folder, and a real store that can be made to fail."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from collector.journal import (
    DEAD_LETTER,
    Journal,
    JournalFolder,
    add_checksum,
    find_sealed,
    replay_dead_letters,
)
from collector.model import Stream
from collector.settings import JournalSettings
from collector.store import LoadableSegment, Store
from collector.store.loader import Loader, Loads
from collector.telemetry import Metrics
from collector.wire.varint import encode_varint
from tests.manual_clock import ManualClock
from tests.stored import NOW_NS

TRAILER = encode_varint(2001 << 3 | 1) + NOW_NS.to_bytes(8, "little")
_DEADLINE_S = 90.0


class Bench:
    """A journal in a folder, and a loader over it."""

    def __init__(self, folder: Path, store: Loads) -> None:
        self.directory = folder / "journal"
        self.journal = JournalFolder(self.directory)
        self.metrics = Metrics()
        self._clock = ManualClock(NOW_NS)
        self.loader = self.make_loader(store)

    def make_loader(self, store: Loads, **options: Any) -> Loader:
        """Return what a store process that starts now would run."""
        return Loader(store, self.journal, self.metrics, pauses_s=(0.01,), **options)

    def append(self, *messages: bytes, stream: Stream = Stream.TRACE) -> Path:
        """Make one sealed segment by way of the real journal; each message gets its checksum."""
        self._clock.advance(ns=1_000_000)
        asyncio.run(self._append([(stream, add_checksum(each, TRAILER)) for each in messages]))
        return find_sealed(self.directory, stream)[-1].path

    async def _append(self, items: Sequence[tuple[Stream, bytes]]) -> None:
        journal = Journal(
            JournalSettings(self.directory, 1 << 30, 1 << 30, 60_000), self._clock, self.metrics
        )
        journal.open()
        await journal.append(items)
        await journal.close()

    def letters(self) -> list[Path]:
        return sorted((self.directory / DEAD_LETTER).glob("*.seg"))

    def reasons(self) -> list[str]:
        notes = sorted((self.directory / DEAD_LETTER).glob("*.json"))
        return [json.loads(note.read_text())["reason"] for note in notes]

    def replay(self) -> int:
        self._clock.advance(ns=1_000_000)
        return replay_dead_letters(self.directory, self._clock.now_ns())

    def is_empty(self) -> bool:
        return not find_sealed(self.directory)

    def run_until(self, is_done: Callable[[], bool], loader: Loader | None = None) -> bool:
        """Run the loader's thread until something is true; return whether it lived until then."""
        halt = threading.Event()
        thread = threading.Thread(target=(loader or self.loader).run, args=(halt,))
        thread.start()
        deadline = time.monotonic() + _DEADLINE_S
        while not is_done() and time.monotonic() < deadline and thread.is_alive():
            time.sleep(0.005)
        was_alive = thread.is_alive()
        halt.set()
        thread.join()
        assert is_done()
        return was_alive


class Faulty:
    """The real store, with a fault before or after a load where the test wants one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.before: Callable[[LoadableSegment], None] = lambda _: None
        self.after: Callable[[LoadableSegment], None] = lambda _: None
        self.loaded: list[str] = []

    def load(self, segment: LoadableSegment) -> None:
        self.before(segment)
        self._store.load(segment)
        self.loaded.append(segment.id)
        self.after(segment)

    def recover(self) -> None:
        self._store.recover()

    def check_parts(self) -> bool:
        return self._store.check_parts()

    def hold_merges(self, *, is_held: bool) -> None:
        self._store.hold_merges(is_held=is_held)
