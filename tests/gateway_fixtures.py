"""
Reads `tests/fixtures/gateways/<name>.json`, one file an adapter.

Shape: `{"source", "cases": [{"name", "content_type", "body", "records", "rejected", …}]}`.
`body` is the text as sent, or a JSON value that stands for its text; `body_base64` holds bytes.
`records` lists, for each record, every field that is not at its default, but for `raw`. `rejected`
is how many entries are refused, `errors` which field of which entry, `ignored` which entries are no
request; `is_undecodable` says that the whole body is. `GOLDEN_WRITE=1` fills all of these in from
the code.
"""

import base64
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, NamedTuple

from collector.decode.gateways import Adapter, find_adapters
from collector.errors import Undecodable
from collector.model import GatewayRecord

FOLDER = Path(__file__).parent / "fixtures" / "gateways"
_DEFAULTS = {
    each.name: each.default_factory() if each.default_factory is not MISSING else each.default
    for each in fields(GatewayRecord)
}


class Case(NamedTuple):
    """One body and what must become of it."""

    adapter: Adapter
    name: str
    body: bytes
    expected: Mapping[str, Any]


def fixture_path(name: str) -> Path:
    """Return where the cases of the adapter *name* are kept."""
    return FOLDER / f"{name.replace('-', '_')}.json"


def read_cases(adapter: Adapter) -> list[Case]:
    """Return the cases of one adapter, in their order."""
    path = fixture_path(adapter.name)
    if not path.exists():
        return []
    document = json.loads(path.read_text())
    if os.environ.get("GOLDEN_WRITE"):
        for each in document["cases"]:
            _fill(adapter, each)
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return [Case(adapter, each["name"], body_of(each), each) for each in document["cases"]]


def all_cases() -> Iterator[Case]:
    """Return every case of every adapter."""
    for adapter in find_adapters().values():
        yield from read_cases(adapter)


def body_of(case: Mapping[str, Any]) -> bytes:
    """Return the bytes that *case* stands for."""
    if "body_base64" in case:
        return base64.b64decode(case["body_base64"])
    body = case["body"]
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def shown(record: GatewayRecord) -> dict[str, Any]:
    """Return the fields of *record* that say something, but for `raw`, as JSON values."""
    values = {
        name: getattr(record, name)
        for name, default in _DEFAULTS.items()
        if name != "raw" and getattr(record, name) != default
    }
    if "ids" in values:
        values["ids"] = [[each.kind, each.value] for each in record.ids]
    if "quality" in values:
        values["quality"] = list(record.quality)
    if "attributes" in values:
        values["attributes"] = dict(record.attributes)
    return values


def differences(actual: list[dict[str, Any]], expected: list[dict[str, Any]]) -> list[str]:
    """Return what differs between two lists of records, a line a field; nothing when equal."""
    found = []
    if len(actual) != len(expected):
        found.append(f"{len(actual)} records instead of {len(expected)}")
    for index, (here, there) in enumerate(zip(actual, expected, strict=False)):
        for name in sorted(here.keys() | there.keys()):
            is_value, should_be = here.get(name, "(default)"), there.get(name, "(default)")
            if is_value != should_be:
                found.append(f"record {index}: {name} is {is_value!r}, should be {should_be!r}")
    return found


def _fill(adapter: Adapter, case: dict[str, Any]) -> None:
    for key in ("records", "rejected", "errors", "ignored", "is_undecodable"):
        case.pop(key, None)
    try:
        decoded = adapter.decode(body_of(case))
    except Undecodable:
        case.update(records=[], rejected=0, is_undecodable=True)
        return
    case["records"] = [shown(record) for record in decoded.records]
    case["rejected"] = len(decoded.rejected)
    if decoded.ignored:
        case["ignored"] = [{"index": e.index, "code": e.code} for e in decoded.ignored]
    if decoded.rejected:
        case["errors"] = [{"index": e.index, "field": e.field} for e in decoded.rejected]
