"""
Text for a terminal: escaped, measured in cells, coloured only when asked.

Everything that came from a sender passes `clean` before it is printed: a span name must not be able
to move the cursor, recolour the screen or reverse the reading direction.
"""

import unicodedata
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Ink:
    """What the terminal can show: colour escapes, and characters beyond ASCII."""

    is_coloured: bool = False
    is_unicode: bool = True

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
        text = str(value)
        if text.isascii() and text.isprintable():
            return text
        return "".join(self._clean_character(character) for character in text)

    def _clean_character(self, character: str) -> str:
        category = unicodedata.category(character)
        if category[0] == "C" or category in ("Zl", "Zp"):
            return escape_character(character)
        if not self.is_unicode and not character.isascii():
            return "?"
        return character


def escape_character(character: str) -> str:
    """Write a character as its code, the way Python does."""
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def count_cells(text: str) -> int:
    """Return how many terminal cells *text* takes; it must be clean and uncoloured."""
    if text.isascii():
        return len(text)
    return sum(_character_cells(character) for character in text)


def fit(text: str, cells: int, *, ellipsis: str = "…") -> str:
    """Cut or pad *text* to exactly *cells* cells."""
    size = count_cells(text)
    if size <= cells:
        return text + " " * (cells - size)
    kept, used = [], 0
    room = cells - len(ellipsis)
    for character in text:
        width = _character_cells(character)
        if used + width > room:
            break
        kept.append(character)
        used += width
    cut = "".join(kept) + ellipsis if room >= 0 else ellipsis[:cells]
    return cut + " " * (cells - count_cells(cut))


def wrap(text: str, cells: int) -> list[str]:
    """Break *text* at spaces into lines of at most *cells* cells; long words are cut hard."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        candidate = f"{line} {word}" if line else word
        if count_cells(candidate) <= cells:
            line = candidate
            continue
        if line:
            lines.append(line)
        while count_cells(word) > cells > 0:
            head = fit(word, cells, ellipsis="").rstrip() or word[0]
            lines.append(head)
            word = word[len(head) :]  # noqa: PLW2901
        line = word
    return [*lines, line] if line or not lines else lines


def _character_cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
