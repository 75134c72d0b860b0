"""
Segments on disk: the only thing the ingest process and the store process share.

In: messages with a checksum. Out: sealed segments, oldest first. May import: `config`, `clock`,
`telemetry`, `errors`, `model`. Never: the contents of a message. Read first: `segments.py`.
"""

from collector.journal.dead_letters import DEAD_LETTER, move_to_dead_letter, replay_dead_letters
from collector.journal.folder import JournalFolder, all_folders
from collector.journal.segments import (
    Segment,
    add_checksum,
    describe_shortage,
    find_sealed,
    free_bytes,
    read_messages,
    release,
)
from collector.journal.writer import Journal

__all__ = [
    "DEAD_LETTER",
    "Journal",
    "JournalFolder",
    "Segment",
    "add_checksum",
    "all_folders",
    "describe_shortage",
    "find_sealed",
    "free_bytes",
    "move_to_dead_letter",
    "read_messages",
    "release",
    "replay_dead_letters",
]
