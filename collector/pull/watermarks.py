"""
How far a polled source has been read.

On disk it is one JSON file a source, `<workspace>-<table>.json` in the `pull/` folder, replaced
atomically; nodes that share the work keep the same elsewhere, see `ProgressStore`. It is also what
the status of the source is read from: `watermark_ns`, `last_success_ns`, `last_error`
(`null` when the last poll went well), `rows_accepted`, `rows_rejected`, `rows_repeated`.

`seen` holds a fingerprint of every row ingested in the overlap behind the watermark, by second, so
that asking for the overlap again, also after a restart, stores nothing twice. A row whose content
changed has another fingerprint and is taken as a new version.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import orjson

from collector.errors import CollectorError
from collector.timestamps import NS_PER_S

_FORMAT = 1
_FINGERPRINT_BYTES = 12  # 96 bits: a collision would drop a row, 64 bits are 1e-4 a year at 1 k/s
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(slots=True)
class Progress:
    """
    What is known about one source.

    `watermark_ns` is the ingestion time up to which all rows are journaled; 0: never polled.
    """

    workspace: str
    table: str
    watermark_ns: int = 0
    last_success_ns: int = 0
    last_error: dict[str, Any] | None = None
    rows_accepted: int = 0
    rows_rejected: int = 0
    rows_repeated: int = 0
    seen: dict[int, set[str]] = field(default_factory=dict)

    def has_seen(self, second: int, fingerprint: str) -> bool:
        """Tell whether this very row, ingested in this Unix second, is journaled already."""
        return fingerprint in self.seen.get(second, ())

    def remember(self, second: int, fingerprint: str) -> None:
        """Note that a row is journaled."""
        self.seen.setdefault(second, set()).add(fingerprint)

    def forget_before(self, moment_ns: int) -> None:
        """Drop the fingerprints of rows that no later poll asks for."""
        first = moment_ns // NS_PER_S
        for second in [second for second in self.seen if second < first]:
            del self.seen[second]

    def fail(self, error: CollectorError, now_ns: int) -> None:
        """Note why the source could not be read; it stays visible until a poll succeeds."""
        self.last_error = {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "since_ns": self.last_error["since_ns"] if self.last_error else now_ns,
            "at_ns": now_ns,
        }

    def succeed(self, now_ns: int) -> None:
        """Note a poll that went through."""
        self.last_success_ns = now_ns
        self.last_error = None

    def to_document(self) -> dict[str, Any]:
        """Return all but `seen` as what JSON can say."""
        return {
            "format": _FORMAT,
            "workspace": self.workspace,
            "table": self.table,
            "watermark_ns": self.watermark_ns,
            "last_success_ns": self.last_success_ns,
            "last_error": self.last_error,
            "rows_accepted": self.rows_accepted,
            "rows_rejected": self.rows_rejected,
            "rows_repeated": self.rows_repeated,
        }

    def seen_to_document(self) -> dict[str, list[str]]:
        """Return `seen` as what JSON can say."""
        return {str(second): list(rows) for second, rows in self.seen.items()}

    @classmethod
    def from_document(cls, stored: Mapping[str, Any], seen: Mapping[str, Sequence[str]]) -> Self:
        """
        Return what was stored as two documents.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: they are not what this version stores.
        """
        if stored["format"] != _FORMAT:
            raise ValueError("unknown format")
        return cls(
            workspace=str(stored["workspace"]),
            table=str(stored["table"]),
            watermark_ns=int(stored["watermark_ns"]),
            last_success_ns=int(stored["last_success_ns"]),
            last_error=stored["last_error"],
            rows_accepted=int(stored["rows_accepted"]),
            rows_rejected=int(stored["rows_rejected"]),
            rows_repeated=int(stored["rows_repeated"]),
            seen={int(second): set(rows) for second, rows in seen.items()},
        )


class ProgressStore(Protocol):
    """
    Where the progress of one source is kept, and whether it is this process that moves it on.

    `load` and `save` wait for a disk or a server: call them in a thread, one after the other.
    """

    def is_held(self) -> bool:
        """Tell at once whether this process may poll the source now; no other does meanwhile."""
        ...

    def load(self) -> Progress:
        """
        Return what was saved last, by whichever process, or a fresh progress.

        Raises:
            StoreUnavailable: not to be had now. Retryable.
        """
        ...

    def save(self, progress: Progress) -> None:
        """
        Keep *progress* for good: what it says is read must be durable.

        Raises:
            StoreUnavailable: it is not kept, or the source is another process's by now.
            OSError: it is not kept.
        """
        ...


class WatermarkFile:
    """The file of one source. Nobody else has it: what was read or saved once is known."""

    def __init__(self, directory: Path, workspace: str, table: str) -> None:
        self._workspace = workspace
        self._table = table
        name = _UNSAFE.sub("_", f"{workspace}-{table}")
        self.path = directory / f"{name}.json"
        self._known: Progress | None = None

    def is_held(self) -> bool:
        """Return that it is: one process has the data folder."""
        return True

    def load(self) -> Progress:
        """Return the progress, from the disk the first time."""
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> Progress:
        """
        Return the stored progress, or a fresh one.

        A file that cannot be read is set aside as `.unreadable`: polling starts again from the
        lookback, and rows stored twice are one record to every reader.
        """
        fresh = Progress(workspace=self._workspace, table=self._table)
        try:
            stored = json.loads(self.path.read_bytes())
            stored |= {"workspace": self._workspace, "table": self._table}
            return Progress.from_document(stored, stored["seen"])
        except FileNotFoundError:
            return fresh
        except (ValueError, KeyError, TypeError, AttributeError):
            with contextlib.suppress(OSError):
                self.path.replace(self.path.with_suffix(".unreadable"))
            return fresh

    def save(self, progress: Progress) -> None:
        """Replace the file: after a crash the old or the new one is there, whole."""
        stored = progress.to_document() | {"seen": progress.seen_to_document()}
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(orjson.dumps(stored))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def put_away(self) -> None:
        """Let the file, if there is one, be read no more: its progress is kept elsewhere now."""
        with contextlib.suppress(OSError):
            self.path.replace(self.path.with_suffix(".taken"))


def fingerprint(row: Mapping[str, Any]) -> str:
    """Return a short hash of a row's content; columns that are null do not count."""
    known = {name: value for name, value in row.items() if value is not None and value != ""}
    content = orjson.dumps(known, option=orjson.OPT_SORT_KEYS, default=str)
    digest = hashlib.blake2b(content, digest_size=_FINGERPRINT_BYTES).digest()
    return base64.b64encode(digest).decode()
