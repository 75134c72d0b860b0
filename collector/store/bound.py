"""
Lists as bound parameters, written out as the engine reads an array.

The driver looks at each character of each text: 500 trace ids took it as long as the engine took to
find their spans. Whatever is no list it writes itself.

Source: clickhouse-connect's `format_bind_value`, whose text this is to the letter.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

# What Python writes in another way than the engine reads it, and the last comma of one alone.
_UNLIKE = re.compile(r"""[\\"`<]|,\)""")
_ESCAPES = str.maketrans({each: f"\\{each}" for each in "\\'`\t\n"})


class _Array:
    """An array as text. The driver binds what it does not know as its `str`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


def bind_lists(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return *parameters* with every list of texts, numbers or tuples of them written out."""
    return {
        name: _Array(_write(value)) if isinstance(value, list) else value
        for name, value in parameters.items()
    }


def _write(values: list[Any]) -> str:
    # most texts are ids, and have nothing to escape
    written = repr(values)
    return f"[{_items(values)}]" if _UNLIKE.search(written) else written


def _items(values: Iterable[Any]) -> str:
    return ", ".join([_item(each) for each in values])


def _item(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value.translate(_ESCAPES)}'"
    return f"({_items(value)})" if isinstance(value, tuple) else str(value)
