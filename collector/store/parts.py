"""
What the embedded engine wrote, checked before a segment is let go.

The engine takes a write that a full disk refused for one that worked: it commits parts with files
that are cut or empty, answers from them until they leave its caches, says that they are fine when
asked (`CHECK TABLE`), and drops them at the next start (`broken-on-start`). Its deduplication log
still knows their tokens then, so loading the segment again would do nothing. Hence:

- After each load every new part is held against the sizes that the engine believes it has, and
  against the log. A server has files of its own, and fails an insert that it cannot write.
- What fails is taken out of the table, and out of the log. The same segment under the same token
  then fills exactly the parts that are missing: every other table and partition still knows it.
- At the start each log is held against the parts that are there, for what was lost unseen.
- Loads go on side by side. While a table is mended none is under way, and since nobody knows whose
  rows a part holds, all that were are to be repeated.

Cost: 4 ms a load with 300 parts in 13 tables.
"""

import contextlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from clickhouse_connect.driver import Client

from collector.errors import StoreUnavailable
from collector.store.kept import COPIES
from collector.telemetry import Metrics

_PARTS = """
SELECT table, name, path, bytes_on_disk, active, partition_id, min_block_number, max_block_number
FROM system.parts WHERE database = {database:String}
"""
# With several disks a table's log lies on the first.
_TABLES = """
SELECT name, data_paths[1] FROM system.tables
WHERE database = {database:String} AND engine LIKE '%MergeTree'
"""
# files that the engine's sum of a part leaves out
_UNCOUNTED = frozenset({
    "checksums.txt", "columns.txt", "columns_substreams.txt", "default_compression_codec.txt",
    "metadata_version.txt", "txn_version.txt", "uuid.txt",
})  # fmt: skip
_NAME = re.compile(r"(.+?)_(\d+)_(\d+)_\d+(?:_\d+)?")
_LOG_LINE = re.compile(r"[12]\t([^\t\n]+)\t[^\t\n]+\n")
_LOG_TAIL_BYTES = 256 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Part:
    """One row of `system.parts`."""

    table: str
    name: str
    path: str
    size_bytes: int
    is_active: bool
    partition: str
    first_block: int
    last_block: int

    @property
    def is_insert(self) -> bool:
        """Whether an insert wrote it, and no merge or mutation."""
        return self.name.endswith(f"_{self.first_block}_{self.first_block}_0")


class PartWatch:
    """
    Knows which parts of a database are whole. Thread-safe.

    *writing* lends the client that changes things; see `Connections`.
    """

    def __init__(
        self,
        database: str,
        metrics: Metrics,
        writing: Callable[[], AbstractContextManager[Client]],
        *,
        is_embedded: bool,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._writing = writing
        self._is_embedded = is_embedded
        self._known: set[tuple[str, str]] = set()
        self._unsettled: set[str] = set()
        self._is_reload_needed = False
        # held while parts are looked at; tables are mended when no load is under way besides
        self._gate = threading.Condition()
        self._loads = 0
        self._losses = 0

    def recover(self) -> None:
        """
        Make each table forget the loads whose rows it does not have, after a start.

        Raises:
            StoreUnavailable: a table cannot be put in order now. Retryable.
        """
        if not self._is_embedded:
            return
        with self._gate, self._writing() as client:
            self._settle(client, self._log_folders(client), ())
            self._known = {(part.table, part.name) for part in self._parts(client)}

    @contextlib.contextmanager
    def load(self) -> Iterator[None]:
        """
        Watch over one load: finish what a full disk kept from being mended before, check behind.

        Raises:
            StoreUnavailable: parts are not whole, of this load or of one beside it. They are gone;
                load the segment again. Retryable.
        """
        with self._gate:
            self._settle_rest()
            self._loads += 1
            losses = self._losses
        try:
            yield
        finally:  # an insert that fails may have written to some of the tables
            with self._gate:
                self._loads -= 1
                self._gate.notify_all()
                self._check()
                if self._losses != losses:
                    raise StoreUnavailable("parts of another load were incomplete")

    def check(self) -> bool:
        """
        Check what merges wrote; tell, once, whether segments let go have to be loaded again.

        Raises:
            StoreUnavailable: some parts are not whole. They are gone. Retryable.
        """
        with self._gate:
            self._settle_rest()
            self._check()
            needed, self._is_reload_needed = self._is_reload_needed, False
            return needed

    def _settle_rest(self) -> None:
        if self._unsettled:
            self._wait_for_loads()
            with self._writing() as client:
                folders = self._log_folders(client)
                self._settle(client, {table: folders[table] for table in self._unsettled}, ())

    def _wait_for_loads(self) -> None:
        """Return when no load is under way; none begins while the gate is held."""
        self._gate.wait_for(lambda: not self._loads)

    def _check(self) -> None:
        """Check the parts that are new since the last time."""
        if not self._is_embedded:
            return
        with self._writing() as client:
            if not self._find_new_broken(client):
                return
        self._wait_for_loads()
        with self._writing() as client:
            broken = self._find_new_broken(client)
            if not broken:  # another thread has taken them out meanwhile
                return
            self._losses += 1
            self._metrics.count("hopline_store_parts_broken_total", len(broken))
            self._remove(client, broken)
        names = ", ".join(f"{part.table} {part.name}" for part in broken[:5])
        raise StoreUnavailable(
            f"ClickHouse wrote {len(broken)} incomplete parts: {names}",
            hint="free space on the disk of HOPLINE_DATA_DIR",
        )

    def _find_new_broken(self, client: Client) -> list[_Part]:
        parts = self._parts(client)
        new = [part for part in parts if (part.table, part.name) not in self._known]
        broken = self._find_broken(part for part in new if part.is_active)
        self._known = {(part.table, part.name) for part in parts} - {
            (part.table, part.name) for part in broken
        }
        return broken

    def _find_broken(self, parts: Iterable[_Part]) -> list[_Part]:
        logs: dict[str, str] = {}
        broken = []
        for part in parts:
            folder = Path(part.path)
            try:
                is_whole = _is_whole(folder, part.size_bytes)
                # copies are not loads, and no log knows them: an earlier version had it empty there
                if is_whole and part.is_insert and part.table not in COPIES:
                    if part.table not in logs:
                        logs[part.table] = _read_tail(folder.parent / "deduplication_logs")
                    log = logs[part.table]
                    is_whole = not log or f"\n1\t{part.name}\t" in log
            except FileNotFoundError:  # merged and cleaned away since it was listed
                continue
            if not is_whole:
                broken.append(part)
        return broken

    def _remove(self, client: Client, broken: list[_Part]) -> None:
        by_table: dict[str, list[_Part]] = {}
        for part in broken:
            by_table.setdefault(part.table, []).append(part)
        for table, parts in by_table.items():
            _log.error(
                "table %s: these parts are incomplete: %s",
                table,
                ", ".join(part.name for part in parts),
            )
            self._unsettled.add(table)
            with self._detached(client, table):
                for part in parts:
                    path = Path(part.path)
                    path.rename(path.parent / "detached" / f"cut_{path.name}")
        folders = self._log_folders(client)
        new = {part.name for part in broken if part.is_insert}
        self._settle(client, {table: folders[table] for table in by_table}, new)

    def _settle(self, client: Client, folders: dict[str, Path], expected: Iterable[str]) -> None:
        """Rewrite the logs that know what is not there; loads of *expected* parts are at hand."""
        blocks = _Blocks(part for part in self._parts(client) if part.is_active)
        for table, folder in folders.items():
            wanted, forgotten = _clean_logs(folder, blocks, table)
            if wanted:
                self._unsettled.add(table)
                try:
                    with self._detached(client, table):
                        for path, text in wanted.items():
                            _replace(path, text)
                except OSError as exc:
                    raise StoreUnavailable(f"cannot repair table {table} yet: {exc}") from exc
                _log.warning("table %s: %d loads will be repeated", table, len(forgotten))
            self._unsettled.discard(table)
            self._is_reload_needed |= bool(forgotten - set(expected))

    @contextlib.contextmanager
    def _detached(self, client: Client, table: str) -> Iterator[None]:
        name = f"`{self._database}`.`{table}`"
        client.command(f"DETACH TABLE {name} SYNC")
        try:
            yield
        finally:
            client.command(f"ATTACH TABLE {name}")

    def _parts(self, client: Client) -> list[_Part]:
        rows = client.query(_PARTS, parameters={"database": self._database}).result_rows
        return [_Part(*row) for row in rows]

    def _log_folders(self, client: Client) -> dict[str, Path]:
        rows = client.query(_TABLES, parameters={"database": self._database}).result_rows
        return {str(table): Path(str(path)) / "deduplication_logs" for table, path in rows}


class _Blocks:
    """Which blocks of rows the active parts hold."""

    def __init__(self, parts: Iterable[_Part]) -> None:
        self._ranges: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for part in parts:
            key = part.table, part.partition
            self._ranges.setdefault(key, []).append((part.first_block, part.last_block))

    def hold(self, table: str, part_name: str) -> bool:
        match = _NAME.fullmatch(part_name)
        if match is None:
            return False
        block = int(match[2])
        ranges = self._ranges.get((table, match[1]), ())
        return any(first <= block <= last for first, last in ranges)


def _is_whole(folder: Path, size_bytes: int) -> bool:
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            size = entry.stat().st_size
            if entry.name not in _UNCOUNTED:
                total += size
            elif not size:
                return False
    return total >= size_bytes


def _read_tail(folder: Path) -> str:
    """Return the end of a table's log; the newest files are enough for what was just loaded."""
    text = ""
    for path in sorted(folder.glob("*.txt"), key=_log_number)[-2:]:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - _LOG_TAIL_BYTES, 0))
            text += "\n" + file.read().decode("utf-8", "replace")
    return text


def _clean_logs(folder: Path, blocks: _Blocks, table: str) -> tuple[dict[Path, str], set[str]]:
    """Return the new text of each file that has to change, and the parts that are forgotten."""
    wanted: dict[Path, str] = {}
    forgotten: set[str] = set()
    for path in sorted(folder.glob("*.txt"), key=_log_number):
        old = path.read_text(errors="replace")
        kept = []
        for line in old.splitlines(keepends=True):
            match = _LOG_LINE.fullmatch(line)
            if match is not None and blocks.hold(table, match[1]):
                kept.append(line)
            elif match is not None and line.startswith("1"):
                forgotten.add(match[1])
        new = "".join(kept)
        if new != old:
            wanted[path] = new
    return wanted, forgotten


def _log_number(path: Path) -> int:
    digits = path.stem.rpartition("_")[2]
    return int(digits) if digits.isdigit() else 0


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
