"""
One file a gateway; this package finds them.

In: the body of one push or pull. Out: `Decoded`. May import: `errors`, `model` and from `decode`
what reads (`documents`, `fields`, `vocabulary`, `context`, `targets`, `ids`) and what checks
(`truth`). Never: another adapter. Read first: `kong.py`.

Adding a gateway: write `decode/gateways/<name>.py` with an `ADAPTER`, the fixture
`tests/fixtures/gateways/<name>.json`, and its row in README.md. Nothing else is edited.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from collector.errors import CollectorError, UnknownDoor
from collector.model import Decoded, Receipt


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back over HTTP, complete: no encoding is to be put on it."""

    status: int
    body: bytes
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProfile:
    """
    How a product talks over HTTP where it differs from `POST /v1/gateway/{name}` in general.

    `token_header` is a header (lower case) that holds the ingest token when there is no bearer
    token. `delivery_header` holds the sender's own id of one delivery, the same when it sends it
    again. `respond` writes the answer; its arguments are the request's headers (lower case), the
    body as decompressed, what became of it, and Unix nanoseconds. It returns `None` to leave the
    answer to the door.
    """

    token_header: str = ""
    delivery_header: str = ""
    respond: (
        Callable[[Mapping[str, str], bytes, Receipt | CollectorError, int], Answer | None] | None
    ) = None


@dataclass(frozen=True, slots=True)
class Adapter:
    """
    How one gateway product is read.

    `name` is the path segment in `POST /v1/gateway/{name}`, `decode` turns one body into records
    (raises `Undecodable` when nothing in it can be read), `source` is the reference for the format,
    `http_profile` is for products with an HTTP protocol of their own.
    """

    name: str
    product: str
    decode: Callable[[bytes], Decoded]
    source: str
    http_profile: HttpProfile = HttpProfile()


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
