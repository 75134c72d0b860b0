"""
Dead letters: messages that the store refuses for good, kept with the reason until an operator acts.
"""

import json
import os
import re
import secrets
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from collector.journal.segments import (
    SEALED,
    make_folder,
    sync_directory,
)
from collector.model import Stream
from collector.wire.varint import encode_varint

DEAD_LETTER = "dead-letter"
# A message is refused within this after it was received, as a rule.
_HELD_NS = 3_600_000_000_000
_SEGMENT_ID = re.compile(r"\d{20}-[0-9a-f]{8}(?:\.\d+x\d+)?")


def move_to_dead_letter(directory: Path, stream: Stream, message: bytes, reason: str) -> Path:
    """
    Keep one message that the store refuses for good, beside the reason, and return its path.

    The file is a segment of one message, named after its bytes: doing it twice leaves one. Without
    bytes, for a message that is missing, it is empty and named after the reason.
    """
    folder = directory / DEAD_LETTER
    make_folder(folder)
    path = folder / f"{stream}-{sha256(message or reason.encode()).hexdigest()[:32]}{SEALED}"
    _write_note(path, stream, reason)
    _write_file(path, encode_varint(len(message)) + message if message else b"")
    sync_directory(folder)
    return path


def move_segment_to_dead_letter(directory: Path, stream: Stream, path: Path, reason: str) -> Path:
    """
    Keep a whole segment that cannot be loaded, beside the reason, and return its new path.

    It keeps its id for a replay: nobody can say whether its rows were stored, and the store takes
    the same id only once.
    """
    folder = directory / DEAD_LETTER
    make_folder(folder)
    kept = folder / f"{stream}-{path.name}"
    _write_note(kept, stream, reason)
    path.rename(kept)
    sync_directory(folder)
    sync_directory(path.parent)
    return kept


def _say_nothing(count: int, of: int) -> None:
    """Nobody wants to know."""


def replay_dead_letters(
    directory: Path, now_ns: int, on_each: Callable[[int, int], None] = _say_nothing
) -> int:
    """
    Make sealed segments of the dead letters again, and return how many.

    Messages get new ids, whole segments keep theirs. An id tells from when on something was
    received, so a new one is of a time before the letter was written: work that goes by the time of
    reception has gone past it, and is told to look again. Letters that only tell of what is missing
    stay: there is nothing to load in them. *on_each* is told how many of how many are done; ended
    anywhere, the next call goes on with the rest.
    """
    folder = directory / DEAD_LETTER
    found = sorted(folder.glob(f"*{SEALED}")) if folder.exists() else []
    letters = [letter for letter in found if letter.stat().st_size]
    for number, letter in enumerate(letters):
        name, _, kept_id = letter.stem.partition("-")
        stream = directory / name
        make_folder(stream)
        is_segment = _SEGMENT_ID.fullmatch(kept_id)
        begun_ns = max(min(now_ns, letter.stat().st_mtime_ns) - _HELD_NS, 0) + number
        new_id = kept_id if is_segment else f"{begun_ns:020d}-{secrets.token_hex(4)}"
        # in this order, so that a call that is ended in between leaves a letter and no stray note
        letter.with_suffix(".json").unlink(missing_ok=True)
        letter.rename(stream / f"{new_id}{SEALED}")
        sync_directory(stream)
        on_each(number + 1, len(letters))
    if letters:
        sync_directory(folder)
    return len(letters)


def _write_note(letter: Path, stream: Stream, reason: str) -> None:
    note = json.dumps({"stream": stream, "reason": reason}, indent=1).encode()
    _write_file(letter.with_suffix(".json"), note)


def _write_file(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
