"""
Cursors: where the next page of a search begins, as one opaque word.

A cursor holds the store's own cursor of the last row and the range, fixed on the first page: pages
of a search "until now" would otherwise overlap. It is bound to the other parameters by a
fingerprint, and a digest tells a cut or edited cursor from a whole one; it is no secret and grants
nothing.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass, replace

import orjson

from collector.errors import BadQuestion
from collector.query.search.filters import Search

_MAX_LENGTH = 1024
_DIGEST_BYTES = 8
_HINT = "take next_cursor of the page before as it is, and keep the other parameters"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The range of the first page, and the store's cursor of the last row seen."""

    start_ns: int
    end_ns: int
    row: str


def encode_cursor(cursor: Cursor, search: Search) -> str:
    """Return the word that stands for *cursor* in pages of *search*, and of no other search."""
    body = orjson.dumps([cursor.start_ns, cursor.end_ns, cursor.row, _fingerprint(search)])
    return base64.urlsafe_b64encode(_digest(body) + body).decode().rstrip("=")


def decode_cursor(search: Search) -> Cursor:
    """
    Return the cursor that *search* carries.

    Raises:
        BadQuestion: it was cut, edited, or made for other parameters. Never retried.
    """
    match orjson.loads(body) if (body := _open(search.cursor)) else None:
        case [int(start), int(end), str(row), str(made_for)]:
            if made_for == _fingerprint(search):
                return Cursor(start, end, row)
            msg = "cursor: is one of another search: its range, filters or order differ"
        case _:
            msg = "cursor: is not one that a search has given out"
    raise BadQuestion(msg, hint=_HINT)


def _open(text: str) -> bytes:
    if len(text) > _MAX_LENGTH or not text.isascii():
        return b""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
    digest, body = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
    return body if body and digest == _digest(body) else b""


def _fingerprint(search: Search) -> str:
    # the range as it is written: a relative one is another at each page
    bound = [repr(replace(search.wanted, start_ns=0, end_ns=0)), search.state, search.range_texts]
    return _digest(orjson.dumps(bound)).hex()


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES, person=b"hopline-cursor").digest()
