"""
Logs that people post, one entry of each format: `tests/fixtures/posted/<adapter>.json`.

Shape: `[{"name", "body", "expected"}]`. `body` is text as sent, or a JSON value that stands for its
text. `expected` has fields of the first record, `attributes.NAME` for one of its attributes, `ids`
for values among its ids, `flag` for one among its quality flags, `is_derived` for an id that is
made of the entry; `records`, `ignored` and `rejected` are how many there are (1, 0 and 0).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.decode.gateways import find_adapters, get_adapter
from collector.model import GatewayRecord

FOLDER = Path(__file__).parents[3] / "fixtures" / "posted"


def _cases() -> Iterator[Any]:
    for name in find_adapters():
        path = FOLDER / f"{name}.json"
        for case in json.loads(path.read_text()) if path.exists() else ():
            yield pytest.param(name, case, id=f"{name}: {case['name']}")


def _value(record: GatewayRecord, name: str) -> Any:
    if name.startswith("attributes."):
        return record.attributes.get(name.removeprefix("attributes."))
    return getattr(record, name)


@pytest.mark.parametrize(("name", "case"), list(_cases()))
def test_a_posted_log_is_read_as_its_writer_meant_it(name: str, case: Any) -> None:
    """Accepted under the right adapter, with the right times, ids, status and blame."""
    body, expected = case["body"], dict(case["expected"])
    text = body if isinstance(body, str) else json.dumps(body)
    decoded = get_adapter(name).decode(text.encode())
    counts = {"records": decoded.records, "ignored": decoded.ignored, "rejected": decoded.rejected}
    wanted = {key: expected.pop(key, 0) for key in counts}
    if not any(wanted.values()):
        wanted["records"] = 1
    reasons = [each.reason for each in (*decoded.rejected, *decoded.ignored)]
    assert {key: len(each) for key, each in counts.items()} == wanted, reasons
    if not decoded.records:
        return
    record = decoded.records[0]
    assert {each.value for each in record.ids} >= set(expected.pop("ids", ()))
    assert expected.pop("flag", "") in ("", *record.quality)
    assert expected.pop("is_derived", False) in (False, record.record_id.startswith("~"))
    assert {key: _value(record, key) for key in expected} == expected
