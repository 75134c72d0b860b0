"""
Typed reading of JSON objects that gateways write.

In: one object of a gateway's log. Out: text, whole numbers, nanoseconds, moments, header maps.
Missing is missing whatever a product writes for it: no key, null, "", "-", "None", "null".
Every error is a `FieldError` that names the field, so that one bad record costs one record.

Read first: `read_text`. Bodies are split into objects by `decode.bodies`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import orjson

from collector.decode.timestamps import Timestamp as Timestamp
from collector.decode.timestamps import parse_timestamp as parse_timestamp
from collector.timestamps import NS_PER_MS, NS_PER_S

Row = Mapping[str, Any]

_MAX_INT = 2**63 - 1
_MAX_MS = _MAX_INT // NS_PER_MS
_MAX_S = _MAX_INT // NS_PER_S
_MISSING = frozenset({"", "-", "None", "null", "NULL", "(null)"})
_TRUE = frozenset({"true", "True", "TRUE", "1", "yes"})
_FALSE = frozenset({"false", "False", "FALSE", "0", "no"})
_SHOWN_CHARACTERS = 60
_STATUSES = {str(status): status for status in range(1000)}
_ONLY_TEXT = frozenset({str})

# Go writes `1m2.5s`, templates of users `12ms` and `0.012 s`.
_OWN_UNIT = re.compile(r"(\d{1,15}(?:\.\d{1,12})?) ?(ns|us|µs|μs|ms|s|m|h)")
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
}
_LONGEST_DURATION = 64
_TIMESPAN = re.compile(r"(?:(\d{1,3})\.)?(\d{1,2}):(\d\d):(\d\d)(?:\.(\d{1,9}))?", re.ASCII)
_ISO_DURATION = re.compile(
    r"P(?:(\d{1,3})D)?T(?:(\d{1,4})H)?(?:(\d{1,6})M)?(?:(\d{1,9})(?:\.(\d{1,9}))?S)?", re.ASCII
)

_THREE_DECIMALS = re.compile(r"(\d{1,10}),(\d{3})(?!\d)", re.ASCII)
_TRIES = re.compile(r", | : |,")
_NUMBER = re.compile(r"[+-]?(\d+)(\.\d*)?([eE][+-]?\d{1,3})?", re.ASCII)
# Three digits behind a comma may be thousands, unless a zero stands before it.
_DECIMAL_COMMA = re.compile(r"[+-]?(?:0,\d{1,12}|\d{1,15},(?:\d{1,2}|\d{4,12}))", re.ASCII)

_HEADER_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}):[ \t]*([^\r\n]*)", re.ASCII)
_NAMES_OF_HEADERS = ("name", "key", "header")
_VALUES_OF_HEADERS = ("value", "values", "val")


class FieldError(ValueError):
    """One field cannot be read; `field` is its name as the product writes it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


class NotARequest(Exception):  # noqa: N818 nothing is wrong with the entry
    """
    An entry is no request of an API: it is passed over, counted under *code*.

    Codes: `session` (TCP, L4), `event` (the product's own log lines), `category` (another of its
    logs), `application` (telemetry of something else), `sidecar`.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def is_missing(value: object) -> bool:
    """Tell whether *value* is one of the spellings of "not there"."""
    return value is None or (isinstance(value, str) and value in _MISSING)


def read_text(row: Row, *names: str, within: str = "") -> str:
    """
    Return the first of *names* that is there as text, "" when none is.

    Numbers and booleans are taken as their JSON text; *within* is put before the name in errors.

    Raises:
        FieldError: the value is an object or an array.
    """
    for name in names:
        value = row.get(name)
        if isinstance(value, str):
            if value not in _MISSING:
                return value
        elif value is not None:
            return _as_text(value, within + name)
    return ""


def read_texts(row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    """
    Return the texts of many fields at once, under the keys of *names*; missing ones left out.

    Five times as fast as a `read_text` each, when all are text as they nearly always are.

    Raises:
        FieldError: one is an object or an array.
    """
    found = {
        key: value
        for key, name in names.items()
        if name in row and ((value := row[name]) or value == 0)
    }
    if _ONLY_TEXT.issuperset(map(type, found.values())) and _MISSING.isdisjoint(found.values()):
        return found
    return {key: text for key in found if (text := read_text(row, names[key]))}


def read_int(row: Row, *names: str, within: str = "") -> int | None:
    """
    Return the first of *names* that is there as a whole number, also when written as text.

    Raises:
        FieldError: it is not a whole number, or does not fit 64 bits.
    """
    for name in names:
        value = row.get(name)
        if value is None or (isinstance(value, str) and value in _MISSING):
            continue
        if type(value) is int:
            number = value
        elif type(value) is str and value.isdecimal() and len(value) < 19 and value.isascii():
            return int(value)
        else:
            number = _as_whole(value, within + name)
        if -_MAX_INT <= number <= _MAX_INT:
            return number
        raise FieldError(within + name, "does not fit into 64 bits")
    return None


def read_status(row: Row, *names: str, within: str = "") -> int | None:
    """
    Return the first of *names* that is there as a status code.

    Raises:
        FieldError: it is no whole number between 0 and 999.
    """
    for name in names:
        value = row.get(name)
        if type(value) is str and (known := _STATUSES.get(value)) is not None:
            return known
        if type(value) is int and 0 <= value <= 999:
            return value
        status = read_int(row, name, within=within)
        if status is None:
            continue
        if 0 <= status <= 999:
            return status
        raise FieldError(within + name, f"expected a status code, got {describe(row[name])}")
    return None


def read_float(row: Row, *names: str, within: str = "") -> float | None:
    """
    Return the first of *names* that is there as a number, also when written as text.

    Raises:
        FieldError: it is not a finite number.
    """
    for name in names:
        value = row.get(name)
        if value is None or (isinstance(value, str) and value in _MISSING):
            continue
        return _as_float(value, within + name)
    return None


def read_ns_from_ms(row: Row, *names: str, within: str = "") -> int | None:
    """
    Return a duration that the product writes in milliseconds, or with a unit of its own (`1.2s`).

    Returns:
        Nanoseconds; `None` when missing or negative (Kong writes -1 for "did not happen"). What
        does not fit 64 bits is the longest that does: `quality.check` takes it back.

    Raises:
        FieldError: it is not a number.
    """
    value = row.get(names[0])
    if value.__class__ is int and 0 <= value <= _MAX_MS:
        return value * NS_PER_MS
    return _read_duration(row, names, within, NS_PER_MS)


def read_ns_from_s(row: Row, *names: str, within: str = "") -> int | None:
    """
    Return a duration that the product writes in seconds, as `read_ns_from_ms` does.

    Raises:
        FieldError: it is not a number.
    """
    value = row.get(names[0])
    if value.__class__ is float and 0 <= value <= _MAX_S:
        return round(value * NS_PER_S)
    return _read_duration(row, names, within, NS_PER_S)


def read_duration_ns(row: Row, *names: str, unit_ns: int, within: str = "") -> int | None:
    """
    Return a duration that the product writes in steps of *unit_ns*, as `read_ns_from_ms` does.

    Raises:
        FieldError: it is not a number.
    """
    return _read_duration(row, names, within, unit_ns)


def split_times(text: str) -> Sequence[str]:
    """
    Return the times in seconds of several tries that are written in one: `0.010, 0.523`.

    They always have three decimals: without a point, what rewrote the text put commas there.
    """
    return split_tries(text if "." in text else _THREE_DECIMALS.sub(r"\1.\2", text))


def split_tries(text: str) -> Sequence[str]:
    """Return the values of several tries that nginx and others write in one: `502, 200`."""
    return [part.strip() for part in _TRIES.split(text) if part.strip()]


def read_bool(row: Row, *names: str, within: str = "") -> bool | None:
    """
    Return the first of *names* that is there as true or false, also when written as text or 0/1.

    Raises:
        FieldError: it is anything else.
    """
    for name in names:
        value = row.get(name)
        if value is None or (isinstance(value, str) and value in _MISSING):
            continue
        if value.__class__ is bool:
            return bool(value)
        text = str(value)
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise FieldError(within + name, f"expected true or false, got {describe(value)}")
    return None


def read_timestamp(row: Row, *names: str, within: str = "") -> Timestamp | None:
    """
    Return the first of *names* that is there as a moment; see `parse_timestamp` for what is read.

    Raises:
        FieldError: it is no moment between 1970 and 2262.
    """
    for name in names:
        value = row.get(name)
        if value is None or (isinstance(value, str) and value in _MISSING):
            continue
        try:
            return parse_timestamp(value)
        except ValueError as exc:
            raise FieldError(within + name, f"{exc}, got {describe(value)}") from None
    return None


def read_object(row: Row, *names: str, within: str = "") -> Row:
    """
    Return the first of *names* that is there as an object, also when written as JSON text.

    Returns:
        An empty mapping when there is none; an empty array counts as one (Lua's empty table).

    Raises:
        FieldError: it is anything else.
    """
    for name in names:
        value = row.get(name)
        if value.__class__ is dict:
            return value
        if isinstance(value, str):
            value = _from_json_text(value, within + name)
        if isinstance(value, dict):
            return value
        if value is not None and value != []:
            raise FieldError(within + name, f"expected an object, got {describe(value)}")
    return {}


def read_list(row: Row, *names: str, within: str = "") -> Sequence[Any]:
    """
    Return the first of *names* that is there as an array, also when written as JSON text.

    Returns:
        An empty list when there is none; an empty object counts as one (Lua's empty table).

    Raises:
        FieldError: it is anything else.
    """
    for name in names:
        value = row.get(name)
        if isinstance(value, str):
            value = _from_json_text(value, within + name)
        if isinstance(value, list):
            return value
        if value is not None and value != {}:
            raise FieldError(within + name, f"expected an array, got {describe(value)}")
    return []


def read_headers(row: Row, *names: str, within: str = "") -> dict[str, str]:
    """
    Return a header map with lower-case names.

    It may be an object; a list of pairs, of objects of a name and a value or of one name each, of
    names and values by turns, or of lines; or text: lines as HTTP has them, or JSON of any of
    these. Repeated headers become one value joined by ", ", as HTTP allows.

    Raises:
        FieldError: it is no header map.
    """
    for name in names:
        if row.get(name) is not None:
            break
    else:
        return {}
    found = row[name]
    if isinstance(found, str):
        is_lines = _HEADER_LINE.match(found) is not None
        found = found.splitlines() if is_lines else _from_json_text(found, within + name)
    if not isinstance(found, dict):
        return _headers_of_pairs(found, within + name)
    if _ONLY_TEXT.issuperset(map(type, found.values())):
        return {key.lower(): value for key, value in found.items()}
    headers = {}
    for key, value in found.items():
        if value is not None:
            headers[key.lower()] = _header_value(value, f"{within}{name}.{key}")
    return headers


def _headers_of_pairs(found: object, name: str) -> dict[str, str]:
    if found is None:
        return {}
    pairs = list(_header_pairs(found)) if isinstance(found, list) else [("", None)]
    headers: dict[str, list[str]] = {}
    for key, value in pairs:
        if not isinstance(key, str) or not key:
            raise FieldError(name, f"expected names and values of headers, got {describe(found)}")
        if value is not None:
            values = headers.setdefault(key.strip().lower(), [])
            values.append(_header_value(value, f"{name}.{key}"))
    return {key: ", ".join(values) for key, values in headers.items()}


def _header_pairs(found: list[Any]) -> Iterator[tuple[object, object]]:
    """Yield the names and values of a list; a name that is no text where there is none."""
    if found and all(isinstance(each, str) for each in found):
        lines = [_HEADER_LINE.fullmatch(each) for each in found if each.strip()]
        if all(lines):
            yield from ((match[1], match[2]) for match in lines if match)
        elif len(found) % 2 == 0:  # Node's rawHeaders
            yield from zip(found[::2], found[1::2], strict=True)
        else:
            yield None, None
        return
    for each in found:
        if isinstance(each, list) and len(each) == 2:
            yield each[0], each[1]
        elif isinstance(each, dict):
            said = {key.lower(): value for key, value in each.items()}
            named = next((said[key] for key in _NAMES_OF_HEADERS if key in said), None)
            if named is not None:
                yield named, next((said[key] for key in _VALUES_OF_HEADERS if key in said), None)
            elif len(each) == 1:
                yield from each.items()
            else:
                yield None, None
        else:
            yield None, None


def _header_value(value: object, name: str) -> str:
    if isinstance(value, list):
        return ", ".join(_as_text(part, name) for part in value)
    return _as_text(value, name)


def require_text(row: Row, *names: str, within: str = "") -> str:
    """
    Return what `read_text` returns.

    Raises:
        FieldError: none of *names* is there, or it is no text.
    """
    value = row.get(names[0])
    if value.__class__ is str and value not in _MISSING:  # nearly always
        return str(value)
    value = read_text(row, *names, within=within)
    if not value:
        raise FieldError(within + names[0], "is missing")
    return value


def require_timestamp(row: Row, *names: str, within: str = "") -> Timestamp:
    """
    Return what `read_timestamp` returns.

    Raises:
        FieldError: none of *names* is there, or it is no moment.
    """
    moment = read_timestamp(row, *names, within=within)
    if moment is None:
        raise FieldError(within + names[0], "is missing")
    return moment


def describe(value: object) -> str:
    """Return what *value* is for an error message: its JSON kind, and its start when short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        shown = value[:_SHOWN_CHARACTERS]
        return f"text {shown!r}"
    if isinstance(value, int | float):
        return f"number {str(value)[:_SHOWN_CHARACTERS]}"
    return "an array" if isinstance(value, list) else "an object"


def write_raw(row: object) -> str:
    """Return *row* as compact JSON text."""
    return orjson.dumps(row).decode()


def derive_record_id(raw: str) -> str:
    """
    Return an id for a record whose product gives it none: the same content, the same id.

    Of a JSON object it is the same whatever the order of its members: shippers reorder them. The
    leading `~` tells it from a gateway's own id.
    """
    content = raw.encode()
    if raw.startswith("{"):
        with suppress(orjson.JSONDecodeError):
            content = orjson.dumps(orjson.loads(content), option=orjson.OPT_SORT_KEYS)
    return f"~{blake2b(content, digest_size=12).hexdigest()}"


def _as_text(value: object, name: str) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return value
    raise FieldError(name, f"expected text, got {describe(value)}")


def _as_float(value: object, name: str) -> float:
    if type(value) is int or type(value) is float:
        return float(value)
    if isinstance(value, str):
        whole, _, decimals = value.partition(".")
        # "0.170": the pattern and stripping cost as much again
        if len(value) < 16 and value.isascii() and whole.isdecimal() and decimals.isdecimal():
            return float(value)
        text = value.strip()
        if _DECIMAL_COMMA.fullmatch(text):
            text = text.replace(",", ".")
        if _NUMBER.fullmatch(text):
            number = float(text)
            if number - number == 0:  # finite: "1e999" reads as infinity
                return number
    raise FieldError(name, f"expected a number, got {describe(value)}")


def _as_number(value: object, name: str) -> float:
    """Return a number without rounding whole ones to the 53 bits of a float."""
    if isinstance(value, str) and len(value) < 19 and value.isdigit() and value.isascii():
        return int(value)
    return _as_float(value, name)


def _as_whole(value: object, name: str) -> int:
    if isinstance(value, str):
        if len(value) < 19 and value.isdigit() and value.isascii():
            return int(value)
        text = value.strip()
        match = _NUMBER.fullmatch(text)
        # 19 digits hold every 64-bit number; int() of megabytes of digits is slow
        if match and match.end(1) == len(text) and len(text) <= 20:
            return int(text)
    number = _as_float(value, name)
    if number != int(number):
        raise FieldError(name, f"expected a whole number, got {describe(value)}")
    return int(number)


def _read_duration(row: Row, names: Sequence[str], within: str, unit_ns: int) -> int | None:
    for name in names:
        value = row.get(name)
        if value is None or (isinstance(value, str) and value in _MISSING):
            continue
        if type(value) is str and value.isdecimal() and len(value) < 9 and value.isascii():
            return int(value) * unit_ns
        if type(value) is not int and type(value) is not float:
            if (measured := _with_own_unit(value)) is not None:
                return min(measured, _MAX_INT)
            value = _as_number(value, within + name)
        if value < 0:
            return None
        if value > _MAX_INT // unit_ns:
            return _MAX_INT
        return round(value * unit_ns)
    return None


def _with_own_unit(value: object) -> int | None:
    """Return what a text with its unit, or with colons, stands for, `None` for any other."""
    if not isinstance(value, str) or len(value) > _LONGEST_DURATION:
        return None
    if ":" in value or value[:1] == "P":
        return parse_timespan_ns(value)
    if value[-1:] not in "smh":
        return None
    parts = _OWN_UNIT.findall(value)
    if "".join(map("".join, parts)) != value.replace(" ", ""):
        return None
    return sum(round(float(number) * _UNITS_NS[unit]) for number, unit in parts)


def parse_timespan_ns(text: str) -> int | None:
    """
    Return a duration as .NET and Java write it, `None` for any other text.

    `[days.]hh:mm:ss[.fffffff]`, and ISO 8601 (`PT0.127S`).
    """
    match = _TIMESPAN.fullmatch(text.strip()) or _ISO_DURATION.fullmatch(text.strip())
    if match is None:
        return None
    days, hours, minutes, seconds, fraction = (each or "0" for each in match.groups())
    whole_s = ((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60 + int(seconds)
    return whole_s * NS_PER_S + int(fraction.ljust(9, "0"))


def _from_json_text(text: str, name: str) -> object:
    if text in _MISSING:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise FieldError(name, f"expected JSON, got {describe(text)}") from None
