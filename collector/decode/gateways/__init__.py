"""
One file a gateway; this package finds them.

In: the body of one push or pull. Out: `Decoded`. An adapter is a `Reader` with a name: it reads one
object or line; what may be around it is taken off before. May import: `errors`, `model` and from
`decode` what reads (`reading`, `fields`, `aliases`, `context`, `urls`, `timestamps`) and what
checks (`quality`). Never: another adapter. Read first: `kong.py`.

Adding a gateway: write `decode/gateways/<name>.py` with an `ADAPTER`, the fixture
`tests/fixtures/gateways/<name>.json`, and its row in README.md. Nothing else is edited.
"""

import contextlib
import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from collector.decode.bodies import split_body
from collector.decode.fields import FieldError, NotARequest, Row
from collector.decode.reading import Reader, read_body, read_rows
from collector.errors import Undecodable, UnknownDoor
from collector.model import Decoded, RecordError


@dataclass(frozen=True, slots=True)
class Adapter:
    """
    How one gateway product is read.

    `name` is the path segment in `POST /v1/gateway/{name}`, `reader` turns the entries of its logs
    into records, `source` is the reference for the format.
    """

    name: str
    product: str
    reader: Reader
    source: str

    def decode(self, body: bytes) -> Decoded:
        """
        Decode one body, in its order.

        Shape: one JSON object, an array, objects one a line or back to back, text lines if the
        product writes such, and all of it in what `envelopes` knows.

        Returns:
            One gateway record per request; an entry that cannot be read is rejected with its index,
            the field's name, and the adapter that would have read it, if there is one.

        Raises:
            Undecodable: nothing in the body can be read. Never retried.
            TooLarge: what is compressed inside is too large. Never retried.
        """
        try:
            reading = read_body(self.reader, body)
        except Undecodable as exc:
            raise Undecodable(exc.message, hint=_hint_for(body, self.name)) from None
        for place, entry in reading.refused:
            if other := _find_reader_of(entry, self.name):
                reading.rejected[place] = _naming(reading.rejected[place], other)
        for known, entry in reading.passed.items():
            if other := _find_reader_of(entry, self.name):
                reading.ignored = [
                    _naming(each, other) if each.reason == known else each
                    for each in reading.ignored
                ]
        return reading.decoded()

    def decode_rows(self, rows: Iterable[Row]) -> Decoded:
        """Decode rows that lie open: columns to values, as a query's answer has them."""
        return read_rows(self.reader, rows)


@cache
def find_adapters() -> dict[str, Adapter]:
    """Return every adapter of this package by name, in name order."""
    adapters: dict[str, Adapter] = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        adapter = getattr(module, "ADAPTER", None)
        if isinstance(adapter, Adapter):
            adapters[adapter.name] = adapter
    return dict(sorted(adapters.items()))


def get_adapter(name: str) -> Adapter:
    """
    Return the adapter called *name*.

    Raises:
        UnknownDoor: there is none; the hint lists the known ones.
    """
    adapters = find_adapters()
    try:
        return adapters[name]
    except KeyError:
        msg = f"there is no gateway adapter {name!r}"
        raise UnknownDoor(msg, hint=f"known adapters: {', '.join(adapters)}") from None


def _naming(error: RecordError, other: str) -> RecordError:
    return replace(error, reason=f"{error.reason}; the adapter {other} reads this")


def _find_reader_of(entry: Any, name: str) -> str:
    """Return the adapter beside *name* that makes a record of *entry*, "" when none does."""
    for adapter in find_adapters().values():
        reader = adapter.reader
        if adapter.name == name:
            continue
        with contextlib.suppress(FieldError, NotARequest):
            if entry.__class__ is dict and reader.is_row(entry):
                reader.read_row(entry)
                return adapter.name
            if entry.__class__ is str and reader.read_line and reader.is_line(entry):
                reader.read_line(entry)
                return adapter.name
    return ""


def _hint_for(body: bytes, name: str) -> str:
    """Return which adapter reads the beginning of *body*, for one that is refused as a whole."""
    try:
        first = next(iter(split_body(body).entries), None)
    except Undecodable:
        return ""
    other = _find_reader_of(first, name)
    return f"the adapter {other} reads this" if other else ""
