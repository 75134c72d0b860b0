"""
Ids inside whatever somebody pasted: an address, a log line, headers, JSON, a query, a chat message.

In: text. Out: the ids in it as they are written, the likeliest first; what has no sign of being an
id is left out. Nothing here raises on input, and every pattern is linear in its length.
"""

import html
import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from collector.identity import ids

MAX_LENGTH = 16_384
_MOST_IDS = 48
_MAX_DEPTH = 12
_DECODINGS = 3

_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}", re.ASCII)
# Amazon's console writes `$` where other addresses have `%`, often twice, and `*` inside `~(`.
_DOLLARS = re.compile(r"\$(?:25)*([2357][0-9A-Fa-f])", re.ASCII)
_IS_DOLLAR_ESCAPED = re.compile(r"\$25[0-9A-Fa-f]{2}|\$3[ADF]|\$26", re.ASCII)
_STARS = re.compile(r"\*([2357][0-9A-Fa-f])", re.ASCII)
_UNICODE_ESCAPE = re.compile(r"\\u00([2-7][0-9A-Fa-f])", re.ASCII)
# What word processors and chats put in the place of a dash, and what nobody sees.
_DASHES = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d", "-")
)
# The colours of a terminal are as invisible as a zero-width space.
_INVISIBLE = re.compile(
    "\x1b\\[[0-9;]*[A-Za-z]|[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)

_EDGE = r"(?<![0-9A-Za-z])"
_END = r"(?![0-9A-Za-z])"
_HEX = "[0-9A-Fa-f]"
_CONTEXTS = re.compile(
    rf"{_EDGE}(?:"
    rf"{_HEX}{{2}}-{_HEX}{{32}}-{_HEX}{{16}}-{_HEX}{{2}}"  # traceparent
    rf"|1-{_HEX}{{8}}-{_HEX}{{24}}"  # X-Ray
    rf"|{_HEX}{{32}}-{_HEX}{{16}}(?:-[01dD])?(?:-{_HEX}{{16}})?"  # b3
    rf"|{_HEX}{{8,32}}:{_HEX}{{1,16}}:{_HEX}{{1,16}}:{_HEX}{{1,2}}"  # uber-trace-id
    rf"|{_HEX}{{32}}/[0-9]{{1,20}}(?:;o=[01])?"  # X-Cloud-Trace-Context
    rf"){_END}|\|{_HEX}{{32}}\.[0-9A-Za-z_.#]*",  # Request-Id
    re.ASCII,
)
# A name may be written together with its id (`traceId6e0c…`), or end in a letter of its own.
_GLUED = r"(?:(?<![0-9A-Fa-f])|(?<=[iI][dD]))"
_WHOLE_IDS = re.compile(
    rf"{_GLUED}(?:0[xX])?({_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}|{_HEX}{{32}})"
    rf"{_END}",
    re.ASCII,
)
_HALF_IDS = re.compile(rf"{_EDGE}(?:0[xX])?({_HEX}{{16}}){_END}", re.ASCII)
# Bytes one by one and words of four bytes, as dumps, debuggers and protobuf's text form have them.
_SPELT = re.compile(
    rf"{_EDGE}{_HEX}{{8}}(?:[ -]{_HEX}{{8}}){{3}}{_END}"
    rf"|{_EDGE}{_HEX}{{2}}(?:[: -]{_HEX}{{2}}){{15}}{_END}"
    rf"|(?:\\x{_HEX}{{2}}){{16}}",
    re.ASCII,
)
# Numbers of bytes, as Go, Java (signed) and Python print an array of them.
_BYTES = re.compile(r"(?<![\d.])-?\d{1,3}(?:(?:, ?| )-?\d{1,3}){15}(?![\d.])", re.ASCII)
# Bytes in quotes, in which only what cannot be printed is escaped: protobuf's text form, Python.
_QUOTED = re.compile(r"\"((?:[^\"\\\n]|\\.){8,64})\"|'((?:[^'\\\n]|\\.){8,64})'")
_ESCAPE_OR_PLAIN = re.compile(
    r"\\(?:([0-7]{3})|x([0-9A-Fa-f]{2})|([abfnrtv\\'\"]))|([^\\])", re.ASCII
)
_ESCAPED_AS = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_NAMED = re.compile(
    r"([A-Za-z][A-Za-z0-9_.\-]{0,80})"  # a name,
    r"[\"'`\]]{0,2}\s{0,8}(?:={1,2}|:|=>|=~)\s{0,8}"  # what says that a value follows,
    r"[\"'`\[(|]{0,3}([0-9A-Za-z][0-9A-Za-z+/_.:=\-]{3,200})",  # and the value
    re.ASCII,
)
_WORDS = re.compile(r"[^\s\"'`<>{}()\[\],;|&?#*\u00ab\u00bb\u2018-\u201f]{6,300}")
_PARTS = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.\-+~]{4,199}[0-9A-Za-z=]={0,2}", re.ASCII)
_HEADER = re.compile(r"^\s*(?:-H\s*)?['\"]?([A-Za-z][A-Za-z0-9-]{1,60}):[ \t]+([^\r\n'\"]{1,400})")
# Names end in one of these once dashes, dots and underscores are gone.
_ID_NAMES = (
    "traceid", "correlationid", "requestid", "operationid", "transactionid", "messageid",
    "trackingid", "activityid", "rootid", "apigwid", "extendedrequestid", "traceparent", "trace",
    "requestidentifier", "b3",
)  # fmt: skip
_SPAN_NAMES = ("spanid", "parentid", "spanidhex")


def find_ids(text: str) -> tuple[str, ...]:
    """
    Return the ids in *text* as they are written there, the likeliest first.

    Whole propagation headers come before values with the name of an id, those before what looks
    like an id, and a span's id after everything that names a request. Text longer than `MAX_LENGTH`
    is cut.
    """
    plain = _decode(text[:MAX_LENGTH])
    found: dict[str, None] = {}
    for candidate in _candidates(plain):
        if len(found) >= _MOST_IDS:
            break
        found.setdefault(candidate)
    return tuple(found)


def _decode(text: str) -> str:
    """Undo what addresses, JSON, HTML and word processors do to characters."""
    plain = _INVISIBLE.sub("", text).translate(_DASHES)
    for _ in range(_DECODINGS):
        if not _ESCAPED.search(plain):
            break
        plain = unquote(plain)
    if _IS_DOLLAR_ESCAPED.search(plain):
        plain = _DOLLARS.sub(lambda match: chr(int(match[1], 16)), plain)
    if "~(" in plain:
        plain = _STARS.sub(lambda match: chr(int(match[1], 16)), plain)
    plain = _UNICODE_ESCAPE.sub(lambda match: chr(int(match[1], 16)), plain)
    return html.unescape(plain).replace('\\"', '"').replace("\\/", "/")


def _candidates(text: str) -> Iterator[str]:
    yield from _whole(text)
    named = {**_named_in_json(text), **_headers(text)}
    context = ids.trace_context_from_headers(named)
    if context is not None:
        yield context.trace_id
    yield from (match[0] for match in _CONTEXTS.finditer(text))
    pairs = [*named.items(), *(match.groups() for match in _NAMED.finditer(text))]
    yield from (value for name, value in pairs if _says_id(name, _ID_NAMES))
    yield from (match[1] for match in _WHOLE_IDS.finditer(text))
    yield from (re.sub(r"\\x|[: -]", "", match[0]) for match in _SPELT.finditer(text))
    yield from _bytes(text)
    yield from (value for name, value in pairs if _says_id(name, _SPAN_NAMES))
    yield from (match[1] for match in _HALF_IDS.finditer(text))
    yield from _words(text)


def _bytes(text: str) -> Iterator[str]:
    """Yield ids of 16 bytes that are written byte by byte in decimal, or as text with escapes."""
    for match in _BYTES.finditer(text):
        numbers = [int(each) for each in re.findall(r"-?\d+", match[0])]
        if all(-128 <= number <= 255 for number in numbers):
            yield bytes(number & 255 for number in numbers).hex()
    for match in _QUOTED.finditer(text):
        inside = match[1] or match[2]
        if "\\" not in inside:
            continue
        data = b"".join(
            bytes((int(octal, 8) & 255,))
            if octal
            else bytes.fromhex(hexadecimal)
            if hexadecimal
            else bytes((_ESCAPED_AS.get(letter, ord(letter)),))
            if letter
            else plain.encode(errors="replace")
            for octal, hexadecimal, letter, plain in _ESCAPE_OR_PLAIN.findall(inside)
        )
        if len(data) == 16:
            yield data.hex()


def _whole(text: str) -> Iterator[str]:
    """An id that a line break or blanks cut in pieces is whole without them."""
    joined = "".join(text.split())
    if joined != text.strip() and _WHOLE_IDS.fullmatch(joined):
        yield joined


def _named_in_json(text: str) -> dict[str, str]:
    """Return the texts in a JSON document by their names; the outermost of a name wins."""
    start = text.find("{")
    if start < 0:
        return {}
    try:
        document, _ = json.JSONDecoder().raw_decode(text[start:])
    except (ValueError, RecursionError):
        return {}
    found: dict[str, str] = {}
    level: list[object] = [document]
    for _ in range(_MAX_DEPTH):
        deeper: list[object] = []
        for value in level:
            items = value.items() if isinstance(value, Mapping) else ()
            for name, inner in items:
                if isinstance(inner, str | int) and not isinstance(inner, bool):
                    found.setdefault(str(name).lower(), str(inner))
            deeper += value.values() if isinstance(value, Mapping) else ()
            deeper += value if isinstance(value, list) else ()
        level = deeper
    return found


def _headers(text: str) -> dict[str, str]:
    """Return what reads like header lines, as browsers, curl and proxies print them."""
    found = (_HEADER.match(line.lstrip("<> ")) for line in text.splitlines())
    return {match[1].lower(): match[2].strip(" {}") for match in found if match}


def _says_id(name: str, endings: tuple[str, ...]) -> bool:
    return re.sub(r"[^a-z0-9]", "", name.lower()).endswith(endings)


def _words(text: str) -> Iterator[str]:
    """Yield what is written together and has a digit, whole and in the parts that `/ = :` leave."""
    for match in _WORDS.finditer(text):
        word = match[0].strip(".:/-").lstrip("=")  # an id in base64 ends in `=`
        if len(word) < 6 or not any(character.isdigit() for character in word):
            continue
        if "://" not in word:
            yield word
        for part in _PARTS.finditer(word.replace("/", " ").replace(":", " ")):
            for piece in (part[0], *part[0].split("=")):
                if len(piece) >= 6 and any(character.isdigit() for character in piece):
                    yield piece
