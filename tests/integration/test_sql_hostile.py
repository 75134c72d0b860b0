"""Statements of others read and write nothing but the tables that are shown: thousands of tries."""

import ctypes
import ctypes.util
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from collector.api.clickhouse.rules import is_function_allowed, judge
from collector.store import Store
from collector.store.sql import SqlFailure, SqlReader
from tests.hostile_sql import SECRET, Traps, known_tricks, made_statements
from tests.sql_client import sql_port
from tests.stored import opened, store_settings

COUNT = int(os.environ.get("HOSTILE_STATEMENTS", "800"))
"""More on demand: HOSTILE_STATEMENTS=10000."""
OVER_HTTP = 150
_OPENED = 0x20 | 0x1 | 0x100 | 0x200 | 0x2 | 0x80  # IN_OPEN ACCESS CREATE DELETE MODIFY MOVED_TO


@dataclass
class Caught:
    """What happened to the traps."""

    connections: list[str] = field(default_factory=list)
    _inotify: int = -1

    def file_events(self) -> int:
        """Return how often a file of the folder was touched since the last time."""
        try:
            data = os.read(self._inotify, 65536)
        except BlockingIOError:
            return 0
        count, at = 0, 0
        while at < len(data):
            at += 16 + struct.unpack_from("iIII", data, at)[3]
            count += 1
        return count


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with _secret_store(tmp_path_factory.mktemp("hostile")) as store:
        yield store


@pytest.fixture(scope="module")
def trapped(
    store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Traps, Caught]]:
    folder = tmp_path_factory.mktemp("traps")
    (folder / "secret.csv").write_text(f"{SECRET}\n")
    with store.connections.reading() as client:
        rows = client.query("SELECT name FROM system.table_functions ORDER BY name").result_rows
    caught = Caught()
    with _listening(caught) as url, _watching(folder, caught):
        yield Traps(str(folder), url, "secret.rows", [str(name) for (name,) in rows]), caught


def test_traps_are_noticed(store: Store, trapped: tuple[Traps, Caught]) -> None:
    """Without the rules the same statements read the file, ask the port and see the table."""
    traps, caught = trapped
    with store.connections.writing() as client:
        assert SECRET in str(client.command(f"SELECT file('{traps.file}')"))
        assert caught.file_events() > 0
        assert client.command(f"SELECT a FROM {traps.table}") == SECRET
        with pytest.raises(Exception, match=r"\w"):
            client.command(
                f"SELECT * FROM url('{traps.url}', 'CSV', 'a String') SETTINGS http_max_tries = 1"
            )
    assert caught.connections
    caught.connections.clear()
    caught.file_events()


@pytest.mark.timeout(900)
def test_hostile_statements_reach_nothing(store: Store, trapped: tuple[Traps, Caught]) -> None:
    """No trap is touched, no answer has the secret, and the same files lie there as before."""
    traps, caught = trapped
    before = _files(Path(traps.folder))
    caught.file_events()
    reader = store.open_sql()
    ran = 0
    statements = [*known_tricks(traps), *made_statements(traps, COUNT, seed=16)]
    for sql in statements:
        answer = _answer(reader, sql)
        ran += answer is not None
        assert answer is None or SECRET.encode() not in answer, sql
        assert not caught.connections, sql
        assert not caught.file_events(), sql
    assert _files(Path(traps.folder)) == before
    assert len(statements) > COUNT
    assert ran < len(statements) / 10, "most of them are hostile"


def test_hostile_statements_over_http_are_refused_by_code(
    store: Store, trapped: tuple[Traps, Caught]
) -> None:
    """Each answer over the wire is a refusal with ClickHouse's number, or has nothing secret."""
    traps, caught = trapped
    caught.file_events()
    with sql_port(store) as client:
        for sql in (*known_tricks(traps), *made_statements(traps, OVER_HTTP, seed=7)):
            answer = client.post(sql.encode("utf-8", "surrogatepass"))
            if answer.status_code != 200:
                assert int(answer.headers["x-clickhouse-exception-code"]) > 0, sql
            assert SECRET not in answer.text, sql
    assert not caught.connections
    assert not caught.file_events()


def test_functions_that_reach_outside_are_not_on_the_list(store: Store) -> None:
    """What the engine files under dictionaries, introspection, models and its like is refused."""
    with store.connections.reading() as client:
        rows = client.query("SELECT name, categories FROM system.functions").result_rows
    refused = {"AI", "Dictionary", "Embedded Dictionary", "Introspection", "Machine Learning"}
    reaching = ("file", "joinGet", "sleep", "getS", "getM", "zoo", "dict", "show", "chdb", "hasCol")
    known = {str(name) for name, _ in rows}
    for name, category in rows:
        if category in refused or str(name).startswith(reaching):
            assert not is_function_allowed(str(name)), name
    assert {"sum", "quantileTDigestWeighted", "arrayMap", "toStartOfInterval"} <= known
    assert is_function_allowed("quantileTDigestWeightedIfOrNull")


def _answer(reader: SqlReader, sql: str) -> bytes | None:
    """Do what the port does; `None` when the statement is refused or fails."""
    try:
        judged = judge(sql, {"path": "x", "x": "rows"}, reader)
        return reader.run(judged.text, "TabSeparated", settings={"max_execution_time": "2"})
    except SqlFailure as failure:
        assert SECRET not in failure.text
        return None


@contextmanager
def _secret_store(folder: Path) -> Iterator[Store]:
    """Open a store beside whose tables lies a database that nobody may see."""
    with opened(store_settings(folder)) as store:
        with store.connections.writing() as client:
            client.command("CREATE DATABASE secret")
            client.command("CREATE TABLE secret.rows (a String) ENGINE = Memory")
            client.command(f"INSERT INTO secret.rows VALUES ('{SECRET}')")
        yield store


@contextmanager
def _listening(caught: Caught) -> Iterator[str]:
    """Note every connection to a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def accept() -> None:
            while not done.is_set():
                try:
                    connection, peer = server.accept()
                except TimeoutError:
                    continue
                caught.connections.append(str(peer))
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/x"
        finally:
            done.set()
            thread.join()


@contextmanager
def _watching(folder: Path, caught: Caught) -> Iterator[None]:
    """Note every file of *folder* that is opened, read, made or removed, with inotify."""
    if not sys.platform.startswith("linux"):
        pytest.skip("inotify is Linux's")
    libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    caught._inotify = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(caught._inotify, str(folder).encode(), _OPENED) >= 0
    try:
        yield
    finally:
        os.close(caught._inotify)


def _files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}
