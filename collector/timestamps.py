"""
Moments and durations as text: nanoseconds inside, RFC 3339, milliseconds and words outside.

May import: nothing. Never: a clock.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NS_PER_MIN = 60 * NS_PER_S
NS_PER_H = 3600 * NS_PER_S
NS_PER_DAY = 86_400 * NS_PER_S
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_timestamp(moment_ns: int) -> str:
    """Write RFC 3339 in UTC with nine digits."""
    seconds, fraction = divmod(moment_ns, NS_PER_S)
    return f"{_format_second(seconds)}.{fraction:09d}Z"


def to_ms(duration_ns: int) -> float:
    """
    Return milliseconds.

    The quotient is correctly rounded, so the shortest decimal of the float is the exact number of
    nanoseconds for every duration below 49 days (2^32 ms, where a float's step is a nanosecond).
    """
    return duration_ns / NS_PER_MS


def format_duration(duration_ns: int) -> str:
    """Write a duration for people: the unit that leaves one to three digits before the point."""
    size = abs(duration_ns)
    if size == 0:
        return "0 ms"
    if size < 1_000:
        return f"{duration_ns} ns"
    if size < 999_950:
        return f"{duration_ns / 1_000:.4g} µs"
    if size < 999_500_000:
        return f"{_significant(duration_ns / NS_PER_MS)} ms"
    if size < 2 * NS_PER_MIN:
        return f"{_significant(duration_ns / NS_PER_S)} s"
    if size < 2 * NS_PER_H:
        return f"{_significant(duration_ns / NS_PER_MIN)} min"
    if size < 2 * NS_PER_DAY:
        return f"{_significant(duration_ns / NS_PER_H)} h"
    return f"{_significant(duration_ns / NS_PER_DAY)} d"


@lru_cache(maxsize=4096)
def _format_second(seconds: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    except OverflowError:
        return "9999-12-31T23:59:59"


def _significant(value: float) -> str:
    """Return at most four significant digits, at least one after the point below 100."""
    size = abs(value)
    if size < 10:
        return f"{value:.2f}"
    if size < 100:
        return f"{value:.1f}"
    return f"{value:.0f}"
