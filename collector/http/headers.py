"""
What doors read of a request's headers, and what they say in an answer's.
"""

from collections.abc import Mapping

from collector.errors import CollectorError, TooLarge, TooSlow, Undecodable
from collector.http.asgi import Scope

Headers = Mapping[bytes, bytes]
# the rest of a refused body is read and forgotten; above this the connection is closed, which may
# cost the sender the answer. Who shall come back gets more patience, for the hint in it.
_DRAINED_BYTES = 1024 * 1024
_DRAINED_RETRYABLE_BYTES = 8 * 1024 * 1024


def media_type(headers: Headers) -> str:
    """Return the content type without its parameters, in lower case."""
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")


def content_encoding(headers: Headers) -> str:
    """Return how the body is compressed, "" when it is not."""
    return headers.get(b"content-encoding", b"").strip().lower().decode("latin-1")


def content_length(headers: Headers) -> int | None:
    """Return the announced size of the body; `None` when it is not announced."""
    text = headers.get(b"content-length", b"")
    return int(text) if text.isdigit() and len(text) < 19 else None


def authorization(headers: Headers) -> str:
    """Return who the sender says it is, "" when it does not."""
    return headers.get(b"authorization", b"").decode("latin-1")


def peer(scope: Scope) -> str:
    """Return the address of the sender, "" when it is not known."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def error_headers(error: CollectorError) -> list[tuple[bytes, bytes]]:
    """Return the headers that an error needs: when to come back, or how to say who you are."""
    extra: list[tuple[bytes, bytes]] = []
    if error.retryable:
        extra.append((b"retry-after", str(error.retry_after_s or 1).encode()))
    if error.http_status == 401:
        extra.append((b"www-authenticate", b'Bearer realm="hopline"'))
    return extra


def refusal_headers(error: CollectorError, headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers of a refused POST; they close a connection with much left to read."""
    extra = error_headers(error)
    if error.http_status == 405:
        extra.append((b"allow", b"POST"))
    length = content_length(headers)
    is_chunked = b"transfer-encoding" in headers
    is_endless = is_chunked and isinstance(error, TooLarge | Undecodable)
    most_bytes = _DRAINED_RETRYABLE_BYTES if error.retryable else _DRAINED_BYTES
    if (length or 0) > most_bytes or is_endless or isinstance(error, TooSlow):
        extra.append((b"connection", b"close"))
    return extra
