"""Moments: every way to write one, and nothing else."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import BadQuestion
from collector.query.search.filters import parse_range
from collector.query.timestamps import parse_timestamp
from collector.timestamps import format_duration, format_timestamp, to_ms

NOW = 1_772_357_400_000_000_000  # 2026-03-01T09:30:00Z
NOON = 1_772_366_400_000_000_000  # 2026-03-01T12:00:00Z
MINUTE = 60_000_000_000


def parse(text: str) -> int:
    return parse_timestamp(text, name="start", now_ns=NOW)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01t12:00:00z",
        "2026-03-01 12:00:00",
        "2026-03-01T12:00Z",
        "3/1/2026, 12:00:00.000 PM",
        "03/01/2026 12:00 pm",
        "2026-03-01T14:00:00+02:00",
        "2026-03-01T14:00:00 02:00",  # a `+` that was not encoded
        "2026-03-01T06:30:00-0530",
        "2026-03-01T12:00:00.000000000Z",
        "2026-03-01T12:00:00,0Z",
        "1772366400",
        "1772366400.0",
        "1772366400000",
        "1772366400000000",
        "1772366400000000000",
        "now+150m",
        "now+2h30m",
        ' "2026-03-01T12:00:00Z" ',
        "12:00",
        "12:00:00",
        "12:00Z",
        "14:00+02:00",
        "14:00 +02",
        "12pm",
        "12:00 PM",
        "today 12:00",
        "today at 12:00",
        "12:00 today",
        "sunday 12:00",
        "Sun, 01 Mar 2026 12:00:00 GMT",
        "Sun Mar  1 12:00:00 2026",
        "Sun Mar  1 12:00:00 UTC 2026",
        "01/Mar/2026:12:00:00 +0000",
        "1 Mar 2026 12:00",
        "March 1, 2026 12:00 PM",
        "Mar 1 12:00:00",
        "01.03.2026 12:00",
        "2026/03/01 12:00",
        "20260301T120000Z",
        "20260301T1200Z",
        "2026-03-01 13:00 Europe/Berlin",
        "2026-03-01 07:00:00.000 America/New_York",
        "2026-3-1 12:00",
        "noon",
        "today noon",
        "Sunday at noon",
        "[01/Mar/2026:12:00:00 +0000]",
        "2026-03-01T12:00:00Z[UTC]",
        "2026-03-01T13:00+01:00[Europe/Berlin]",
        "@1772366400",
        "now()+150m",
    ],
)
def test_every_way_to_write_noon(text: str) -> None:
    """RFC 3339 with any offset, Unix time in four units and relative times name one moment."""
    assert parse_timestamp(text, name="end", now_ns=NOW, latest_ns=NOON) == NOON


def test_relative_times_count_from_now() -> None:
    """`-15m` and its longer forms are before now, `now` is now."""
    assert parse("now") == NOW
    assert parse("-15m") == NOW - 15 * MINUTE
    assert parse("now-15m") == NOW - 15 * MINUTE
    assert parse("-1d12h") == NOW - 36 * 60 * MINUTE
    assert parse("-500ms") == NOW - 500_000_000
    assert parse("-1.5h") == parse("now-1.5h") == parse("1.5h ago") == NOW - 90 * MINUTE
    assert parse("2h ago") == parse("2 hours ago") == parse("120 min ago") == NOW - 120 * MINUTE
    assert parse("-1 day 12 hours") == NOW - 36 * 60 * MINUTE
    assert parse("now/d") == parse("today")
    assert parse("now-1d/d") == parse("yesterday")
    assert parse("now/h") == NOW - 30 * MINUTE
    assert parse("now/w") == parse("monday")


@pytest.mark.parametrize(
    "text",
    ["last hour", "the past hour", "an hour ago", "last 60 minutes", "past 1h", "ago(1h)"]
    + [
        "now()-1h",
        "-PT1H",
        "PT1H",
        "-PT60M",
        "-P0DT1H",
        "\u221260m",
        "\u20131h",
        "-1H",
        "1 hr ago",
    ],
)
def test_an_hour_ago_in_words_and_other_tools_spellings(text: str) -> None:
    """English, Kusto, ISO 8601 and a minus sign of a word processor mean the same hour."""
    assert parse(text) == NOW - 60 * MINUTE


def test_longer_ago_in_words() -> None:
    """Half hours, weeks, and midnights by the day that they begin."""
    assert parse("half an hour ago") == parse("last 30 minutes") == NOW - 30 * MINUTE
    assert parse("last week") == parse("-1w") == parse("-P7D") == NOW - 7 * 24 * 60 * MINUTE
    assert parse("yesterday midnight") == parse("yesterday")
    assert parse("last friday noon") == parse("friday 12:00")


def test_days_are_named_from_now() -> None:
    """Today, yesterday and the days of the week begin at midnight, UTC, and are not ahead."""
    midnight = NOW - 570 * MINUTE
    day = 24 * 60 * MINUTE
    assert parse("today") == parse("Sunday") == parse("sun") == parse("last Sunday") == midnight
    assert parse("yesterday") == parse("saturday") == midnight - day
    assert parse("Monday") == parse("mon") == midnight - 6 * day
    assert parse("yesterday 17:00") == parse("17:00 yesterday") == midnight - 7 * 60 * MINUTE
    assert parse("fri 09:30") == NOW - 2 * day
    assert parse("20260301") == parse("2026-03-01") == parse("1.3.2026") == midnight


def test_a_time_alone_is_near() -> None:
    """The last one before the latest it may be, which is now: at half past nine 23:50 has been."""
    day = 24 * 60 * MINUTE
    assert parse("09:30") == parse("9:30am") == NOW
    assert parse("09:29") == NOW - MINUTE
    assert parse("09:31") == NOW + MINUTE - day
    assert parse("23:50") == NOW + 860 * MINUTE - day
    assert parse("09:29:15.25") == NOW - 45 * 1_000_000_000 + 250_000_000
    noon = parse_timestamp("12:00", name="end", now_ns=NOW, latest_ns=NOW + day // 2)
    assert noon == NOW + 150 * MINUTE


@pytest.mark.parametrize(
    ("start", "end", "from_minutes", "to_minutes"),
    [
        ("09:00", "", -30, 0),
        ("10:00", "", 30 - 1440, 0),
        ("09:00", "12:00", -30, 150),
        ("23:00", "10:00", 810 - 1440, 30),
        ("23:00", "01:00", 810 - 1440, -510),
    ],
)
def test_a_range_of_times_ends_nearby_and_begins_before_that(
    start: str, end: str, from_minutes: int, to_minutes: int
) -> None:
    """A shift that is not over yet, last night's, and the morning asked for after midnight."""
    words = {"start": start} | ({"end": end} if end else {})
    assert parse_range(words, NOW) == (NOW + from_minutes * MINUTE, NOW + to_minutes * MINUTE)


def test_a_day_without_a_year_has_been() -> None:
    """A day without a year is of the last one that is not ahead."""
    assert parse("Dec 31 23:59:00") == parse("2025-12-31T23:59:00Z")


def test_nine_digits_are_kept_and_more_are_cut() -> None:
    """Nanoseconds survive; what is finer is dropped, not rounded up."""
    assert parse("2026-03-01T12:00:00.123456789Z") == NOON + 123_456_789
    assert parse("2026-03-01T12:00:00.1234567899Z") == NOON + 123_456_789
    assert parse("1772366400.5") == NOON + 500_000_000


def test_a_leap_second_is_the_second_after() -> None:
    """23:59:60 is what follows 23:59:59."""
    assert parse("2016-12-31T23:59:60Z") == parse("2017-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "someday",
        "01/02/2026",
        "3/1/2026 12:00",
        "25:00",
        "13pm",
        "09:61",
        "2026-03-01 12:00 Europe/Nowhere",
        "2026-03-01 12:00 CET",
        "yesterday yesterday",
        "2026-13-01T00:00:00Z",
        "2026-02-30",
        "2026-03-01T25:00:00Z",
        "2026-03-01T12:00:00+99:00",
        "15m",
        "-1M",
        "now-3M",
        "last month",
        "last",
        "ago()",
        "3M ago",
        "-P3M",
        "-P",
        "noonish",
        "[]",
        "-15",
        "-15y",
        "1e18",
        "-1772366400",
        "１７７２３６６４００",
        "9" * 20,
        "9" * 400,
        "9999-12-31T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "-9999999w",
        "2026-03-01T12:00:00Z\x00",
    ],
)
def test_other_text_is_refused_by_name(text: str) -> None:
    """What is no moment, or outside 1970 to 2262, gives an error naming the parameter."""
    with pytest.raises(BadQuestion, match=r"^start: ") as caught:
        parse(text)
    assert "RFC 3339" in caught.value.hint


@given(st.text(max_size=80))
def test_any_text_is_a_moment_or_a_bad_question(text: str) -> None:
    """No text makes the parser fail in any other way."""
    try:
        assert 0 <= parse(text) <= 9_223_372_036_000_000_000
    except BadQuestion as error:
        assert error.message.startswith("start: ")


@given(st.integers(0, 9_223_372_035 * 10**9))
def test_what_is_written_reads_back(moment_ns: int) -> None:
    """RFC 3339 with nine digits is exact for every nanosecond of the range."""
    text = format_timestamp(moment_ns)
    assert parse(text) == moment_ns
    seconds = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment_ns // 10**9)
    assert text.startswith(seconds.strftime("%Y-%m-%dT%H:%M:%S."))


@given(st.integers(0, 49 * 86_400 * 10**9))
def test_milliseconds_are_exact(duration_ns: int) -> None:
    """The shortest decimal of the float is the number of nanoseconds, for 49 days."""
    assert Decimal(repr(to_ms(duration_ns))) * 10**6 == duration_ns


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0 ms"),
        (999, "999 ns"),
        (1_500, "1.5 µs"),
        (12_340_000, "12.3 ms"),
        (999_000_000, "999 ms"),
        (1_520_000_000, "1.52 s"),
        (300_000_000_000, "5.00 min"),
        (3 * 3_600_000_000_000, "3.00 h"),
        (30 * 86_400_000_000_000, "30.0 d"),
        (-2_000_000, "-2.00 ms"),
    ],
)
def test_durations_for_people(duration_ns: int, text: str) -> None:
    """The unit follows the size."""
    assert format_duration(duration_ns) == text
