"""
One file a gateway; this package finds them.

In: the body of one push or pull. Out: `Decoded`. May import: `decode.ids`, `decode.fields`,
`errors`, `model`. Never: another adapter. Read first: `azure_apim.py`.

Adding a gateway: write `decode/gateways/<name>.py` with an `ADAPTER`, the fixture
`tests/fixtures/gateways/<name>.json`, and its row in README.md. Nothing else is edited.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from collector.errors import UnknownDoor
from collector.model import Decoded


@dataclass(frozen=True, slots=True)
class Adapter:
    """
    How one gateway product is read.

    `name` is the path segment in `POST /v1/gateway/{name}`, `decode` turns one body into records
    (raises `Undecodable` when nothing in it can be read), `source` is the reference for the format.
    """

    name: str
    product: str
    decode: Callable[[bytes], Decoded]
    source: str


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
