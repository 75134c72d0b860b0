"""
Power cuts, as a model of what a file system may lose: all that was not synced.

The journal runs for real, on real files; the two functions with which it syncs are watched. What a
cut leaves is then made up from the last syncs: bytes behind them may be there, be zeros or be
missing, page by page, and a name that was made, changed or removed since the last sync of its
folder may be the old or the new one.
"""

import asyncio
import contextlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from collector.clock import SystemClock
from collector.errors import JournalError
from collector.journal import Journal, add_checksum, find_sealed, read_messages, segments, writer
from collector.model import Stream
from collector.settings import JournalSettings
from collector.telemetry import Metrics
from tests.chaos.ledger import Outcome

_PAGE_BYTES = 512
_CALLERS = 8


@dataclass
class Disk:
    """What of a folder is durable: bytes by inode, and names of inodes."""

    folder: Path
    content: dict[int, bytes] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)

    def sync_file(self, fd: int) -> None:
        """Note the bytes of a file, as its sync makes them durable."""
        os.fdatasync(fd)
        size = os.fstat(fd).st_size
        reading = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
        self.content[os.fstat(fd).st_ino] = os.pread(reading, size, 0)
        os.close(reading)

    def sync_directory(self, path: Path) -> None:
        """Note the names in a folder."""
        segments.sync_directory(path)
        if path == self.folder:
            self.names = {entry.name: entry.inode() for entry in os.scandir(path)}

    def cut(self, target: Path, rng: random.Random) -> None:
        """Write into *target* what a power cut at this moment may leave."""
        now = {entry.name: entry.inode() for entry in os.scandir(self.folder)}
        bytes_now = {inode: (self.folder / name).read_bytes() for name, inode in now.items()}
        before = {inode: name for name, inode in self.names.items()}
        after = {inode: name for name, inode in now.items()}
        for inode in before.keys() | after.keys():
            choices = [before.get(inode), after.get(inode)]
            name = rng.choice(choices)
            if name is not None:
                durable = self.content.get(inode, b"")
                written = bytes_now.get(inode, durable)
                (target / name).write_bytes(_lose_pages(durable, written, rng))


def _lose_pages(durable: bytes, written: bytes, rng: random.Random) -> bytes:
    kept = bytearray(durable[: len(written)] if len(written) < len(durable) else durable)
    if len(written) < len(durable) and rng.random() < 0.5:
        kept = bytearray(durable)  # it was cut shorter, which may be lost as well
    end = rng.randint(len(kept), max(len(written), len(kept)))
    for at in range(len(kept), end, _PAGE_BYTES):
        page = written[at : min(at + _PAGE_BYTES, end)]
        kept += page if rng.random() < 0.5 else bytes(len(page))
    return bytes(kept)


def power_cut(folder: Path, seed: int, sync_file: Callable[[int], None] | None = None) -> Outcome:
    """Append until the power is cut at some moment, start again, and count what is there."""
    rng = random.Random(seed)
    live, after = folder / f"live-{seed}", folder / f"after-{seed}"
    limits = JournalSettings(live, 1 << 30, 20_000, 60_000)
    trace = after / Stream.TRACE
    trace.mkdir(parents=True)
    disk = Disk(live / Stream.TRACE)
    sent: set[bytes] = set()
    acknowledged: set[bytes] = set()

    async def append_all() -> None:
        journal = Journal(limits, SystemClock(), Metrics())
        journal.open()
        left = rng.randint(5, 120)

        async def append() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                message = add_checksum(rng.randbytes(rng.randint(1, 3000)))
                sent.add(message)
                await journal.append([(Stream.TRACE, message)])
                acknowledged.add(message)

        async with asyncio.TaskGroup() as group:
            for _ in range(_CALLERS):
                group.create_task(append())
        # a batch that is written and not synced when the power goes
        segment = next(iter(journal._segments.values()), None)
        if segment is not None:
            os.write(segment.fd, rng.randbytes(rng.randint(1, 5000)))
        disk.cut(trace, rng)
        await journal.close()

    with (
        mock.patch.object(writer, "sync_file", sync_file or disk.sync_file),
        mock.patch.object(writer, "sync_directory", disk.sync_directory),
    ):
        asyncio.run(append_all())
    limits = JournalSettings(after, 1 << 30, 20_000, 60_000)
    Journal(limits, SystemClock(), Metrics()).open()
    found = [m for segment in find_sealed(after) for m in _read(segment.path)]
    assert set(found) <= sent
    lost = len(acknowledged - set(found))
    return Outcome(len(sent), len(acknowledged), 0, lost, len(found) - len(set(found)))


def _read(path: Path) -> list[bytes]:
    found = []
    with contextlib.suppress(JournalError):  # pages that were never synced
        for _, message in read_messages(path):
            found.append(message)
    return found
