"""
Where a value lies in an entry: the words of a mapping file for it.

`request.method` is the member `method` of `request`, or a member whose name has the dot in it;
`tries.-1.ip` is the `ip` of the last of a list; `connect + wait` is the sum of two.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collector.decode.fields import Row, is_missing

_MOST_PARTS = 8
_INDEX = re.compile(r"-?\d{1,4}", re.ASCII)
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Place:
    """One member of an entry, however deep."""

    text: str
    parts: tuple[str, ...]

    def find(self, row: Row) -> Any:
        """Return the value that lies here, `None` when there is none."""
        value = row.get(self.text, _MISSING)
        if value is _MISSING and len(self.parts) > 1:
            value = _find(row, self.parts)
        return None if value is _MISSING else value


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that an entry has to have: a member, or a member with this value."""

    place: Place
    value: str | None = None

    def __str__(self) -> str:
        return self.place.text if self.value is None else f"{self.place.text}={self.value}"

    def holds(self, row: Row) -> bool:
        """Tell whether it is there; an empty member is, for a log has its columns in each line."""
        if self.value is None:
            return self.place.text in row or self.place.find(row) is not None
        found = self.place.find(row)
        text = str(found).lower() if found.__class__ is bool else str(found)
        return text == self.value


def parse_place(text: str) -> Place:
    """
    Read one place.

    Raises:
        ValueError: it is empty, or too deep.
    """
    parts = tuple(text.split("."))
    if not text.strip() or len(parts) > _MOST_PARTS:
        raise ValueError(
            f"{text!r} is not a path: expected up to {_MOST_PARTS} names with dots between them"
        )
    return Place(text, parts)


def parse_condition(text: str) -> Condition:
    """
    Read `place` or `place=value`.

    Raises:
        ValueError: the place is none.
    """
    name, equals, value = text.partition("=")
    return Condition(parse_place(name.strip()), value.strip() if equals else None)


def first_value(places: Sequence[Place], row: Row, *, is_map: bool = False) -> Any:
    """
    Return the first value that is not missing, `None` when all are.

    An object gives way to what a later place holds, unless a map is wanted: that is where other
    versions write a text, or the member that matters.
    """
    found = None
    for place in places:
        value = place.find(row)
        if is_missing(value):
            continue
        if value.__class__ is not dict or is_map:
            return value
        found = found or value
    return found


def _find(value: Any, parts: tuple[str, ...]) -> Any:
    """Follow *parts*, of which several together may be one name with dots in it."""
    if not parts:
        return value
    if value.__class__ is list:
        return _find_in_list(value, parts)
    if not isinstance(value, Mapping):
        return _MISSING
    for end in range(len(parts), 0, -1):
        inner = value.get(".".join(parts[:end]), _MISSING)
        if inner is not _MISSING:
            found = _find(inner, parts[end:])
            if found is not _MISSING:
                return found
    return _MISSING


def _find_in_list(value: Sequence[Any], parts: tuple[str, ...]) -> Any:
    if not _INDEX.fullmatch(parts[0]) or not -len(value) <= int(parts[0]) < len(value):
        return _MISSING
    return _find(value[int(parts[0])], parts[1:])
