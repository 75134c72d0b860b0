"""Tables with a header line become objects, and what only looks like one stays text."""

from collections.abc import Mapping
from typing import Any

import pytest

from collector.decode.tables import has_open_dates, split_table
from collector.model import RecordError


def _has_status(row: Mapping[str, Any]) -> bool:
    return "status" in row


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_each_line_below_a_header_is_an_object(delimiter: str) -> None:
    """The delimiter is the one that the header has most of; blank lines are nothing."""
    lines = ("path|status|note", "/a|200|", "", '/b|404|"of ""two""\nlines"')
    rows = split_table("\r\n".join(lines).replace("|", delimiter).encode(), _has_status)
    assert list(rows or ()) == [
        {"path": "/a", "status": "200", "note": ""},
        {"path": "/b", "status": "404", "note": 'of "two"\nlines'},
    ]


def test_a_header_may_have_a_byte_order_mark_quotes_and_a_zone() -> None:
    """Portals write all three; the zone of a column is no part of its name."""
    rows = split_table('\ufeff"Time [UTC]","status"\n1,200\n'.encode(), _has_status)
    assert list(rows or ()) == [{"Time": "1", "status": "200"}]


def test_a_line_of_another_width_is_refused_at_its_place() -> None:
    """It costs itself only, and says how many columns it has."""
    rows = list(split_table(b"path,status\n/a,200\n/b\n/c,201\n/d,1,2\n", _has_status) or ())
    assert rows[0] == {"path": "/a", "status": "200"}
    assert rows[1] == RecordError(1, "has 1 columns, the header 2")
    assert rows[2] == {"path": "/c", "status": "201"}
    assert rows[3] == RecordError(3, "has 3 columns, the header 2")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"status\n200\n",
        b"path,code\n/a,200\n",
        b"status,status\n1,2\n",
        b"198.51.100.7,-,status\n1,2,3\n",
        b'{"status":1,"a":2}',
        b"[1,2]",
        b"GET /a status=200, took 3\nmore, text\n",
        b'"status,x\n1,2',
    ],
)
def test_what_is_no_table_is_left_to_others(body: bytes) -> None:
    """One column, unknown names, names twice or that are none, JSON, and lines with commas."""
    assert split_table(body, _has_status) is None


def test_a_cell_that_is_too_long_costs_its_line() -> None:
    """The reader's limit is told as a refusal, and the next line is read."""
    body = b"path,status\n/" + b"a" * 200_000 + b",200\n/b,201\n"
    rows = list(split_table(body, _has_status) or ())
    assert isinstance(rows[0], RecordError)
    assert rows[-1] == {"path": "/b", "status": "201"}


@pytest.mark.parametrize(
    ("dates", "first", "is_open"),
    [
        (("3/4/2026, 9:05:00 AM", "13/4/2026, 9:06:00 AM"), "4/3/2026, 9:05:00 AM", False),
        (("03/04/2026 09:05:00", "03/14/2026 09:06:00"), "03/04/2026 09:05:00", False),
        (("03/04/2026 09:05:00", "04/04/2026 09:06:00"), "03/04/2026 09:05:00", True),
        (("04/04/2026 09:05:00", "05/05/2026 09:06:00"), "04/04/2026 09:05:00", False),
        (("2026-04-03T09:05:00Z", "2026-04-13T09:06:00Z"), "2026-04-03T09:05:00Z", False),
    ],
    ids=["day first", "month first", "open", "the same either way", "ISO"],
)
def test_the_order_of_dates_is_learned_from_the_whole_table(
    dates: tuple[str, str], first: str, is_open: bool
) -> None:
    """One date that can only be day/month says so of the others; without one the order is open."""
    body = "time,status,note\n" + "".join(f'"{each}",200,/1/2/2026\n' for each in dates)
    rows = split_table(body.encode(), _has_status)
    assert rows is not None
    assert rows[0]["time"] == first
    assert has_open_dates(body.encode()) is is_open
