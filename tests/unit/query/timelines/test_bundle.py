"""Bundles: redacted, whole, and refused when they are not."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from collector.errors import BadQuestion
from collector.query.timelines.bundle import build_bundle, read_bundle, write_bundle
from tests.unit.api.made_up import make_timeline

PLANTED = ("acme-mobile", "hunter2", "s3cr3t", "203.0.113.9", "ana@shop.example", "a-b-c-key")


def make_documents() -> dict[str, Any]:
    timeline = make_timeline()
    timeline["gateway_records"][0] |= {
        "client_address": "203.0.113.9",
        "user": "ana@shop.example",
        "backend_path": "/orders?password=hunter2&page=2",
        "attributes": {"subscription_key": "a-b-c-key"},
    }
    timeline["spans"][2]["attributes"] = {
        "http.request.header.authorization": "Bearer s3cr3t",
        "http.request.header.x-request-id": "0d0c0b0a",
        "http.request.header.accept-language": "hunter2",
        "url.full": "https://shop.example/o?token=s3cr3t#x",
        "user_agent.original": "ana@shop.example",
    }
    raw = {"Headers": {"Cookie": ["s3cr3t"]}, "CallerIpAddress": "203.0.113.9"}
    return {
        "timeline": timeline,
        "account": {
            "id": "x",
            "title": "GET /",
            "state": "final",
            "revision": 1,
            "sentences": [
                {"section": "happened", "text": "for acme-mobile", "rule": "R", "refs": []}
            ],
        },
        "stored": {"id": "x", "records": [{"raw": raw}], "spans": [], "logs": [], "cut": False},
    }


def test_planted_secrets_do_not_leave() -> None:
    """Nothing that names a person or opens a door is in a bundle, the account included."""
    text = json.dumps(build_bundle(make_documents()))
    assert not [secret for secret in PLANTED if secret in text]


def test_what_joins_stays_readable() -> None:
    """Ids, times, names of query parameters and the shape stay."""
    bundle = build_bundle(make_documents())
    timeline = bundle["timeline"]
    assert timeline["trace_id"] == make_timeline()["trace_id"]
    assert timeline["spans"][2]["attributes"]["http.request.header.x-request-id"] == "0d0c0b0a"
    path = timeline["gateway_records"][0]["backend_path"]
    assert path == "/orders?password=redacted&page=redacted"


def test_one_person_has_one_mark_in_a_bundle_and_another_in_the_next() -> None:
    """Marks tell callers apart inside a bundle and cannot be compared between bundles."""
    bundles = [build_bundle(make_documents()) for _ in range(2)]
    records = [bundle["timeline"]["gateway_records"][0] for bundle in bundles]
    sentence = bundles[0]["account"]["sentences"][0]["text"]
    assert sentence == f"for {records[0]['consumer']}"
    assert records[0]["consumer"] != records[1]["consumer"]
    assert records[0]["consumer"].startswith("redacted-")


def test_a_bundle_reads_back(tmp_path: Path) -> None:
    """A written bundle gives its documents again, and only its owner may read the file."""
    path = tmp_path / "slow.json"
    write_bundle(path, make_documents())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_bundle(path)["timeline"]["status"] == 504


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"status": 504', '"status": 200'),
        ("hopline-bundle/1", "hopline-bundle/9"),
        ('"timeline"', '"timelime"'),
        ("{", "["),
    ],
)
def test_a_changed_bundle_is_refused(tmp_path: Path, old: str, new: str) -> None:
    """A file whose content is not what was written is not opened."""
    path = tmp_path / "slow.json"
    write_bundle(path, make_documents())
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(BadQuestion):
        read_bundle(path)


def test_a_row_nested_without_end_is_cut() -> None:
    """A hostile row cannot exhaust the stack."""
    documents = make_documents()
    nested: Any = "x"
    for _ in range(900):
        nested = [nested]
    documents["stored"]["records"][0]["raw"] = nested
    assert "redacted" in json.dumps(build_bundle(documents)["stored"])
