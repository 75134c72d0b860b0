"""
Text for a terminal: escaped, measured in cells, coloured only when asked.

Everything that came from a sender passes `clean` before it is printed: a span name must not be able
to move the cursor, recolour the screen or reverse the reading direction.
"""

import json
import os
import re
import sys
from dataclasses import dataclass

import wcwidth

from collector.printable import printable

_STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


@dataclass(frozen=True, slots=True)
class Ink:
    """What the terminal can show: colour escapes, and characters beyond ASCII."""

    is_coloured: bool = False
    is_unicode: bool = True

    @classmethod
    def of_terminal(cls) -> "Ink":
        """
        Return what stdout can show.

        Colour is for people: not in pipes, not where NO_COLOR (no-color.org) asks for none.
        """
        is_coloured = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        is_unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
        return cls(is_coloured and not os.environ.get("NO_COLOR"), is_unicode)

    def paint(self, text: str, *styles: str) -> str:
        if not self.is_coloured or not text or not styles:
            return text
        codes = ";".join(_STYLES[style] for style in styles if style)
        return f"\x1b[{codes}m{text}\x1b[0m" if codes else text

    def pick(self, fine: str, plain: str) -> str:
        """Return *fine* where the terminal can draw it, else *plain*."""
        return fine if self.is_unicode else plain

    def clean(self, value: object) -> str:
        """Return one harmless line: control, format and unassigned characters as escapes."""
        text = printable(str(value))
        return text if self.is_unicode else _BEYOND_ASCII.sub("?", text)


def write(text: str) -> None:
    """Write to stdout, with escapes for what its encoding cannot hold."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def write_json(document: object, indent: int | None = 2) -> None:
    """Write JSON to stdout; what could be obeyed by a terminal stands there as an escape."""
    text = json.dumps(document, indent=indent, ensure_ascii=not Ink.of_terminal().is_unicode)
    write("\n".join(printable(line, in_json=True) for line in text.split("\n")) + "\n")


def count_cells(text: str) -> int:
    """Return how many terminal cells *text* takes; it must be clean and uncoloured."""
    return len(text) if text.isascii() else max(wcwidth.wcswidth(text), 0)


def fit(text: str, cells: int, *, ellipsis: str = "…") -> str:
    """Cut or pad *text* to exactly *cells* cells."""
    size = count_cells(text)
    if size > cells:
        kept = wcwidth.clip(text, 0, max(cells - len(ellipsis), 0)).rstrip()
        text = (kept + ellipsis)[:cells] if len(ellipsis) > cells else kept + ellipsis
        size = count_cells(text)
    return text + " " * (cells - size)


def wrap(text: str, cells: int) -> list[str]:
    """Break *text* at spaces into lines of at most *cells* cells; long words are cut hard."""
    if count_cells(text) <= cells:
        return [text]
    return wcwidth.wrap(text, max(cells, 1), break_on_hyphens=False) or [""]
