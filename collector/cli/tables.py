"""
Tables of a terminal: columns as wide as what stands in them, cut where the line ends.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collector.cli.ink import Ink, count_cells, fit

Row = Mapping[str, Any]
_GAP = "  "
_NARROWEST = 8
_READABLE = 16


@dataclass(frozen=True, slots=True)
class Column:
    """
    One column: its title, what stands in it, and how.

    A text column gives way where the line is too short; a number never does, nor what *is_whole*
    because people copy it. On a narrow terminal columns are left out, those with the highest
    *spare* first; 0 always stays. *style* paints a cell by its row.
    """

    title: str
    text: Callable[[Row], str]
    is_number: bool = False
    style: Callable[[Row], str] = lambda _: ""
    spare: int = 0
    is_whole: bool = False

    @property
    def is_cut(self) -> bool:
        return not (self.is_number or self.is_whole)


def text(
    title: str,
    name: str,
    style: Callable[[Row], str] = lambda _: "",
    spare: int = 0,
    *,
    is_whole: bool = False,
) -> Column:
    """Return a column of what the row has under *name*."""
    return Column(
        title, lambda row: _said(row.get(name)), style=style, spare=spare, is_whole=is_whole
    )


def number(
    title: str,
    name: str,
    form: Callable[[float], str] = "{:,.0f}".format,
    style: Callable[[Row], str] = lambda _: "",
    spare: int = 0,
) -> Column:
    """Return a column of numbers; one that is not known stays empty."""

    def write(row: Row) -> str:
        value = row.get(name)
        return form(value) if isinstance(value, int | float) else ""

    return Column(title, write, is_number=True, style=style, spare=spare)


def duration(title: str, name: str, spare: int = 0) -> Column:
    """Return a column of durations in ms."""
    return number(title, name, format_ms, spare=spare)


def share(
    title: str, name: str, style: Callable[[Row], str] = lambda _: "", spare: int = 0
) -> Column:
    """Return a column of shares, 0 to 1, as percentages."""
    return number(title, name, "{:.1%}".format, style, spare)


def signed(title: str, name: str, spare: int = 0) -> Column:
    """Return a column of differences in milliseconds, the longer ones with a plus."""
    return number(
        title, name, lambda value: f"{'+' if value > 0 else ''}{format_ms(value)}", spare=spare
    )


def format_bytes(value: float) -> str:
    """Write a size so that it can be compared at a glance: 512 B, 61.4 GB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} PB"


def format_ms(value: float) -> str:
    """Write milliseconds so that the size shows: 0.25, 12.3, 1,520."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 1 else f"{value:.2g}"


def draw_table(
    columns: Sequence[Column], rows: Sequence[Row], ink: Ink, width: int
) -> Iterator[str]:
    """
    Yield the titles and one line a row.

    Columns in which nothing stands are left out, and on a narrow terminal those that are spare.
    """
    cells = [[ink.clean(column.text(row)) for column in columns] for row in rows]
    widths = {
        at: max(count_cells(column.title), *(count_cells(line[at]) for line in cells))
        for at, column in enumerate(columns)
        if any(line[at] for line in cells)
    }
    used = _choose(widths, columns, width)
    shown = [columns[at] for at in used]
    sizes = [widths[at] for at in used]
    _shrink(sizes, shown, width)
    yield ink.paint(_line([c.title for c in shown], shown, sizes, ink), "dim")
    for row, line in zip(rows, cells, strict=True):
        texts = [line[at] for at in used]
        yield _line(texts, shown, sizes, ink, [column.style(row) for column in shown])


def _choose(widths: Mapping[int, int], columns: Sequence[Column], width: int) -> list[int]:
    """Return the columns that fit, where no text is cut below what can still be read."""
    used = list(widths)

    def needed() -> int:
        least = (min(widths[at], _READABLE) if columns[at].is_cut else widths[at] for at in used)
        return sum(least) + len(_GAP) * (len(used) - 1)

    while needed() > width:
        spare = max(used, key=lambda at: (columns[at].spare, at))
        if not columns[spare].spare:
            break
        used.remove(spare)
    return used


def _shrink(sizes: list[int], columns: Sequence[Column], width: int) -> None:
    """Take from the widest text column, cell by cell, what the line has not."""
    texts = [at for at, column in enumerate(columns) if column.is_cut]
    excess = sum(sizes) + len(_GAP) * (len(sizes) - 1) - width
    while excess > 0 and texts:
        widest = max(texts, key=lambda at: sizes[at])
        if sizes[widest] <= _NARROWEST:
            return
        sizes[widest] -= 1
        excess -= 1


def _line(
    texts: Sequence[str],
    columns: Sequence[Column],
    sizes: Sequence[int],
    ink: Ink,
    styles: Sequence[str] = (),
) -> str:
    parts = []
    for at, (each, column, size) in enumerate(zip(texts, columns, sizes, strict=True)):
        padded = (
            each.rjust(size) if column.is_number else fit(each, size, ellipsis=ink.pick("…", "."))
        )
        parts.append(ink.paint(padded, styles[at]) if styles and styles[at] else padded)
    return _GAP.join(parts).rstrip()


def _said(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
