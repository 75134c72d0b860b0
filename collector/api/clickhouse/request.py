"""
What an HTTP request asks: statement, parameters, settings, format, and who asks.

Source: ClickHouse documentation, "HTTP interface".
"""

import base64
import binascii
import contextlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import zstandard

from collector.errors import TooSlow
from collector.http.asgi import Receive, Scope, TimelyBody
from collector.http.headers import authorization, content_encoding, media_type
from collector.store.sql import SqlFailure

MAX_STATEMENT_BYTES = 256 * 1024
_WINDOW_BYTES = 8 * 1024 * 1024
_QUERY_ID = re.compile(r"[\w:.-]{1,100}", re.ASCII)
# Of the request and the transport, not settings of the statement. Statements of one session have
# nothing in common here: none can leave anything behind.
_OWN = frozenset({
    "client_protocol_version", "database", "default_format", "enable_http_compression",
    "password", "query", "query_id", "quota_key", "role", "session_check", "session_id",
    "session_timeout", "stacktrace", "user",
})  # fmt: skip
_FRAMED = ("compress", "decompress")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: a statement, and all that came with it."""

    sql: str
    database: str = ""
    default_format: str = "TabSeparated"
    protocol: int = 0
    query_id: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    encoding: str = ""


def read_credentials(scope: Scope) -> list[str]:
    """
    Return what was sent as proof, wherever: bearer token, password, key. None: nothing was.

    Grafana and others send a user and a password; the token is the password of any user.
    """
    headers = dict(scope["headers"])
    given = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    scheme, _, value = authorization(headers).partition(" ")
    found = [given.get("password", ""), headers.get(b"x-clickhouse-key", b"").decode("latin-1")]
    if scheme.lower() == "bearer":
        found.append(value.strip())
    elif scheme.lower() == "basic":
        found.append(_read_password(value.strip()))
    return [each for each in found if each]


class Body(TimelyBody):
    """The messages of a request's body, of which one may take as many as one needs."""

    async def discard(self) -> None:
        """Take the rest, within bounds: a client that still sends may not see the answer."""
        size = 0
        with contextlib.suppress(TooSlow):
            while not self.is_whole and size <= 4 * MAX_STATEMENT_BYTES:
                size += len((await self()).get("body", b""))


async def read_request(scope: Scope, receive: Receive) -> Asked:
    """
    Read a request whole.

    Raises:
        SqlFailure: it is too large, damaged, or asks in a way that is not served.
    """
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    given = dict(
        parse_qsl(
            scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=200
        )
    )
    if media_type(headers) == "multipart/form-data":
        raise SqlFailure(48, "Forms and external tables are not served: send the statement as body")
    for name in _FRAMED:
        if given.pop(name, "0") not in ("", "0", "false"):
            raise SqlFailure(48, f"{name}=1 is not served: use Accept-Encoding or Content-Encoding")
    body = _inflate(await _read_body(receive), content_encoding(headers))
    parts = [part for part in (given.get("query", ""), _decode(body)) if part.strip()]
    protocol = given.get("client_protocol_version", "")
    wanted = headers.get(b"x-clickhouse-format", b"").decode("latin-1")
    sent_id = given.get("query_id", "")
    is_packed = given.get("enable_http_compression", "0") not in ("", "0", "false")
    return Asked(
        sql="\n".join(parts),
        database=given.get("database")
        or headers.get(b"x-clickhouse-database", b"").decode("latin-1"),
        default_format=given.get("default_format") or wanted or "TabSeparated",
        protocol=int(protocol) if protocol.isdigit() and len(protocol) < 9 else 0,
        query_id=sent_id if _QUERY_ID.fullmatch(sent_id) else "",
        parameters={
            n.removeprefix("param_"): v for n, v in given.items() if n.startswith("param_")
        },
        settings={n: v for n, v in given.items() if n not in _OWN and not n.startswith("param_")},
        encoding=_choose_encoding(headers.get(b"accept-encoding", b"")) if is_packed else "",
    )


def pack(body: bytes, encoding: str) -> bytes:
    """Compress an answer."""
    if encoding == "zstd":
        return zstandard.ZstdCompressor(level=1).compress(body)
    wbits = {"gzip": 31, "deflate": 15}.get(encoding)
    if wbits is None:
        return body
    packer = zlib.compressobj(1, zlib.DEFLATED, wbits)
    return packer.compress(body) + packer.flush()


def _read_password(value: str) -> str:
    try:
        text = base64.b64decode(value, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
    return text.partition(":")[2]


async def _read_body(receive: Receive) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise SqlFailure(48, "The request ended early")
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_STATEMENT_BYTES:
            raise _too_large()
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _inflate(body: bytes, encoding: str) -> bytes:
    if not body or encoding in ("", "identity"):
        return body
    try:
        if encoding == "zstd":
            reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).stream_reader(body)
            plain = reader.read(MAX_STATEMENT_BYTES + 1)
        elif encoding in ("gzip", "deflate"):
            inflater = zlib.decompressobj(47)
            plain = inflater.decompress(body, MAX_STATEMENT_BYTES + 1)
            if not inflater.eof and len(plain) <= MAX_STATEMENT_BYTES:
                raise zlib.error("cut off")
        else:
            raise SqlFailure(48, f"Content-Encoding {encoding[:20]} is not served")
    except (zlib.error, zstandard.ZstdError) as exc:
        raise SqlFailure(48, "The body is not what its Content-Encoding says") from exc
    if len(plain) > MAX_STATEMENT_BYTES:
        raise _too_large()
    return plain


def _decode(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as exc:
        raise SqlFailure(62, f"The statement is not UTF-8 at byte {exc.start}") from exc


def _choose_encoding(accepted: bytes) -> str:
    offered = {
        part.partition(";")[0].strip()
        for part in accepted.decode("latin-1").lower().split(",")
        if "q=0" not in part.replace(" ", "").split(";")[1:]
    }
    return next((each for each in ("gzip", "zstd", "deflate") if each in offered), "")


def _too_large() -> SqlFailure:
    return SqlFailure(62, f"A statement has at most {MAX_STATEMENT_BYTES} bytes")
