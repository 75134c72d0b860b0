"""
The journal as the process that loads it sees it.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

from collector.journal.dead_letters import move_segment_to_dead_letter, move_to_dead_letter
from collector.journal.segments import (
    SEALED,
    Segment,
    find_damage,
    find_messages,
    find_sealed,
    free_bytes,
    make_folder,
    read_messages,
    scan_folder,
    sync_directory,
)
from collector.model import Stream
from collector.settings import find_numbered
from collector.wire.varint import encode_varint

_SCRATCH = ".parts-"
KEPT = "kept"


def all_folders(directory: Path) -> tuple[Path, ...]:
    """Return the journals of all ingest processes, of which *directory* is the first one's."""
    return directory, *find_numbered(directory)


class JournalFolder:
    """
    What a loader needs: find, read, release, dead_letter.

    *directory* is the journal of the first ingest process. Those of others are beside it, also when
    nobody writes them any more.
    """

    def __init__(self, directory: Path, *, kept_s: int = 0, kept_bytes: int = 0) -> None:
        self._directory = directory
        self._kept_s = kept_s
        self._kept_bytes = kept_bytes

    def find_sealed(self) -> list[Segment]:
        """Return the segments to load, of all journals, oldest first."""
        found = [each for folder in all_folders(self._directory) for each in find_sealed(folder)]
        return sorted(found, key=lambda segment: segment.id)

    def find_messages(self, path: Path) -> Iterator[tuple[int, int]]:
        """Yield start and end of each message; see the function of the same name."""
        return find_messages(path)

    def read_messages(self, path: Path) -> Iterator[tuple[int, bytes]]:
        """Yield offset and bytes of each message; see the function of the same name."""
        return read_messages(path)

    def write_messages(self, path: Path, messages: Sequence[bytes]) -> None:
        """Write a file of the segments' form; nothing is synced."""
        path.write_bytes(b"".join(encode_varint(len(each)) + each for each in messages))

    def find_damage(self, path: Path) -> list[tuple[int, int]]:
        """Return where damaged bytes start and end; see the function of the same name."""
        return find_damage(path)

    def read_damaged(self, path: Path, start: int, end: int) -> bytes:
        """
        Return damaged bytes of a segment, for `dead_letter`.

        A length that spans all of it is left out, because `dead_letter` writes one: a damaged dead
        letter that is replayed becomes the same dead letter again.
        """
        with path.open("rb") as file:
            file.seek(start)
            rest = file.read(end - start)
        for size in range(1, min(6, len(rest))):
            length = encode_varint(len(rest) - size)
            if len(length) == size and rest.startswith(length):
                return rest[size:]
        return rest

    def open_scratch(self, stream: Stream) -> AbstractContextManager[str]:
        """Lend a folder for temporary files on the disk of the segments."""
        return TemporaryDirectory(dir=self._directory / stream, prefix=_SCRATCH)

    def clear_scratch(self) -> None:
        """Delete the temporary files that a crash has left."""
        for stream in Stream:
            for left in (self._directory / stream).glob(f"{_SCRATCH}*"):
                shutil.rmtree(left, ignore_errors=True)

    def release(self, path: Path) -> None:
        """
        Let the segment go: its rows are safe. It stays a while among the kept ones.

        What is renamed is not synced: after a power cut it is loaded again, which changes nothing.
        """
        if self._kept_s and self._kept_bytes:
            folder = path.parents[1] / KEPT / path.parent.name
            make_folder(folder)
            path.rename(folder / path.name)
        else:
            path.unlink(missing_ok=True)
            sync_directory(path.parent)

    def free_bytes(self) -> int:
        """Return how many bytes are free on the disk of the journal."""
        return free_bytes(self._directory)

    def prune_kept(self, wanted_free_bytes: int) -> None:
        """Delete kept segments that are too old or too many, or whose room is wanted."""
        now_s = time.time()
        total = 0
        for path in reversed(self._find_kept()):
            found = path.stat()
            total += found.st_size
            is_over = total > self._kept_bytes or now_s - found.st_ctime > self._kept_s
            if is_over:
                path.unlink(missing_ok=True)
        for path in self._find_kept():
            if self.free_bytes() >= wanted_free_bytes:
                break
            path.unlink(missing_ok=True)

    def restore_kept(self) -> int:
        """Put the kept segments back to be loaded again, and return how many."""
        found = self._find_kept()
        for path in found:
            path.rename(path.parents[2] / path.parent.name / path.name)
        return len(found)

    def _find_kept(self) -> list[Path]:
        """Return the kept segments, oldest first."""
        found = [
            directory / KEPT / stream / name
            for directory in all_folders(self._directory)
            for stream in Stream
            for name, _ in scan_folder(directory / KEPT / stream, SEALED)
        ]
        return sorted(found, key=lambda path: path.name)

    def dead_letter(self, stream: Stream, message: bytes, reason: str) -> None:
        """Keep a message that cannot be loaded, with the reason."""
        move_to_dead_letter(self._directory, stream, message, reason)

    def set_aside(self, stream: Stream, path: Path, reason: str) -> None:
        """Keep a whole segment that cannot be loaded, with the reason."""
        move_segment_to_dead_letter(path.parents[1], stream, path, reason)
