"""
Moments as people write them in a question.

In: text of a parameter. Out: Unix nanoseconds. What has no zone is UTC, as everything that Hopline
writes is.
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from collector.errors import BadQuestion
from collector.timestamps import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_MS, NS_PER_S

_MAX_TEXT = 64
# DateTime64(9) ends in 2262; a later moment cannot be compared in the store.
_MAX_NS = 9_223_372_036 * NS_PER_S
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMS = (
    "write RFC 3339 (2026-03-01T09:30:00Z, any offset), Unix time in s, ms, µs or ns, `now`, a "
    "time before now such as -15m, -1.5h, 2h ago or last hour, a time of today such as 09:30, "
    "yesterday 17:00, last friday noon; zones as an offset (+01:00) or by place (Europe/Berlin)"
)
_UNITS_NS = {
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": NS_PER_MIN,
    "h": NS_PER_H,
    "d": NS_PER_DAY,
    "w": 7 * NS_PER_DAY,
}
_UNIT_WORDS = {
    "sec": "s", "second": "s", "min": "m", "minute": "m", "hr": "h", "hour": "h", "day": "d",
    "week": "w", "millisecond": "ms",
}  # fmt: skip
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip

_NUMBER = re.compile(r"\d{1,19}(?:\.\d{1,9})?", re.ASCII)
_SPAN = (
    r"(?:\d{1,12}(?:\.\d{1,9})?\s*(?:ms|[smhdw]))(?:\s*\d{1,12}(?:\.\d{1,9})?\s*(?:ms|[smhdw]))*"
)
_RELATIVE = re.compile(rf"(?:now)?\s*([+\- ])\s*({_SPAN})(?:/([smhdw]))?", re.ASCII)
_AGO = re.compile(rf"({_SPAN})\s*ago", re.ASCII)
_ROUNDED = re.compile(r"now/([smhdw])", re.ASCII)
_PART = re.compile(r"(\d+)(?:\.(\d+))?\s*(ms|[smhdw])", re.ASCII)
_UNIT_WORD = re.compile(rf"(?<![a-z])({'|'.join(_UNIT_WORDS)})s?\b", re.ASCII)
# Words and other languages' spellings of forms that are read below, rewritten in this order.
_SPELLINGS = tuple(
    (re.compile(pattern, re.ASCII), plain)
    for pattern, plain in (
        (r"now\(\)", "now"),
        (r"^ago\(([^()]+)\)$", r"\1 ago"),  # Kusto
        (r"^-?p((?:\d+[wd])?)(?:t((?:\d+[hms])+))?$", r"-\1\2"),  # ISO 8601, also as Azure's range
        # Azure's portal; only half a day tells that the month is first
        (r"^(\d\d?)/(\d\d?)/(\d{4}),? (?=[\d:.]+ ?[ap]\.?m)", r"\3-\1-\2 "),
        (r"^half an hour ", "30m "),
        (r"^an? (?=[a-z]+ ago$)", "1 "),
        (r"^(?:the )?(?:last|past) (\d.*)$", r"\1 ago"),
        (r"^(?:the )?(?:last|past) (minute|hour|week)$", r"1 \1 ago"),
        (r"\bnoon\b", "12:00"),
        (r"\bmidnight\b", "00:00"),
        (r"(?<=.)\[[a-z_/+\-0-9]+\]$", ""),  # Java names the zone beside its offset
        (r"^\[(.+)\]$", r"\1"),  # access logs
        (r"^@(?=\d+$)", ""),  # date(1)
    )
)
_MINUS_SIGNS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"))
# Grafana's months; every other unit is the same in both cases.
_MONTHS_UNIT = re.compile(r"(?:^|[-+\s])\d+\s*M\b")

_WEEKDAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_MONTH = rf"({'|'.join(_MONTHS)})[a-z]{{0,6}}\.?"
_CLOCK = re.compile(
    r"(\d{1,2})(?::?(\d\d)(?::?(\d\d)(?:[.,](\d{1,12}))?)?)?\s?([ap])?\.?(?:m\.?)?", re.ASCII
)
_ZONE = re.compile(
    r"(?:(z|utc|gmt)|(?:utc|gmt)?([+\- ])(\d\d?)(?::?(\d\d))?|([a-z]+(?:/[a-z_+\-0-9]+)+))$",
    re.ASCII,
)
_DAY_FORMS = (
    ("ymd", re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d)", re.ASCII)),
    ("compact", re.compile(r"((?:19|20)\d\d)(\d\d)(\d\d)(?=t|$|\s)", re.ASCII)),
    ("dmy", re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?!\d)", re.ASCII)),
    (
        "day month",
        re.compile(rf"(\d{{1,2}})[\s\-/]{_MONTH}(?:[\s\-/,]+(\d{{4}}))?(?!\d)", re.ASCII),
    ),
    ("month day", re.compile(rf"{_MONTH}\s+(\d{{1,2}})(?:,?\s+(\d{{4}}))?(?![\d:])", re.ASCII)),
    ("word", re.compile(rf"(?:last\s+)?(today|yesterday|{_WEEKDAY})\b", re.ASCII)),
)
_CTIME = re.compile(
    rf"{_WEEKDAY}\s+({_MONTH}\s+\d{{1,2}})\s+(\d\d:\d\d:\d\d)(?:\s+[a-z]{{3,4}})?\s+(\d{{4}})",
    re.ASCII,
)
_PREFIX = re.compile(rf"{_WEEKDAY},?\s+(?=[\da-z])", re.ASCII)
_BETWEEN = re.compile(r"\s*(?:[t,:]\s*|\s+(?:at\s+)?)(?=\d)", re.ASCII)


def parse_timestamp(text: str, *, name: str, now_ns: int, latest_ns: int | None = None) -> int:
    """
    Read one moment; *name* is the parameter that the error names.

    A bare number is told apart by its size: below 1e11 seconds, below 1e14 milliseconds, below
    1e17 microseconds, else nanoseconds. A time without a day is today's, or yesterday's where that
    is after *latest_ns* (now); a day of the week is the last one, today included.

    Raises:
        BadQuestion: none of the forms, or outside 1970 to 2262. Never retried.
    """
    cleaned = text.translate(_MINUS_SIGNS).strip(" \t\"'") if len(text) <= _MAX_TEXT else ""
    # The sign of a relative time may have been a `+`, decoded to a space and stripped: not a form.
    latest_ns = now_ns if latest_ns is None else latest_ns
    is_form = not _MONTHS_UNIT.search(cleaned)
    moment = _read_any(_plain(cleaned), now_ns, latest_ns) if is_form else None
    if moment is None:
        msg = f"{name}: {_shorten(text)} is not a moment"
        raise BadQuestion(msg, hint=_FORMS)
    if not 0 <= moment <= _MAX_NS:
        msg = f"{name}: {_shorten(text)} is outside the years 1970 to 2262"
        raise BadQuestion(msg, hint=_FORMS)
    return moment


def _plain(text: str) -> str:
    plain = text.lower()
    for pattern, form in _SPELLINGS:
        plain = pattern.sub(form, plain)
    return plain


def _read_any(text: str, now_ns: int, latest_ns: int) -> int | None:
    if text == "now":
        return now_ns
    # Eight digits that are a day are no second of 1970.
    if _NUMBER.fullmatch(text) and not (len(text) == 8 and _read_day(text, now_ns)):
        return _read_number(text)
    relative = _read_relative(text, now_ns)
    if relative is not None:
        return relative
    try:
        return _read_civil(text, now_ns, latest_ns)
    except (ValueError, OverflowError, KeyError):  # KeyError: no such zone
        return None


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


def _read_relative(text: str, now_ns: int) -> int | None:
    """Read `-15m`, `now-1d12h`, `-1.5h`, `2 hours ago`; `/d` goes back to the start of the day."""
    plain = _UNIT_WORD.sub(lambda match: _UNIT_WORDS[match[1]], text)
    if match := _ROUNDED.fullmatch(plain):
        return _round_down(now_ns, match[1])
    if match := _AGO.fullmatch(plain):
        return now_ns - _add_up(match[1])
    if match := _RELATIVE.fullmatch(plain):
        sign, parts, rounding = match.groups()
        moment = now_ns - _add_up(parts) if sign == "-" else now_ns + _add_up(parts)
        return _round_down(moment, rounding) if rounding else moment
    return None


def _add_up(parts: str) -> int:
    total = 0
    for whole, fraction, unit in _PART.findall(parts):
        scale = _UNITS_NS[unit]
        total += int(whole) * scale + int(f"{fraction:0<9}") * scale // 10**9
    return total


def _round_down(moment_ns: int, unit: str) -> int:
    if unit == "w":  # weeks begin on Monday; 1970 began on a Thursday
        shift_ns = 3 * NS_PER_DAY
        return (moment_ns + shift_ns) // (7 * NS_PER_DAY) * 7 * NS_PER_DAY - shift_ns
    return moment_ns // _UNITS_NS[unit] * _UNITS_NS[unit]


def _read_civil(text: str, now_ns: int, latest_ns: int) -> int | None:
    """Read a day, a time of day or both, with or without a zone."""
    if match := _CTIME.fullmatch(text):
        text = f"{match[1]} {match[4]} {match[3]}"
    found = _read_day(text, now_ns)
    if found is None:
        return _read_clock_first(text, now_ns, latest_ns)
    day, rest = found
    if not rest:
        return _moment(day, 0, 0, UTC)
    between = _BETWEEN.match(rest)
    return _read_clock(rest[between.end() :], day) if between else _read_zone_of_day(rest, day)


def _read_zone_of_day(rest: str, day: date) -> int | None:
    zone = _find_zone(rest)
    return None if zone is None or rest[: zone[0]].strip() else _moment(day, 0, 0, zone[1])


def _read_clock_first(text: str, now_ns: int, latest_ns: int) -> int | None:
    """Read `09:30`, and `09:30 yesterday`."""
    clock, _, after = text.partition(" ")
    found = _read_day(after, now_ns) if after else None
    if found is not None and not found[1]:
        return _read_clock(clock, found[0])
    if not re.match(r"\d{1,2}(:\d\d|\s?[ap]\.?m)", text, re.ASCII):
        return None
    today = _today(now_ns)
    moment = _read_clock(text, today)
    if moment is not None and moment > latest_ns:
        moment = _read_clock(text, today - timedelta(days=1))
    return moment


def _read_day(text: str, now_ns: int) -> tuple[date, str] | None:
    """Return the day that *text* begins with, and what follows it."""
    for form, pattern in _DAY_FORMS:
        prefix = _PREFIX.match(text)
        start = prefix.end() if prefix and form != "word" else 0
        match = pattern.match(text, start)
        if match:
            try:
                return _day_of(form, match, now_ns), text[match.end() :]
            except ValueError:
                return None
    return None


def _day_of(form: str, match: "re.Match[str]", now_ns: int) -> date:
    parts = match.groups()
    if form == "ymd":
        return date(int(parts[0]), int(parts[2]), int(parts[3]))
    if form == "compact":
        return date(*map(int, parts))
    if form == "dmy":
        return date(int(parts[2]), int(parts[1]), int(parts[0]))
    if form == "word":
        return _day_of_word(parts[0], now_ns)
    day, month = parts[:2] if form == "day month" else parts[1::-1]
    return _day_of_year(int(day), _MONTHS.index(month) + 1, parts[2], now_ns)


def _day_of_word(word: str, now_ns: int) -> date:
    today = _today(now_ns)
    if word == "today":
        return today
    back = 1 if word == "yesterday" else (today.weekday() - _DAYS.index(word[:3])) % 7
    return today - timedelta(days=back)


def _day_of_year(day: int, month: int, year: str | None, now_ns: int) -> date:
    """Return a day that may lack its year: then it is the last one, as in a line of syslog."""
    if year:
        return date(int(year), month, day)
    today = _today(now_ns)
    found = date(today.year, month, day)
    return found if found <= today + timedelta(days=1) else date(today.year - 1, month, day)


def _today(now_ns: int) -> date:
    return (_EPOCH + timedelta(seconds=now_ns // NS_PER_S)).date()


def _read_clock(text: str, day: date) -> int | None:
    zone = _find_zone(text)
    clock = text[: zone[0]].rstrip() if zone else text
    match = _CLOCK.fullmatch(clock)
    if match is None or not (match[2] or match[5]):
        return None
    hour, minute, second = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    if match[5]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (match[5] == "p")
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and minute + second):
        return None
    seconds = hour * 3600 + minute * 60 + second
    return _moment(day, seconds, int(f"{(match[4] or '')[:9]:0<9}"), zone[1] if zone else UTC)


def _find_zone(text: str) -> tuple[int, tzinfo] | None:
    """Return where a zone at the end of *text* begins, and the zone."""
    match = _ZONE.search(text)
    if match is None:
        return None
    if match[5]:
        name = "/".join(part.title() for part in match[5].split("/"))
        return match.start(), ZoneInfo(name)
    offset = timedelta()
    if match[2]:
        hours, minutes = int(match[3]), int(match[4] or 0)
        if hours > 23 or minutes > 59:
            raise ValueError("no such offset")
        offset = timedelta(hours=hours, minutes=minutes) * (-1 if match[2] == "-" else 1)
    return match.start(), timezone(offset)


def _moment(day: date, seconds: int, fraction_ns: int, zone: tzinfo) -> int:
    # A zone's offset is that of the time on its clock; the leap second is the one after.
    local = datetime(day.year, day.month, day.day) + timedelta(seconds=seconds)
    offset = local.replace(tzinfo=zone).utcoffset() or timedelta()
    elapsed = local.replace(tzinfo=UTC) - offset - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * NS_PER_S + fraction_ns


def _shorten(text: str) -> str:
    return repr(text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…")
