"""
The journal as the process that loads it sees it.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

from collector.journal.dead_letters import move_segment_to_dead_letter, move_to_dead_letter
from collector.journal.segments import (
    Segment,
    encode_varint,
    find_messages,
    find_sealed,
    read_messages,
    sync_directory,
)
from collector.model import Stream

_SCRATCH = ".parts-"


class JournalFolder:
    """What a loader needs: find, read, release, dead_letter."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find_sealed(self) -> list[Segment]:
        """Return the segments to load, oldest first."""
        return find_sealed(self._directory)

    def find_messages(self, path: Path) -> Iterator[tuple[int, int]]:
        """Yield start and end of each message; see the function of the same name."""
        return find_messages(path)

    def read_messages(self, path: Path) -> Iterator[tuple[int, bytes]]:
        """Yield offset and bytes of each message; see the function of the same name."""
        return read_messages(path)

    def write_messages(self, path: Path, messages: Sequence[bytes]) -> None:
        """Write a file of the segments' form; nothing is synced."""
        path.write_bytes(b"".join(encode_varint(len(each)) + each for each in messages))

    def read_rest(self, path: Path, start: int) -> bytes:
        """
        Return what lies behind byte *start* of a damaged segment, for `dead_letter`.

        A length that spans all of it is left out, because `dead_letter` writes one: a damaged dead
        letter that is replayed becomes the same dead letter again.
        """
        rest = path.read_bytes()[start:]
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
        """Delete the segment; its rows are safe."""
        path.unlink(missing_ok=True)
        sync_directory(path.parent)

    def dead_letter(self, stream: Stream, message: bytes, reason: str) -> None:
        """Keep a message that cannot be loaded, with the reason."""
        move_to_dead_letter(self._directory, stream, message, reason)

    def set_aside(self, stream: Stream, path: Path, reason: str) -> None:
        """Keep a whole segment that cannot be loaded, with the reason."""
        move_segment_to_dead_letter(self._directory, stream, path, reason)
