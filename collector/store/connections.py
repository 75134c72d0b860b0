"""
Connections to ClickHouse: embedded or a server, the same client class either way.

The one place where the driver's exceptions become ours.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from collector.asking import current_asking
from collector.errors import (
    CollectorError,
    QueryTimeout,
    StoreRejectedRows,
    StoreUnavailable,
    TooExpensive,
)
from collector.settings import MIB, StoreSettings

# system.errors of ClickHouse 26.9: what the bytes of a segment can cause, now and for ever
_ROW_CODES = frozenset({
    6, 20, 26, 27, 32, 33, 38, 41, 49, 53, 56, 69, 70, 72, 115, 117, 128, 131, 169, 190, 321, 349,
    361, 407, 433, 434, 436, 443, 444, 500, 700,
})  # fmt: skip
_HINT = (
    "ask again when ClickHouse is up: see HOPLINE_CLICKHOUSE_URL, or disk and log of an embedded "
    "one; what arrives waits in the journal"
)
_MEMORY_CODE = 241
# ... 394: somebody ended it
_TIME_CODES = frozenset({159, 160, 209, 394})
_SIZE_CODES = frozenset({158, 191, 241, 307, 396})
# as many as all threads that ask may hold at once: none waits for the client of another
READERS = 24
# Five times what any read asks for: each row becomes an object here.
_MOST_ROWS = 1_000_000
_log = logging.getLogger(__name__)
# How the column `record_json` is written, and read where rows of before do not have it yet.
_JSON: dict[str, Any] = {
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_named_tuples_as_objects": 1,
}


class Connections:
    """A few clients to one ClickHouse, handed out one per use. Thread-safe."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._clients: list[Client] = []
        self._connecting = threading.Lock()
        self._ender: Client | None = None
        self._target = _target(settings)
        self.is_embedded = not settings.url
        self._readers = self._make_pool(self.read_settings, READERS)
        self._writers = self._make_pool(self._write_settings(), 1)
        self._loaders = self._make_pool(self._write_settings(), settings.loads_at_once)
        with _translated("connect"):
            self._writers.put(self._writers.take())
            self._readers.put(self._readers.take())

    def _make_pool(self, client_settings: Mapping[str, Any], most: int) -> "_Pool":
        return _Pool(lambda: self.connect(client_settings), self._connecting, most)

    @contextmanager
    def reading(self) -> Iterator[Client]:
        """
        Lend a client for one read.

        Raises:
            QueryTimeout: over the time limit. Retryable.
            TooExpensive: over the memory limit. Never retried.
            StoreUnavailable: anything else. Retryable.
        """
        asking = current_asking()
        if asking is not None:
            if asking.is_over:
                raise QueryTimeout("nobody is waiting for the answer any more")
            asking.on_end(self._end_queries)
        with _translated("read"), self._lent(self._readers) as client:
            client.set_client_setting("log_comment", asking.id if asking is not None else "")
            yield client

    @contextmanager
    def writing(self) -> Iterator[Client]:
        """
        Lend the client that changes things.

        Raises:
            StoreRejectedRows: ClickHouse refuses the bytes for good. Never retried.
            StoreUnavailable: anything else. Retryable.
        """
        with self._lent(self._writers) as client, _translated("load"):
            yield client

    @contextmanager
    def loading(self) -> Iterator[Client]:
        """Lend a client for one of the loads that go on at once. Raises what `writing` does."""
        with self._lent(self._loaders) as client, _translated("load"):
            yield client

    def close(self) -> None:
        """Close every client; the embedded engine ends with the last one."""
        for client in self._clients:
            client.close()
        self._clients.clear()

    @contextmanager
    def _lent(self, pool: "_Pool") -> Iterator[Client]:
        client = pool.take()
        try:
            yield client
        except BaseException:
            self.settle(client)
            raise
        finally:
            pool.put(client)

    def settle(self, client: Client) -> None:
        """
        Make a client fit for use after a statement of it failed.

        The embedded engine (chDB 4.4) keeps what a failed statement had put out so far, and gives
        it as the beginning of the next answer: this takes it away.
        """
        if self.is_embedded:
            with suppress(ClickHouseError, OSError, RuntimeError):
                client.raw_query("SELECT 1 FORMAT Null")

    def _end_queries(self, comment: str) -> None:
        """End the reads that carry *comment*; whoever waits for them gets `QueryTimeout`."""
        where = "KILL QUERY WHERE Settings['log_comment'] = {comment:String} ASYNC"
        with self._connecting:
            try:
                if self._ender is None:
                    self._ender = self.connect({})
                self._ender.command(where, parameters={"comment": comment})
            except (ClickHouseError, OSError, RuntimeError) as exc:  # its own limits end it too
                _log.info("cannot cancel a query that nobody waits for: %s", str(exc)[:200])

    def connect(self, client_settings: Mapping[str, Any], *, database: str = "") -> Client:
        """Open one more client, by whose *database* names without one are meant."""
        target = self._target | ({"database": database} if database else {})
        client: Client = clickhouse_connect.get_client(**target, settings=dict(client_settings))
        self._clients.append(client)
        return client

    @property
    def read_settings(self) -> dict[str, Any]:
        """What bounds every read: time, memory and rows, and that it changes nothing."""
        return _JSON | {
            "max_execution_time": self._settings.query_timeout_s,
            "max_memory_usage": self._settings.memory_bytes,
            "max_result_rows": _MOST_ROWS,
            "readonly": 2,
        }

    def _write_settings(self) -> dict[str, Any]:
        return _JSON | {"max_memory_usage": self._settings.memory_bytes}


class _Pool:
    """Clients that are made when they are first needed, *most* of them."""

    def __init__(
        self, connect: Callable[[], Client], connecting: threading.Lock, most: int
    ) -> None:
        self._connect = connect
        self._connecting = connecting
        self._left = most
        self._idle: queue.LifoQueue[Client] = queue.LifoQueue()

    def take(self) -> Client:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            with self._connecting:
                if self._left:
                    client = self._connect()
                    self._left -= 1
                    return client
            return self._idle.get()

    def put(self, client: Client) -> None:
        self._idle.put(client)


def _target(settings: StoreSettings) -> dict[str, Any]:
    """Say where ClickHouse is, in the words of `clickhouse_connect.get_client`."""
    if not settings.url:
        directory = settings.directory.resolve()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return {
            "interface": "chdb",
            "path": str(directory),
            "chdb_options": _engine_options(directory) | _declared_disks(settings),
        }
    url = urlsplit(settings.url)
    return {
        "interface": url.scheme,
        "host": url.hostname,
        "port": url.port or (8443 if url.scheme == "https" else 8123),
        "username": unquote(url.username or "default"),
        "password": unquote(url.password or ""),
        # the tables' own database may not be there yet, and statements name it
        "database": "default",
        # clients are used by several threads, one after the other
        "autogenerate_session_id": False,
        "connect_timeout": 5,
        "send_receive_timeout": settings.answer_timeout_s,
    }


def _engine_options(directory: Path) -> dict[str, str]:
    """Keep the embedded engine's files in its folder, and its caches and threads small."""
    folders = {
        "format_schema_path": "format_schemas",
        "tmp_path": "tmp",
        "user_files_path": "user_files",
    }
    sizes = {
        "mark_cache_size": 64 * MIB,
        "primary_index_cache_size": 32 * MIB,
        "index_mark_cache_size": 16 * MIB,
        "query_condition_cache_size": 16 * MIB,
        "compiled_expression_cache_size": 16 * MIB,
        "uncompressed_cache_size": 0,
        "mmap_cache_size": 0,
        "max_thread_pool_free_size": 16,
    }
    return {name: f"{directory}/{folder}/" for name, folder in folders.items()} | {
        name: str(size) for name, size in sizes.items()
    }


def _declared_disks(settings: StoreSettings) -> dict[str, str]:
    cold = settings.retention.cold
    return {"config-file": cold.engine_config} if cold and cold.engine_config else {}


@contextmanager
def _translated(action: str) -> Iterator[None]:
    try:
        yield
    except CollectorError:
        raise
    except (ClickHouseError, OSError, RuntimeError) as exc:
        raise _translate(exc, action) from exc


def _translate(exc: Exception, action: str) -> CollectorError:
    code = getattr(exc, "code", None)
    text = f"ClickHouse could not {action}: {str(exc)[:500]}"
    if not isinstance(exc, DatabaseError | OperationalError) or code is None:
        text = f"ClickHouse could not {action}: {str(_root_of(exc))[:500]}"
        return StoreUnavailable(text, hint=_HINT)
    if action == "read":
        if code in _TIME_CODES:
            return QueryTimeout(text, hint="narrow the time range or add a filter")
        if code in _SIZE_CODES:
            return TooExpensive(text, hint="narrow the time range or add a filter")
    # "(total)" is the machine's memory, which is not the segment's fault
    is_own_memory = code == _MEMORY_CODE and "(total)" not in str(exc)
    if action == "load" and (code in _ROW_CODES or is_own_memory):
        return StoreRejectedRows(text)
    return StoreUnavailable(text, hint=_HINT)


def _root_of(exc: BaseException) -> BaseException:
    """Return what was wrong first: the driver wraps it in the address with all its parameters."""
    while cause := exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__):
        exc = cause
    return exc
