"""
Dead letters: messages that the store refuses for good, kept with the reason until an operator acts.
"""

import json
import os
import secrets
from hashlib import sha256
from pathlib import Path

from collector.journal.segments import (
    SEALED,
    encode_varint,
    make_folder,
    sync_directory,
)
from collector.model import Stream

DEAD_LETTER = "dead-letter"


def move_to_dead_letter(directory: Path, stream: Stream, message: bytes, reason: str) -> Path:
    """
    Keep one message that the store refuses for good, beside the reason, and return its path.

    The file is a segment of one message, named after its bytes: doing it twice leaves one.
    """
    folder = directory / DEAD_LETTER
    make_folder(folder)
    path = folder / f"{stream}-{sha256(message).hexdigest()[:32]}{SEALED}"
    note = json.dumps({"stream": stream, "reason": reason}, indent=1).encode()
    _write_file(path.with_suffix(".json"), note)
    _write_file(path, encode_varint(len(message)) + message)
    sync_directory(folder)
    return path


def replay_dead_letters(directory: Path, now_ns: int) -> int:
    """Make sealed segments of the dead letters again, under new ids, and return how many."""
    folder = directory / DEAD_LETTER
    letters = sorted(folder.glob(f"*{SEALED}")) if folder.exists() else []
    for number, letter in enumerate(letters):
        stream = directory / letter.stem.partition("-")[0]
        make_folder(stream)
        letter.rename(stream / f"{now_ns + number:020d}-{secrets.token_hex(4)}{SEALED}")
        letter.with_suffix(".json").unlink(missing_ok=True)
        sync_directory(stream)
    if letters:
        sync_directory(folder)
    return len(letters)


def _write_file(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
