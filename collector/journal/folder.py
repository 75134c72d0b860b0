"""
The journal as the process that loads it sees it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from collector.journal.dead_letters import move_to_dead_letter
from collector.journal.segments import (
    Segment,
    encode_varint,
    find_sealed,
    read_messages,
    sync_directory,
)
from collector.model import Stream


class JournalFolder:
    """What a loader needs: find, read, release, bury."""

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
        sync_directory(path.parent)

    def bury(self, stream: Stream, message: bytes, reason: str) -> None:
        """Keep a message that can not be loaded, with the reason."""
        move_to_dead_letter(self._directory, stream, message, reason)
