"""
A small ClickHouse server for tests: the HTTP interface of ClickHouse, over the embedded engine.

It speaks what the HTTP clients of clickhouse-connect and clickhouse-go speak: statements in the
URL, the body or a form; settings, the database and bound parameters as URL parameters or form
fields; compressed requests and answers; INSERT with data in the body, also in chunks; error bodies
with `X-ClickHouse-Exception-Code`; clickhouse-go's greeting, in the blocks of its version. One
engine lives in a process, so it is started as a process of its own:
`python -m tests.doubles.clickhouse_http --path DIR` prints its port when it listens.

Source: ClickHouse documentation, HTTP interface; clickhouse-connect 1.12 `_backend/http_sync.py`.
"""

import argparse
import base64
import gzip
import json
import re
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame
from backports import zstd

from collector.api.clickhouse.native import write_hello

_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.decompress,
    "zstd": zstd.decompress,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}
_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}
# What the HTTP layer consumes itself and the engine does not know as a setting.
_TRANSPORT = frozenset({
    "query", "database", "session_id", "session_timeout", "session_check", "query_id", "quota_key",
    "compress", "decompress", "wait_end_of_query", "client_protocol_version", "role",
    "send_progress_in_http_headers", "http_headers_progress_interval_ms", "enable_http_compression",
    "default_format", "user", "password", "buffer_size",
    "cancel_http_readonly_queries_on_client_close",
})  # fmt: skip
_INSERT = re.compile(rb"\s*INSERT\s+INTO\s+.+?\sFORMAT\s+(\w+)[ \t;]*(?:\n|$)", re.I | re.S)
_READS = re.compile(r"[\s(]*(SELECT|WITH|SHOW|DESCRIBE|DESC|EXPLAIN|EXISTS)\b", re.I)
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)[\s;]*$", re.I)
_HELLO = "SELECT displayName(), version(), revision(), timezone()"
_DENIED = "Code: 516. DB::Exception: Authentication failed: wrong password. (AUTHENTICATION_FAILED)"
_CODE = re.compile(r"Code: (\d+)\.")
_connect: Callable[[str], Any] = chdb.connect
_STATUS = {"62": 400, "60": 404, "81": 404, "164": 403, "497": 403, "516": 403, "202": 503}


@dataclass
class _Statement:
    """One request, taken apart."""

    sql: str
    settings: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    database: str = ""
    default_format: str = "TabSeparated"
    protocol: int = 0
    data: bytes | None = None


class _Refusal(Exception):  # noqa: N818 - what the engine said, on its way to the client
    """An error with ClickHouse's own text."""

    @property
    def code(self) -> str:
        match = _CODE.search(str(self))
        return match[1] if match else "1002"


class _Engine:
    """The embedded engine; each statement has a connection of its own, as over HTTP."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._keeper = _connect(self._path)

    def close(self) -> None:
        """End the engine; left to the end of the process, it crashes on its way out."""
        self._keeper.close()

    def run(self, statement: _Statement) -> tuple[bytes, str]:
        """Return the answer's bytes and its format, "" when there is no result set."""
        connection = _connect(self._path)
        try:
            if statement.database:
                connection.query(f"USE `{statement.database}`")
            # readonly comes last: it forbids to change itself and more
            for name, value in sorted(statement.settings.items(), key=lambda s: s[0] == "readonly"):
                connection.query(f"SET {_checked(name)} = {_quoted(value)}")
            if statement.data is not None:
                return self._insert(connection, statement), ""
            is_read = bool(_READS.match(statement.sql))
            match = _FORMAT.search(statement.sql)
            format_ = match[1] if match else statement.default_format
            result = connection.query(statement.sql, format_, params=statement.parameters)
            return result.bytes() or b"", format_ if is_read else ""
        except (RuntimeError, ValueError, UnicodeError) as exc:
            raise _Refusal(str(exc)) from exc
        finally:
            connection.close()

    def _insert(self, connection: Any, statement: _Statement) -> bytes:
        with tempfile.NamedTemporaryFile(suffix=".data") as file:
            file.write(statement.data or b"")
            file.flush()
            head, format_ = re.split(r"\bFORMAT\s+", statement.sql, maxsplit=1, flags=re.I)
            sql = f"{head} FROM INFILE {_quoted(file.name)} FORMAT {format_}"
            return connection.query(sql, "TabSeparated").bytes() or b""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: _Engine
    password = ""

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        """Answer /ping, or a statement in the URL."""
        if urlsplit(self.path).path == "/ping":
            self._answer(200, b"Ok.\n", "")
        else:
            self._serve(b"")

    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        """Answer a statement in the URL, the body or a form."""
        self._serve(b"".join(self._read_body()))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the test's output is the client's."""

    def _serve(self, body: bytes) -> None:
        try:
            if self.password and self._given_password() != self.password:
                raise _Refusal(_DENIED)
            statement = self._read_statement(body)
            if statement.sql == _HELLO and statement.protocol:
                answer = write_hello("test double", "26.1", "UTC", statement.protocol)
                self._answer(200, answer, "Native")
                return
            answer, format_ = self.engine.run(statement)
        except _Refusal as refusal:
            status = _STATUS.get(refusal.code, 500)
            self._answer(status, str(refusal).encode(), "", code=refusal.code)
            return
        self._answer(200, answer, format_)

    def _read_statement(self, body: bytes) -> _Statement:
        url = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        encoding = self.headers.get("Content-Encoding", "")
        if encoding in _DECODERS:
            body = _DECODERS[encoding](body)
        content_type = self.headers.get("Content-Type", "")
        if content_type.startswith("multipart/form-data"):
            url |= _read_form(content_type, body)
            body = b""
        sql, data = url.get("query", ""), None
        if sql and _INSERT.match(sql.encode()) and body:
            data = body
        elif not sql and (match := _INSERT.match(body)):
            sql, data = body[: match.end()].decode().strip(), body[match.end() :]
        else:
            sql = "\n".join(part for part in (sql, body.decode()) if part)
        return _Statement(
            sql=sql,
            settings={
                name: value
                for name, value in url.items()
                if name not in _TRANSPORT and not name.startswith("param_")
            },
            parameters={n[6:]: value for n, value in url.items() if n.startswith("param_")},
            database=url.get("database", ""),
            default_format=url.get("default_format", "TabSeparated"),
            protocol=int(url.get("client_protocol_version", 0)),
            data=data,
        )

    def _read_body(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            yield self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _given_password(self) -> str:
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            return base64.b64decode(value).decode().partition(":")[2]
        return self.headers.get("X-ClickHouse-Key", "")

    def _answer(self, status: int, body: bytes, format_: str, *, code: str = "") -> None:
        headers = {
            "X-ClickHouse-Server-Display-Name": "test double",
            "X-ClickHouse-Timezone": "UTC",
            "X-ClickHouse-Summary": json.dumps({"read_rows": "0", "written_rows": "0"}),
        }
        if format_:
            headers["X-ClickHouse-Format"] = format_
        if code:
            headers["X-ClickHouse-Exception-Code"] = code
        asked = [each.strip() for each in self.headers.get("Accept-Encoding", "").split(",")]
        chosen = next((each for each in asked if each in _ENCODERS), "")
        if chosen and body and not code:
            headers["Content-Encoding"] = chosen
            body = _ENCODERS[chosen](body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _read_form(content_type: str, body: bytes) -> dict[str, str]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    fields = {}
    for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        fields[str(part.get_param("name", header="content-disposition"))] = content.decode()
    return fields


def _checked(name: str) -> str:
    if not re.fullmatch(r"\w+", name):
        text = f"Code: 115. DB::Exception: Unknown setting {name!r}. (UNKNOWN_SETTING)"
        raise _Refusal(text)
    return name


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def main() -> None:
    """Serve until the standard input closes, so that it ends with the process that started it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--password", default="")
    arguments = parser.parse_args()
    _Handler.engine = _Engine(arguments.path)
    _Handler.password = arguments.password
    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.shutdown()
    server.server_close()
    _Handler.engine.close()


if __name__ == "__main__":
    main()
