"""
Statements of others: parsed and run by the engine, with clients that can only read.

Which statements may run is not decided here; see `api/clickhouse/rules.py`. What is run is the text
that the engine's own parser has written back, so what was judged and what runs are the same.
"""

import queue
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from collector.store.connections import Connections

# What people query, with names and columns that stay. Other tables are Hopline's own affair: they
# hold states of aggregates, several revisions of a row, or nothing.
PUBLIC_TABLES = frozenset({
    "gateway_record", "hops", "otel_logs", "otel_logs_kept",
    "otel_metrics_exponential_histogram", "otel_metrics_gauge", "otel_metrics_histogram",
    "otel_metrics_sum", "otel_metrics_summary", "otel_traces", "otel_traces_kept",
    "otel_traces_trace_id_ts", "requests",
})  # fmt: skip
SYSTEM_TABLES = frozenset({
    "columns", "data_type_families", "databases", "formats", "functions", "numbers", "one",
    "settings", "tables",
})  # fmt: skip
CLIENTS = 4
MAX_RESULT_ROWS = 1_000_000
MAX_RESULT_BYTES = 64 * 1024 * 1024
# system.errors: those that are raised here and not by the engine
_CODES = {
    48: "NOT_IMPLEMENTED", 60: "UNKNOWN_TABLE", 62: "SYNTAX_ERROR", 72: "CANNOT_PARSE_NUMBER",
    73: "UNKNOWN_FORMAT", 81: "UNKNOWN_DATABASE", 159: "TIMEOUT_EXCEEDED", 164: "READONLY",
    194: "REQUIRED_PASSWORD", 202: "TOO_MANY_SIMULTANEOUS_QUERIES", 209: "SOCKET_TIMEOUT",
    456: "UNKNOWN_QUERY_PARAMETER",
    457: "BAD_QUERY_PARAMETER", 497: "ACCESS_DENIED", 516: "AUTHENTICATION_FAILED",
    1002: "UNKNOWN_EXCEPTION",
}  # fmt: skip
_UNKNOWN_CODE = 1002
_LIMITS: dict[str, Any] = {
    "readonly": 2,  # 1 would refuse the settings of a request as well
    "max_result_rows": MAX_RESULT_ROWS,
    "max_result_bytes": MAX_RESULT_BYTES,
    "result_overflow_mode": "throw",
    "timeout_overflow_mode": "throw",
    "max_ast_depth": 300,
    "max_ast_elements": 10_000,
    "max_expanded_ast_elements": 50_000,
    "function_range_max_elements_in_block": 10_000_000,
    "allow_introspection_functions": 0,
    "allow_ddl": 0,
    "use_query_cache": 0,
    "log_comment": "hopline-sql",
}
_PARAMETER = re.compile(
    r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|\{(?P<name>\w+):(?P<kind>(?:[^{}'`]|'(?:[^'\\]|\\.)*')+)\}",
    re.DOTALL,
)
# Their values are written with quotes, and escaped within them.
_COMPOSITE = ("array(", "tuple(", "map(", "nested(")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "r": "\r", "n": "\n", "t": "\t", "0": "\0"}
_PARSED = re.compile(r": In scope SELECT formatQuerySingleLine\(.*\)(?=\. \(\w+\))", re.DOTALL)


class SqlFailure(Exception):
    """
    What is said against a statement, with ClickHouse's number and in its words or their form.

    `who` is the name of the token that it came with, where the failure is about that.
    """

    who = ""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text if text.startswith("Code: ") else _say(code, text)


def _say(code: int, text: str) -> str:
    return f"Code: {code}. DB::Exception: {text}. ({_CODES[code]})"


class SqlReader:
    """A few clients of their own for statements of others. Thread-safe."""

    def __init__(self, connections: Connections, database: str) -> None:
        self._connections = connections
        self.database = database
        self._clients: queue.LifoQueue[Client] = queue.LifoQueue()
        self._opened: list[Client] = []
        settings = connections.read_settings | _LIMITS
        settings["additional_table_filters"] = _map_literal(self.catalogue_filters)
        for _ in range(CLIENTS):
            client = connections.connect(settings, database=database)
            self._opened.append(client)
            self._clients.put(client)
        rows = self.run("SELECT version(), timezone(), displayName()", "TSV").decode()
        self.version, self.timezone, self.name = rows.rstrip("\n").split("\t")
        self.hidden = self._find_hidden()

    @property
    def catalogue_filters(self) -> dict[str, str]:
        """Keep what nobody may query out of the lists of databases, tables and columns."""
        own, public = _quoted(self.database), ", ".join(map(_quoted, sorted(PUBLIC_TABLES)))
        known = ", ".join(map(_quoted, sorted(SYSTEM_TABLES)))
        either = (
            "(database = {own} AND {name} IN ({public})"
            " OR database = 'system' AND {name} IN ({known}))"
        )
        given = {"own": own, "public": public, "known": known}
        return {
            "system.databases": f"name IN ({own}, 'system')",
            "system.tables": either.format(name="name", **given),
            "system.columns": either.format(name="table", **given),
        }

    def normalise(self, sql: str, parameters: Mapping[str, str] | None = None) -> str:
        """
        Return one statement as the engine's parser writes it: on one line, without comments, with
        its parameters filled in. Nothing of it runs.

        Raises:
            SqlFailure: a syntax error, more than one statement, bytes that are no text, or a
                parameter without a value.
        """
        with self._lent() as client:
            # the statement is a value here: nothing in it can end the statement around it
            text = client.raw_query(
                "SELECT formatQuerySingleLine({sql:String})", {"sql": sql}, fmt="TSVRaw"
            )
        try:
            written = text.decode().removesuffix("\n")
        except UnicodeDecodeError as exc:
            raise SqlFailure(62, "Write bytes that are no UTF-8 with unhex('…')") from exc
        return fill_parameters(written, parameters or {})

    def explain(self, text: str) -> list[str]:
        """
        Return the syntax tree of a normalised statement: a node a line, a blank for each level.

        Settings in *text* would have a say in this answer: it may have none.

        Raises:
            SqlFailure: not to be parsed.
        """
        with self._lent() as client:
            tree: bytes = client.raw_query(f"EXPLAIN AST {text}")
        return tree.decode("utf-8", "replace").splitlines()

    def run(
        self, text: str, output_format: str, *, settings: Mapping[str, str] | None = None
    ) -> bytes:
        """
        Run a statement that was judged, and return the answer in *output_format*, whole.

        Raises:
            SqlFailure: anything that ClickHouse says against it.
        """
        with self._lent() as client:
            answer: bytes = client.raw_query(
                text, settings=dict(settings or {}), fmt=output_format or None
            )
        return answer

    def close(self) -> None:
        """Close the clients."""
        for client in self._opened:
            client.close()
        self._opened.clear()

    def _find_hidden(self) -> frozenset[str]:
        with self._connections.reading() as client:
            rows = client.query(
                "SELECT name FROM system.tables WHERE database = {database:String}",
                {"database": self.database},
            ).result_rows
        return frozenset(str(name) for (name,) in rows) - PUBLIC_TABLES

    @contextmanager
    def _lent(self) -> Iterator[Client]:
        client = self._clients.get()
        try:
            with self._settled(client):
                yield client
        except ClickHouseError as exc:
            code = getattr(exc, "code", None) or _UNKNOWN_CODE
            raise SqlFailure(code, _PARSED.sub("", str(exc))) from exc
        except (OSError, RuntimeError) as exc:
            raise SqlFailure(_UNKNOWN_CODE, "the store does not answer") from exc
        finally:
            self._clients.put(client)

    @contextmanager
    def _settled(self, client: Client) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._connections.settle(client)
            raise


def fill_parameters(text: str, values: Mapping[str, str]) -> str:
    """
    Put the values of `{name:Type}` into a text of the engine's parser, as literals of that type.

    Not the driver's way: it writes values into the text where it finds no parameter it knows.

    Raises:
        SqlFailure: a parameter has no value, or stands for a name.
    """

    def fill(found: re.Match[str]) -> str:
        name, kind = found["name"], found["kind"]
        if name is None:
            return found[0]
        if name not in values:
            raise SqlFailure(456, f"Substitution `{name}` is not set")
        if kind.strip().lower() == "identifier":
            raise SqlFailure(457, f"Substitution `{name}` may stand for a value, not for a name")
        given = values[name]
        if not kind.lstrip().lower().startswith(_COMPOSITE):
            given = _unescaped(given)
        value = "NULL" if values[name] == "\\N" else _quoted(given)
        return f"CAST({value}, {_quoted(kind)})"

    return _PARAMETER.sub(fill, text)


def _unescaped(value: str) -> str:
    """Undo the escapes of tab-separated text, in which values of parameters come."""
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), value)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0") + "'"


def _map_literal(values: Mapping[str, str]) -> str:
    pairs = (f"{_quoted(name)}: {_quoted(value)}" for name, value in values.items())
    return "{" + ", ".join(pairs) + "}"
