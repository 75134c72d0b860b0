"""Moments in every notation gateways use, and how exactly each is known."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.decode.timestamps import Timestamp, _seconds, parse_timestamp

S, MS, US = 10**9, 10**6, 10**3
NOON = 1_767_268_800  # 2026-01-01T12:00:00Z


@pytest.mark.parametrize(
    ("written", "ns", "resolution_ns"),
    [
        ("2026-01-01T12:00:00Z", NOON * S, S),
        ("2026-01-01T12:00:00.5Z", NOON * S + 500 * MS, 100 * MS),
        ("2026-01-01T12:00:00.123Z", NOON * S + 123 * MS, MS),
        ("2026-01-01T12:00:00.1234567Z", NOON * S + 123_456_700, 100),
        ("2026-01-01T12:00:00.123456789Z", NOON * S + 123_456_789, 1),
        ("2026-01-01T12:00:00.123456789012Z", NOON * S + 123_456_789, 1),
        ("2026-01-01 12:00:00", NOON * S, S),
        ("2026-01-01 12:00:00 UTC", NOON * S, S),
        ("2026-01-01t14:00:00+02:00", NOON * S, S),
        ("2026-01-01T06:30:00-0530", NOON * S, S),
        ("2026-01-01 14:00:00.250+02", NOON * S + 250 * MS, MS),
        ("2026-01-01T04:00:00-08", NOON * S, S),
        ("01/Jan/2026:12:00:00 +0000", NOON * S, S),
        ("01/Jan/2026:14:00:00 +0200", NOON * S, S),
        ("01/Jan/2026:12:00:00.250", NOON * S + 250 * MS, MS),
        ("2026/01/01 12:00:00", NOON * S, S),
        ("2026/01/01 - 14:00:00 +0200", NOON * S, S),
        (f"2026/01/01T12:00:00Z {NOON}", NOON * S, S),
        ("2026/01/01T12:00:00Z +0000", NOON * S, S),
        ("1/1/2026 12:00:00", NOON * S, S),
        ("01/01/2026, 12:00:00.250 PM", NOON * S + 250 * MS, MS),
        ("1/1/2026 12:00:00 PM +00:00", NOON * S, S),
        ("1/2/2026 12:00:00 am", NOON * S + 43_200 * S, S),
        ("31/12/2025 3:00:00 PM", NOON * S - 75_600 * S, S),
        ("1/1/2026 14:00:00 +02:00", NOON * S, S),
        ("01.01.2026 12:00:00", NOON * S, S),
        ("1.1.2026, 12:00:00,250", NOON * S + 250 * MS, MS),
        ("Thu, 01 Jan 2026 12:00:00 GMT", NOON * S, S),
        ("Thu, 1 Jan 2026 14:00:00 +0200", NOON * S, S),
        ("01 Jan 2026 12:00:00.250 UTC", NOON * S + 250 * MS, MS),
        ("Thu Jan  1 12:00:00 2026", NOON * S, S),
        ("Thu Jan 01 12:00:00 UTC 2026", NOON * S, S),
        ("2026-01-01T13:00:00.250+01:00[Europe/Paris]", NOON * S + 250 * MS, MS),
        ("2026-01-01T13:00:00+01", NOON * S, S),
        ("2026-01-01 12:00:00 GMT", NOON * S, S),
        ("2026-01-01 12:00:00 +00:00", NOON * S, S),
        (f"/Date({NOON}250)/", NOON * S + 250 * MS, MS),
        (f"/Date({NOON}250+0200)/", NOON * S + 250 * MS, MS),
        # .NET counts 100 ns from the year 1
        (621_355_968_000_000_000 + NOON * 10**7 + 3, NOON * S + 300, 100),
        (str(621_355_968_000_000_000 + NOON * 10**7), NOON * S, 100),
        (NOON, NOON * S, S),
        (str(NOON), NOON * S, S),
        (NOON + 0.25, NOON * S + 250 * MS, MS),
        (f"{NOON}.250", NOON * S + 250 * MS, MS),
        (NOON * 1000 + 7, NOON * S + 7 * MS, MS),
        (f"{NOON}007", NOON * S + 7 * MS, MS),
        (NOON * 10**6 + 7, NOON * S + 7 * US, US),
        (NOON * S + 7, NOON * S + 7, 1),
        ("2016-12-31T23:59:60Z", 1_483_228_800 * S, S),
        ("13/1/2026 12:00:00", (NOON + 12 * 86_400) * S, S),
        # where one unit ends and the next begins
        (10**8, 10**8 * S, S),
        (9 * 10**9, 9 * 10**9 * S, S),
        (10**11, 10**11 * MS, MS),
        (f"{10**11}", 10**11 * MS, MS),
        (f"{10**11}.5", 10**11 * MS + 500 * US, MS),
        (9 * 10**12, 9 * 10**12 * MS, MS),
        (10**14, 10**14 * US, US),
        (9 * 10**15, 9 * 10**15 * US, US),
        (10**17, 10**17, 1),
    ],
)
def test_each_notation_gives_its_moment_and_its_step(
    written: object, ns: int, resolution_ns: int
) -> None:
    """The moment is exact, and the step is that of the digits that were written."""
    assert parse_timestamp(written) == Timestamp(ns, resolution_ns)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "now",
        "2026-02-30T00:00:00Z",
        "13/13/2026 12:00:00",
        10**8 - 1,
        "1/1/2026 13:00:00 PM",
        "1/1/2026 0:00:00 AM",
        "2026-13-01T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00Q",
        "2026-01-01T00:00",
        # names of zones that mean different things in different places
        "2026-01-01 12:00:00 CET",
        "2026-01-01 12:00:00 CST",
        "Thu Jan 01 12:00:00 PST 2026",
        "Thu, 32 Jan 2026 12:00:00 GMT",
        "1.13.2026 12:00:00",
        "/Date(x)/",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "1970-01-01T00:00:00Z",
        "32/Jan/2026:12:00:00 +0000",
        "01/Foo/2026:12:00:00 +0000",
        0,
        -1,
        0.243,
        200,
        1e30,
        17_672_257_000_014,
        "9" * 400,
        True,
        None,
        [],
        {},
        "٢٠٢٦-٠١-٠١T00:00:00Z",
    ],
)
def test_what_is_no_moment_is_refused(written: object) -> None:
    """Neither words nor impossible days nor small numbers pass for a time."""
    with pytest.raises(ValueError, match="expected"):
        parse_timestamp(written)


@given(
    st.datetimes(
        min_value=datetime(1971, 1, 1), max_value=datetime(2261, 12, 31), timezones=st.just(UTC)
    )
)
def test_rfc_3339_agrees_with_the_standard_library(moment: datetime) -> None:
    """Any moment that Python can write is read back to the microsecond."""
    parsed = parse_timestamp(moment.isoformat(timespec="microseconds"))
    expected = int(moment.replace(microsecond=0).timestamp()) * S + moment.microsecond * US
    assert parsed == Timestamp(expected, US)


@pytest.mark.parametrize(
    "end",
    ["", "Z", "z", "+00:00", "-00:00", ".Z", ".1Z", ".123Z", ".123456789Z", ".1234567890Z"]
    + [".123", ",123Z", ".1 Z", ".+1Z", ".1_2Z", ".١٢Z", ".123+02:00", " UTC", "Q", "+", "."],
)
def test_a_known_second_is_read_as_a_new_one(end: str) -> None:
    """What follows a second gives the same moment or the same error when it was seen before."""
    day = 1 + sum(end.encode()) % 28
    second = f"2027-01-{day:02}T12:34:{len(end):02}"
    _seconds.pop(second, None)

    def read() -> object:
        try:
            return parse_timestamp(second + end)
        except ValueError as exc:
            return str(exc)

    first = read()
    parse_timestamp(second + "Z")
    assert read() == first
