"""
Bodies into entries: one object, an array, one object a line, objects back to back, text lines.

In: the bytes of one push or pull. Out: `Bodies`, each entry at its place. A body without any entry
that can be read is `Undecodable`. Every step is linear in the size of the body.

Read first: `split_body`.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from collector.decode.fields import describe
from collector.decode.unescaped import load_unescaped
from collector.errors import Undecodable
from collector.model import RecordError

_BOM = b"\xef\xbb\xbf"
# what PowerShell's `>` writes; neither begins a text of UTF-8
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
# An HTTP message behind a marker, as a policy of API Management writes it: one entry of many lines.
_HTTP_MESSAGE = re.compile(rb"(?:request|response):[\w-]{1,64}\r?\n")
_MAX_OBJECTS = 2_000_000
_LARGE_BYTES = 4 * 1024 * 1024
_BLANKS = b" \t\r\n"


class Entries(Sequence[Any]):
    """
    Entries that are read when they are asked for, and again when asked again.

    Iterate: 500 rows of 8 KiB read at once have left the processor's cache before they are looked
    at. One at a time, Kong's records take 22 us instead of 36 on a busy machine.
    """

    def __init__(self, read: Callable[[], Iterator[Any]]) -> None:
        self._read = read

    def __iter__(self) -> Iterator[Any]:
        return self._read()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]


@dataclass(frozen=True, slots=True)
class Bodies:
    """
    The entries of one body in order.

    Shape: an entry is whatever JSON value stood there, a `str` for a text line, or the
    `RecordError` that says why nothing could be read at that place.
    `is_repaired` tells that bytes which are not UTF-8 were replaced by U+FFFD.
    """

    entries: Sequence[Any]
    is_repaired: bool = False


def split_body(body: bytes) -> Bodies:
    """
    Split a body of JSON, of text lines, or of both mixed (a container's log), in UTF-8 or UTF-16.

    Raises:
        Undecodable: it is empty, or broken JSON throughout. Never retried.
    """
    if body.startswith(_WIDE_BOMS):
        body = body.decode("utf-16", "replace").encode("utf-8", "replace")
    body = _strip(body)
    text, is_repaired = _as_text(body)
    if _HTTP_MESSAGE.match(body):
        return Bodies((text,), is_repaired)
    try:
        value = orjson.loads(text if is_repaired else body)
        if isinstance(value, list):
            return Bodies(value, is_repaired)
        if isinstance(value, dict):
            return Bodies((value,), is_repaired)
        if not isinstance(value, str):
            raise Undecodable(f"expected an object or an array of objects, got {describe(value)}")
    except orjson.JSONDecodeError:
        pass
    if text.startswith("{"):
        objects = _split_objects(text)
        if any(entry.__class__ is dict for entry in objects):
            return Bodies(objects, is_repaired)
    entries: list[Any] = []
    for line in text.split("\n"):
        line = line.strip(" \t\r")
        if line:
            entries.extend(_split_line(line, len(entries)) if line[0] == "{" else (line,))
    if all(entry.__class__ is RecordError for entry in entries):
        raise Undecodable(f"the body is neither JSON nor text lines: {entries[0].reason}")
    return Bodies(entries, is_repaired)


def _strip(body: bytes) -> bytes:
    stripped = body.removeprefix(_BOM).strip(_BLANKS)
    if not stripped:
        raise Undecodable("the body is empty")
    if len(stripped) > _LARGE_BYTES and stripped.count(b"{") + stripped.count(b"[") > _MAX_OBJECTS:
        raise Undecodable(f"the body has more than {_MAX_OBJECTS:,} entries, objects and arrays")
    return stripped


def _as_text(body: bytes) -> tuple[str, bool]:
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return body.decode(errors="replace"), True


def _split_objects(text: str) -> Sequence[Any]:
    """
    Split objects that no array holds together.

    Lines first, because that is what nearly every sender writes and orjson reads them one by one;
    objects that span lines (pretty-printed) by scanning on from where the last one ended.
    """
    first = text.split("\n", 1)[0].rstrip(" \t\r,")
    if not first.endswith("}"):
        entries = _scan_objects(text)
        if entries[0].__class__ is dict:
            return entries
    return Entries(partial(_read_lines, text))


def _read_lines(text: str) -> Iterator[Any]:
    index, start = 0, 0
    while start <= len(text):
        end = text.find("\n", start)
        if end < 0:
            end = len(text)
        line = text[start:end].strip(" \t\r,")
        start = end + 1
        if not line:
            continue
        if line[0] != "{":  # a text line of the same container's log
            index += 1
            yield line
            continue
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            entries = list(_split_line(line, index))
            index += len(entries)
            yield from entries
        else:
            index += 1
            yield entry
            del entry  # its memory, still in the cache, is for the next one


def _split_line(line: str, index: int) -> Iterable[Any]:
    try:
        return (orjson.loads(line),)
    except orjson.JSONDecodeError as exc:
        if (meant := load_unescaped(line)) is not None:
            return (meant,)
        if "}" not in line[:-1]:
            return (RecordError(index=index, reason=f"no JSON: {exc}"),)
    return _split_back_to_back(line, index)


def _split_back_to_back(text: str, index: int) -> list[Any]:
    """
    Split `{…}{…}`.

    Cutting at every `}{` is right when all pieces parse: a piece that ends inside a string is not
    JSON. Only text where that fails (a `}{` in a value) is scanned, which is slower.
    """
    pieces = text.replace("}{", "}\n{").split("\n")
    try:
        return [orjson.loads(piece) for piece in pieces]
    except orjson.JSONDecodeError:
        return _scan_objects(text, index)


def _scan_objects(text: str, index: int = 0) -> list[Any]:
    """Read value after value; where one cannot be read, the rest is one rejected entry."""
    scan = json.JSONDecoder().raw_decode
    entries: list[Any] = []
    position = 0
    while position < len(text):
        if text[position] in " \t\r\n,":
            position += 1
            continue
        try:
            _, end = scan(text, position)
            # read again by orjson, so that every path has the same rules (no NaN, no lone
            # surrogates, 64-bit numbers)
            entries.append(orjson.loads(text[position:end]))
        except (ValueError, RecursionError):
            reason = f"no JSON from character {position} on"
            entries.append(RecordError(index=index + len(entries), reason=reason))
            break
        position = end
    return entries
