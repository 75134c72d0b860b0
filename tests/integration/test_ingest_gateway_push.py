"""Gateway push over HTTP: from a product's own bytes to records in the journal."""

import base64
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ingest import Ingest, journaled_bytes, journaled_records, open_ingest
from tests.manual_clock import ManualClock

NOW_NS = 1_900_000_000_000_000_000
STARTED_MS = NOW_NS // 1_000_000 - 5000
ENTRY: dict[str, Any] = {
    "started_at": STARTED_MS,
    "client_ip": "10.9.8.7",
    "latencies": {"request": 40, "proxy": 30, "kong": 10},
    "request": {
        "id": "7f3a9c0e5b6d4e12",
        "method": "GET",
        "uri": "/stock/9",
        "url": "http://shop.example:8000/stock/9",
        "size": 100,
        "headers": {"host": "shop.example", "x-api-key": "c4n4ryV4lu3"},
        "querystring": {},
    },
    "response": {"status": 200, "size": 300, "headers": {}},
    "route": {"name": "stock"},
    "service": {"name": "stock-service"},
}


@pytest.fixture
async def ingest(tmp_path: Path) -> AsyncIterator[Ingest]:
    async with open_ingest(tmp_path, ManualClock(NOW_NS)) as opened:
        yield opened


async def push(
    ingest: Ingest, content: bytes, adapter: str = "kong", **headers: str
) -> httpx.Response:
    async with httpx.AsyncClient(base_url=ingest.url) as client:
        sent = {"content-type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.post(f"/v1/gateway/{adapter}", content=content, headers=sent)


async def test_entry_becomes_a_record(ingest: Ingest) -> None:
    """A Kong entry is journaled as a gateway record with its secrets masked."""
    response = await push(ingest, json.dumps(ENTRY).encode())
    assert response.status_code == 200
    assert response.json() == {"accepted": 1, "rejected": 0, "ignored": 0, "errors": []}
    (record,) = journaled_records(ingest.journal)
    assert (record.gateway, record.record_id) == ("kong", "7f3a9c0e5b6d4e12")
    assert record.start_ns == STARTED_MS * 1_000_000
    assert record.received_ns == NOW_NS
    assert b"c4n4ryV4lu3" not in journaled_bytes(ingest.settings.data_dir)


async def test_unusable_entries_are_listed(ingest: Ingest) -> None:
    """In a batch the unusable entry is named with its index; the others are taken."""
    batch = [ENTRY, {"request": 5}, ENTRY | {"request": {**ENTRY["request"], "id": "2"}}]
    response = await push(ingest, json.dumps(batch).encode())
    assert response.status_code == 200
    assert (response.json()["accepted"], response.json()["rejected"]) == (2, 1)
    (error,) = response.json()["errors"]
    assert error["index"] == 1
    assert error["reason"]


async def test_entry_from_another_century_is_listed(ingest: Ingest) -> None:
    """An impossible time is found behind the adapter and has the same shape."""
    response = await push(ingest, json.dumps([ENTRY, ENTRY | {"started_at": 5}]).encode())
    assert response.json()["rejected"] == 1
    assert response.json()["errors"][0]["index"] == 1


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"7", b'"text"'])
async def test_nothing_decodable(ingest: Ingest, content: bytes) -> None:
    """A body in which nothing can be read is 400 with a reason."""
    response = await push(ingest, content)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "undecodable"


async def test_compressed_entry(ingest: Ingest) -> None:
    """Content encodings are the same as for OTLP."""
    content = gzip.compress(json.dumps(ENTRY).encode())
    response = await push(ingest, content, content_encoding="gzip")
    assert response.json()["accepted"] == 1


async def test_unknown_adapter_lists_the_known_ones(ingest: Ingest) -> None:
    """404 with the names that exist."""
    response = await push(ingest, b"{}", adapter="kung")
    assert response.status_code == 404
    assert "kong" in response.json()["error"]["hint"]


async def test_too_large(tmp_path: Path) -> None:
    """413 in the REST error shape."""
    async with open_ingest(tmp_path, max_body_bytes=1024) as ingest:
        response = await push(ingest, b"x" * 2000)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "too_large"


async def test_token_is_needed(tmp_path: Path) -> None:
    """With tokens configured the push needs one, as bearer token."""
    async with open_ingest(tmp_path, ManualClock(NOW_NS), ingest_tokens="right") as ingest:
        content = json.dumps(ENTRY).encode()
        assert (await push(ingest, content)).status_code == 401
        assert (await push(ingest, content, authorization="Bearer wrong")).status_code == 401
        assert (await push(ingest, content, authorization="Bearer right")).status_code == 200


async def test_journal_full(tmp_path: Path) -> None:
    """503 with Retry-After when the journal cannot take it."""
    async with open_ingest(tmp_path, ManualClock(NOW_NS), journal_max_bytes=1024) as ingest:
        content = json.dumps([ENTRY | {"started_at": STARTED_MS + n} for n in range(20)]).encode()
        response = await push(ingest, content)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"


async def test_firehose_answers_in_its_own_shape(tmp_path: Path) -> None:
    """Firehose brings its token in a header of its own and wants its request id back."""
    async with open_ingest(tmp_path, ManualClock(NOW_NS), ingest_tokens="right") as ingest:
        line = {
            "requestId": "b1c2d3e4-1111-4222-8333-444455556666",
            "requestTimeEpoch": STARTED_MS,
            "httpMethod": "GET",
            "path": "/stock/9",
            "status": "200",
            "responseLatency": "12",
        }
        data = base64.b64encode(json.dumps(line).encode()).decode()
        content = json.dumps(
            {"requestId": "delivery-1", "timestamp": STARTED_MS, "records": [{"data": data}]}
        ).encode()
        headers = {"x_amz_firehose_request_id": "delivery-1"}
        refused = await push(ingest, content, "aws-api-gateway", **headers)
        taken = await push(
            ingest, content, "aws-api-gateway", x_amz_firehose_access_key="right", **headers
        )
        again = await push(
            ingest, content + b" ", "aws-api-gateway", x_amz_firehose_access_key="right", **headers
        )
        assert refused.status_code == 401
        assert (taken.status_code, again.status_code) == (200, 200)
        assert taken.json()["requestId"] == "delivery-1"
        assert len(journaled_records(ingest.journal)) == 1
