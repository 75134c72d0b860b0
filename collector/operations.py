"""
What an operator does beside running the service: migrate, verify, replay.

Each function prints what it found and returns the exit status.
"""

import fcntl
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from collector.clock import SystemClock
from collector.config import Settings
from collector.errors import JournalError, StoreUnavailable
from collector.journal import (
    DEAD_LETTER,
    all_folders,
    find_sealed,
    read_messages,
    replay_dead_letters,
)
from collector.journal.segments import SEALED
from collector.model import Stream
from collector.store import Store, open_store
from collector.telemetry import METRICS

_SAY_EVERY_S = 2.0


def migrate(settings: Settings) -> int:
    """
    Bring the tables up to date, and say what is being changed.

    Raises:
        StoreUnavailable: the server does not answer, or the embedded engine is in use.
        ConfigError: a table would have to be rewritten. Nothing was changed.
    """
    for tenant in settings.tenant_names():
        store = _open(settings, tenant)
        try:
            store.migrate(_say)
        finally:
            store.close()
        _say(f"the tables of database {store.settings.database} are up to date")
    return 0


def replay(settings: Settings) -> int:
    """
    Put every dead letter back into the journal; a running service loads them at once.

    Interrupted it has put back some; called again it goes on.

    Returns:
        0, or 1 where there is no journal.
    """
    if not settings.journal().directory.is_dir():
        _say(_no_journal(settings.journal().directory))
        return 1
    count = sum(
        replay_dead_letters(directory, SystemClock().now_ns(), _Progress("dead letters put back"))
        for tenant in settings.tenant_names()
        for directory in all_folders(settings.journal(tenant).directory)
    )
    verb = "letter is" if count == 1 else "letters are"
    _say(f"{count} dead {verb} back in the journal")
    return 0


def verify(settings: Settings) -> int:
    """
    Check each sealed segment's checksums, list dead letters, and ask the store for an answer.

    Nothing is created or changed; a store that a running service holds is left to it.

    Returns:
        0 when all is well, 1 when something is missing, damaged or waits in the dead letter.
    """
    problems = 0
    for tenant in settings.tenant_names():
        for line, is_bad in _check_journal(settings, tenant):
            problems += is_bad
            _say(f"tenant {tenant}: {line}" if tenant else line)
    for line, is_bad in _check_store(settings):
        problems += is_bad
        _say(line)
    return int(problems > 0)


def _check_journal(settings: Settings, tenant: str = "") -> Iterator[tuple[str, bool]]:
    directory = settings.journal(tenant).directory
    if tenant and not directory.is_dir():
        yield "no journal yet", False
        return
    if not directory.is_dir():
        yield _no_journal(directory), True
        return
    folders = all_folders(directory)
    for stream in Stream:
        segments = [each for folder in folders for each in find_sealed(folder, stream)]
        messages = size = 0
        say_how_far = _Progress(f"{stream}: segments checked")
        for number, segment in enumerate(segments, 1):
            say_how_far(number, len(segments))
            try:
                messages += sum(1 for _ in read_messages(segment.path))
            except JournalError as exc:
                yield exc.message, True
            except FileNotFoundError:
                continue  # loaded and let go by the service meanwhile
            size += segment.size_bytes
        if segments:
            line = f"{stream}: {len(segments)} segments to load, {messages} messages, {size} bytes"
            yield line, False
    letters = {
        each.with_suffix("")
        for folder in folders
        for each in (folder / DEAD_LETTER).glob("*")
        if each.suffix in (".json", SEALED)
    }
    for letter in sorted(letters):
        note = letter.parent / f"{letter.name}.json"
        said = note.read_text() if note.exists() else "without a note: replay was interrupted"
        yield f"dead letter {letter.name}: {said}", True
    if not letters:
        yield "no dead letters", False


def _no_journal(directory: Path) -> str:
    return f"no journal: there is no folder {directory}; HOPLINE_DATA_DIR names its parent"


def _check_store(settings: Settings) -> Iterator[tuple[str, bool]]:
    held = _embedded_store(settings)
    if held is not None and not held.exists():
        yield f"no store yet: there is no folder {held}", False
        return
    if held is not None and _is_held(held / "status"):
        yield "store: in use by a service that is running on this folder; ask its /readyz", False
        return
    try:
        store = _open(settings, "")
    except StoreUnavailable as exc:
        yield f"store: {exc.message}", True
        return
    try:
        store.ping()
        yield "store: answers", False
    except StoreUnavailable as exc:
        yield f"store: {exc.message}", True
    finally:
        store.close()


def _embedded_store(settings: Settings) -> Path | None:
    """Return the folder of the embedded engine, `None` when a server is used."""
    return None if settings.store().url else settings.store().directory


def _is_held(status: Path) -> bool:
    """Tell whether an engine runs on a folder: it locks this file for as long as it does."""
    try:
        with status.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _open(settings: Settings, tenant: str) -> Store:
    return open_store(settings.store(tenant), SystemClock(), METRICS)


class _Progress:
    """Says on stderr, every few seconds, how far work has come that takes longer than that."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._said_s = monotonic()

    def __call__(self, count: int, of: int) -> None:
        if monotonic() - self._said_s >= _SAY_EVERY_S:
            self._said_s = monotonic()
            sys.stderr.write(f"{self._what}: {count:,} of {of:,}\n")
            sys.stderr.flush()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
