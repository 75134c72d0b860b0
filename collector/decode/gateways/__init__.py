"""
One file a gateway; this package finds them.

In: the body of one push or pull. Out: `Decoded`. An adapter is a `Reader` with a name: it reads one
object or line; what may be around it is taken off before. May import: `errors`, `model` and from
`decode` what reads (`reading`, `fields`, `aliases`, `context`, `urls`, `timestamps`) and what
checks (`quality`). Never: another adapter. Read first: `kong.py`, `traefik.toml`.

Adding a gateway: where its log has one member a fact, write `decode/gateways/<name>.toml`, a
mapping as operators write them; else `decode/gateways/<name>.py` with an `ADAPTER`. Then its
fixture, `tests/fixtures/gateways/<name>.json`, and its row in README.md. Nothing else is edited.
"""

import contextlib
import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from collector.decode.bodies import split_body
from collector.decode.fields import FieldError, NotARequest, Row
from collector.decode.mapped.mapping import GatewayMapping, MappingError, parse_mappings
from collector.decode.mapped.rows import make_reader
from collector.decode.reading import Reader, read_body, read_rows
from collector.errors import ConfigError, Undecodable, UnknownDoor
from collector.model import Decoded, RecordError


@dataclass(frozen=True, slots=True)
class Adapter:
    """
    How one gateway product is read.

    `name` is the path segment in `POST /v1/gateway/{name}`, `reader` turns the entries of its logs
    into records, `source` is the reference for the format. `is_mapped`: a mapping tells it.
    """

    name: str
    product: str
    reader: Reader
    source: str
    is_mapped: bool = False

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
    """Return every adapter by name, in name order: this package's, and those of `use_mappings`."""
    return dict(sorted((_mapped() | _coded() | _told).items()))


def use_mappings(path: str) -> None:
    """
    Take up the gateways that the file at *path* tells of; none when *path* is "".

    A gateway that this package maps itself is read as the file says.

    Raises:
        ConfigError: it cannot be read; the message names the gateway and the field.
    """
    setting = "HOPLINE_GATEWAY_MAPPINGS"
    hint = "see deploy/gateways/mappings in the repository"
    _told.clear()
    find_adapters.cache_clear()
    if not path:
        return
    try:
        mappings = parse_mappings(Path(path).read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"{setting}: {path}: {exc.strerror}", hint=hint) from exc
    except (MappingError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{setting}: {path}: {exc}", hint=hint) from exc
    coded = _coded()
    for mapping in mappings:
        if mapping.name in coded:
            msg = f"{setting}: {path}: gateway {mapping.name!r}: a built-in adapter has this name"
            raise ConfigError(msg, hint="choose another name")
    _told.update((each.name, _adapter_of(each)) for each in mappings)


_told: dict[str, Adapter] = {}


def _coded() -> dict[str, Adapter]:
    adapters: dict[str, Adapter] = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        adapter = getattr(module, "ADAPTER", None)
        if isinstance(adapter, Adapter):
            adapters[adapter.name] = adapter
    return adapters


def _mapped() -> dict[str, Adapter]:
    files = sorted(Path(__path__[0]).glob("*.toml"))
    found = (each for file in files for each in parse_mappings(file.read_text(encoding="utf-8")))
    return {each.name: _adapter_of(each) for each in found}


def _adapter_of(mapping: GatewayMapping) -> Adapter:
    return Adapter(mapping.name, mapping.product, make_reader(mapping), mapping.source, True)


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
    # a mapping asks for certain members, an adapter in code may take objects of any names
    for adapter in sorted(find_adapters().values(), key=lambda each: not each.is_mapped):
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
