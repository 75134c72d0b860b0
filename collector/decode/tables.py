"""
Tables with a header line: what portals and query consoles save, as CSV, or with tabs or semicolons.

In: a body, and whether the columns of a header are of interest. Out: one object a line. A portal
writes dates as its user's country does, 3/4 or 4/3: which comes first is told by the dates of the
table that can be only one of them, and is open where there is none.

Source: RFC 4180; Azure portal (a column of times is called `TimeGenerated [UTC]`), CloudWatch Logs
Insights, BigQuery and Kibana exports.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from collector.decode.bodies import Entries
from collector.model import RecordError

_BOM = "\ufeff"
_DELIMITERS = ",\t;"
_LONGEST_HEADER = 16_384
_MOST_COLUMNS = 512
_NAME = re.compile(r"[A-Za-z_@$][\w.@$:()/ \[\]-]{0,127}", re.ASCII)
_ZONE = " [UTC]"
_DATE = re.compile(r"(?<![\w/.])(\d{1,2})/(\d{1,2})(?=/\d{4},? \d{1,2}:\d\d)", re.ASCII)
_MONTHS = 12


def split_table(body: bytes, is_known: Callable[[Mapping[str, Any]], bool]) -> Sequence[Any] | None:
    """
    Return the lines of a table as objects, `None` when *body* is none.

    *is_known* is asked whether the columns, as the keys of an object, are what is looked for. A
    line that does not fit the header is a `RecordError` at its place.
    """
    first = body[:_LONGEST_HEADER].lstrip().partition(b"\n")[0]
    if not first or first[:1] in b"{[<" or not any(each in first for each in b",\t;"):
        return None
    header = first.decode(errors="replace").removeprefix(_BOM).strip("\r")
    delimiter = max(_DELIMITERS, key=header.count)
    names = [name.strip().removesuffix(_ZONE) for name in _first_line(header, delimiter)]
    is_header = (
        len(names) <= _MOST_COLUMNS
        and len(set(names)) == len(names)
        and all(map(_NAME.fullmatch, names))
    )
    if not is_header or not is_known(dict.fromkeys(names)):
        return None
    text = body.decode(errors="replace").removeprefix(_BOM).lstrip()
    if _date_order(text) == "day":
        text = _DATE.sub(r"\2/\1", text)
    return Entries(partial(_read_lines, text, delimiter, names))


def has_open_dates(body: bytes) -> bool:
    """Tell whether a table has dates of which nothing tells if the month or the day comes first."""
    return _date_order(body.decode(errors="replace")) == "open"


def _date_order(text: str) -> str:
    """Return what comes first in dates like 3/4/2026: `month`, `day`, or `open`; "" for none."""
    order = ""
    for first, second in _DATE.findall(text):
        if int(first) > _MONTHS >= int(second):
            return "day"
        if int(second) > _MONTHS:
            order = "month"
        elif first != second and not order:
            order = "open"
    return order


def _first_line(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader((text,), delimiter=delimiter), [])
    except csv.Error:
        return []


def _read_lines(text: str, delimiter: str, names: Sequence[str]) -> Iterator[Any]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    index = -1
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            # it went on to the next line
            yield RecordError(max(index, 0), f"no line of the table: {exc}")
            index += 1
            continue
        if not values:
            continue
        index += 1
        if index == 0:  # the header
            continue
        if len(values) != len(names):
            reason = f"has {len(values)} columns, the header {len(names)}"
            yield RecordError(index - 1, reason)
        else:
            yield dict(zip(names, values, strict=True))
