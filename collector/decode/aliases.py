"""
Formats whose keys their users choose: the same fact under many spellings, brought to one name.

`requestId`, `request_id` and `$context.requestId` are one fact. Which key holds which is worked out
once for all rows that have the same keys, which is nearly all of them.

Read first: `Aliases.resolve`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from collector.decode.fields import FieldError, Row, is_missing
from collector.model import GatewayRecord

_PUNCTUATION = re.compile(r"[^a-z0-9]")
# Hostile rows with ever new keys are read as well, but not remembered.
_MOST_SHAPES = 256
_MOST_COLUMNS = 256
_LONGEST_KEY = 64
_MOST_LEVELS = 6


class _Shape(NamedTuple):
    """Which keys of a row hold which fact, the best first; `single` are facts with one key."""

    keys: Mapping[str, tuple[str, ...]]
    single: tuple[tuple[str, str], ...]
    several: tuple[tuple[str, tuple[str, ...]], ...]


class Aliases:
    """
    The names of one product's facts and how users spell them.

    *names* maps a fact's name to its spellings, the best first; case, punctuation and one of
    *prefixes* before a spelling make no difference. The name itself is its first spelling.
    """

    def __init__(self, names: Mapping[str, Sequence[str]], prefixes: Sequence[str] = ()) -> None:
        self._facts: dict[str, tuple[str, int]] = {}
        # whole spellings first: a prefix before one may look like another
        for prefix in ("", *prefixes):
            for name, spellings in names.items():
                for rank, spelling in enumerate((name, *spellings)):
                    self._facts.setdefault(_normal_form(prefix + spelling), (name, rank))
        self._shapes: dict[tuple[str, ...], _Shape] = {}

    def keys(self, row: Row) -> Mapping[str, tuple[str, ...]]:
        """Return the facts that *row* has keys for, each with its keys, the best first."""
        columns = tuple(row)
        return (self._shapes.get(columns) or self._learn(columns)).keys

    def resolve(self, row: Row) -> dict[str, Any]:
        """Return the facts of *row* under their names; of several spellings, one that is there."""
        columns = tuple(row)
        shape = self._shapes.get(columns) or self._learn(columns)
        laid = {name: row[key] for name, key in shape.single}
        for name, keys in shape.several:
            laid[name] = next((row[key] for key in keys if not is_missing(row[key])), None)
        return laid

    def has(self, row: Row, *names: str) -> bool:
        """Tell whether *row* has any of the facts *names*, however it spells them."""
        keys = self.keys(row)
        return any(name in keys for name in names)

    def reader(
        self, read: Callable[[dict[str, Any], Row], GatewayRecord]
    ) -> Callable[[Row], GatewayRecord]:
        """Wrap a reader of laid rows so that its errors carry the field as the sender spells it."""

        def read_row(row: Row) -> GatewayRecord:
            try:
                return read(self.resolve(row), row)
            except FieldError as exc:
                raise FieldError(self._spelling(exc.field, row), exc.reason) from None

        return read_row

    def _learn(self, columns: tuple[str, ...]) -> _Shape:
        found: dict[str, list[tuple[int, str]]] = {}
        for column in columns:
            name, rank = self._facts.get(_normal_form(column[:_LONGEST_KEY]), ("", 0))
            if name and len(column) <= _LONGEST_KEY:
                found.setdefault(name, []).append((rank, column))
        keys = {name: tuple(key for _, key in sorted(each)) for name, each in found.items()}
        shape = _Shape(
            keys,
            tuple((name, each[0]) for name, each in keys.items() if len(each) == 1),
            tuple((name, each) for name, each in keys.items() if len(each) > 1),
        )
        is_plausible = len(columns) <= _MOST_COLUMNS and max(map(len, columns), default=0) <= 256
        if is_plausible and len(self._shapes) < _MOST_SHAPES:
            self._shapes[columns] = shape
        return shape

    def _spelling(self, name: str, row: Row) -> str:
        """Return the key under which *row* has the fact *name*, or the name."""
        return self.keys(row).get(name, (name,))[0]


def flatten(row: Row) -> Row:
    """
    Return *row* with the members of its objects laid beside them, under dotted names.

    `{"request": {"method": "GET"}}` gives `request.method`, six levels deep at most.
    """
    flat: dict[str, Any] = {}

    def visit(value: Row, before: str, depth: int) -> None:
        for key, member in value.items():
            name = f"{before}{key}"
            if member.__class__ is dict and depth < _MOST_LEVELS and len(flat) < _MOST_COLUMNS:
                visit(member, f"{name}.", depth + 1)
            else:
                flat[name] = member

    visit(row, "", 1)
    return flat


def _normal_form(key: str) -> str:
    return _PUNCTUATION.sub("", key.lower())
