"""
Text that a sender chose, made harmless: what would be obeyed is shown instead.

May import: nothing. Control characters move cursors and recolour screens, bidirectional ones make a
name read as another, unassigned ones look like nothing.
"""

import unicodedata

# Joins and selects the shape of visible characters, and is part of ordinary words and signs.
_JOINERS = frozenset("\u200c\u200d")


def printable(text: str, *, in_json: bool = False) -> str:
    """
    Return *text* as one harmless line, with escapes in the place of what is not visible.

    With *in_json* the escapes are those of JSON, and the text is a line of it.
    """
    if text.isprintable():
        return text
    return "".join(
        character if _is_harmless(character) else _escape(character, in_json=in_json)
        for character in text
    )


def _is_harmless(character: str) -> bool:
    return (
        character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"
    )


def _escape(character: str, *, in_json: bool) -> str:
    code = ord(character)
    if in_json:
        units = character.encode("utf-16-be", "surrogatepass").hex()
        return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
