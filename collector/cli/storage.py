"""What is kept, drawn for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from collector.cli.ink import Ink
from collector.cli.tables import Column, draw_table, format_bytes, number, text

Document = Mapping[str, Any]


def draw_storage(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield a table of kinds, then what other times to live would change."""
    kinds = document.get("kinds") or ()
    if not kinds:
        yield "nothing is stored yet"
        return
    columns = (
        text("KIND", "kind"),
        number("ROWS", "rows"),
        _size("BYTES", "bytes"),
        number("BYTES/ROW", "bytes_per_row", "{:,.0f}".format, spare=2),
        _size("A DAY", "bytes_per_day", spare=1),
        Column("KEPT", lambda row: _days(row["kept_days"]), is_number=True),
        _size("IN THE LONG RUN", "expected_bytes"),
        text("SETTING", "setting", spare=3),
    )
    yield from draw_table(columns, kinds, ink, width)
    yield f"all: {format_bytes(document['bytes'])}"
    for kind in kinds:
        yield from _draw_apis(kind, ink, width)
    for kind in kinds:
        yield from _draw_choices(kind, ink, width)


def _draw_apis(kind: Document, ink: Ink, width: int) -> Iterator[str]:
    if not kind["apis"]:
        return
    yield ""
    yield f"{kind['kind']} of APIs with times of their own (HOPLINE_RETENTION):"
    columns = (
        text("API", "api"),
        number("ROWS", "rows"),
        _size("ABOUT BYTES", "bytes"),
        Column("KEPT", lambda row: _days(row["kept_days"]), is_number=True),
    )
    yield from draw_table(columns, kind["apis"], ink, width)


def _draw_choices(kind: Document, ink: Ink, width: int) -> Iterator[str]:
    choices = [each for each in kind["choices"] if each["freed_bytes"] or each["expected_bytes"]]
    if not choices:
        return
    yield ""
    yield f"{kind['kind']}, kept for another time ({kind['setting']}):"
    columns = (
        Column("DAYS", lambda row: f"{row['days']}", is_number=True),
        _size("FREED AT ONCE", "freed_bytes"),
        _size("IN THE LONG RUN", "expected_bytes"),
    )
    yield from draw_table(columns, choices, ink, width)


def _size(title: str, name: str, spare: int = 0) -> Column:
    return number(title, name, format_bytes, spare=spare)


def _days(days: int | None) -> str:
    return "for ever" if days is None else f"{days} d"
