"""
Moments as people write them in a question.

In: text of a parameter. Out: Unix nanoseconds.
"""

import re
from datetime import UTC, datetime, timedelta

from collector.errors import BadQuestion
from collector.timestamps import NS_PER_MS, NS_PER_S

_MAX_TEXT = 64
# DateTime64(9) ends in 2262; a later moment cannot be compared in the store.
_MAX_NS = 9_223_372_036 * NS_PER_S
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A `+` in a query string that was not encoded arrives as a space.
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,12}))?"
    r"(?:([Zz])|([+\- ])(\d\d):?(\d\d))?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"\d{1,19}(?:\.\d{1,9})?", re.ASCII)
_RELATIVE = re.compile(r"(?:now)?\s*([+\- ])\s*((?:\d{1,12}(?:ms|[smhdw])){1,6})", re.ASCII)
_PART = re.compile(r"(\d+)(ms|[smhdw])", re.ASCII)
_UNIT_NS = {
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
    "w": 7 * 86_400 * NS_PER_S,
}
_FORMS = (
    "write RFC 3339 (2026-03-01T09:30:00Z, any offset), Unix time in s, ms, µs or ns, "
    "`now`, or a time before now such as -15m"
)


def parse_timestamp(text: str, *, name: str, now_ns: int) -> int:
    """
    Read one moment; *name* is the parameter that the error names.

    A bare number is told apart by its size: below 1e11 seconds, below 1e14 milliseconds, below
    1e17 microseconds, else nanoseconds. RFC 3339 without an offset is UTC.

    Raises:
        BadQuestion: none of the forms, or outside 1970 to 2262. Never retried.
    """
    cleaned = text.strip(" \t\"'") if len(text) <= _MAX_TEXT else ""
    # The sign of a relative time may have been a `+`, decoded to a space and stripped: not a form.
    moment = _read_any(cleaned, now_ns)
    if moment is None:
        msg = f"{name}: {_shorten(text)} is not a moment"
        raise BadQuestion(msg, hint=_FORMS)
    if not 0 <= moment <= _MAX_NS:
        msg = f"{name}: {_shorten(text)} is outside the years 1970 to 2262"
        raise BadQuestion(msg, hint=_FORMS)
    return moment


def _read_any(text: str, now_ns: int) -> int | None:
    if not text:
        return None
    if text.lower() == "now":
        return now_ns
    if _NUMBER.fullmatch(text):
        return _read_number(text)
    relative = _RELATIVE.fullmatch(text.lower())
    if relative:
        sign, parts = relative.groups()
        span = sum(int(count) * _UNIT_NS[unit] for count, unit in _PART.findall(parts))
        return now_ns - span if sign == "-" else now_ns + span
    return _read_rfc3339(text)


def _read_number(text: str) -> int:
    whole, _, fraction = text.partition(".")
    value = int(whole)
    if value < 10**11:
        unit = NS_PER_S
    elif value < 10**14:
        unit = NS_PER_MS
    elif value < 10**17:
        unit = 1_000
    else:
        unit = 1
    return value * unit + int(f"{fraction:0<9}" or "0") * unit // 10**9


def _read_rfc3339(text: str) -> int | None:
    matched = _RFC3339.fullmatch(text)
    if not matched:
        return None
    day, clock, fraction, _, sign, hours, minutes = matched.groups()
    clock = clock or "00:00:00"
    is_leap_second = clock.endswith(":60")
    try:
        base = datetime.fromisoformat(f"{day}T{clock[:-2] + '59' if is_leap_second else clock}")
    except ValueError:
        return None
    if hours is not None and (int(hours) > 23 or int(minutes) > 59):
        return None
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    elapsed = base.replace(tzinfo=UTC) - _EPOCH
    if sign == "-":
        elapsed += offset
    elif sign:
        elapsed -= offset
    seconds = elapsed.days * 86_400 + elapsed.seconds + is_leap_second
    return seconds * NS_PER_S + int(f"{(fraction or '')[:9]:0<9}")


def _shorten(text: str) -> str:
    return repr(text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…")
