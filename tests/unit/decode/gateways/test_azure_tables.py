"""Rows of Log Analytics with the types that the query client gives them."""

import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest

from collector.decode.azure_rows import canonical_name, rename
from collector.decode.gateways import azure_agc, azure_application_gateway

MOMENT = datetime(2026, 1, 1, 0, 6, 23, 456000, UTC)
END_NS = 1_767_225_983_456_000_000
GATEWAY_ROW = {
    "TimeGenerated": MOMENT,
    "TransactionId": "7d6c7d8e9fa0b1c2d3e4f5061728394c",
    "TimeTaken": 0.051,
    "ServerResponseLatency": 0.044,
    "HttpStatus": 200,
    "ErrorInfo": "ERRORINFO_NO_ERROR",
    "SslEnabled": None,
}
CONTAINERS_ROW = {
    "TimeGenerated": MOMENT,
    "TrackingId": "e1d2e3f4-a5b6-4c7d-8e9f-0a1b2c3d4e61",
    "TimeTaken": 51,
    "BackendTimeTaken": 44,
    "HttpStatusCode": 200,
    "BackendHost": None,
}


@pytest.mark.parametrize(
    ("adapter", "row"),
    [(azure_application_gateway, GATEWAY_ROW), (azure_agc, CONTAINERS_ROW)],
    ids=["application-gateway", "containers"],
)
def test_typed_rows_are_read_and_bad_ones_listed(adapter: Any, row: dict[str, Any]) -> None:
    """A datetime is a time, null is missing, and the end stamp becomes the start."""
    decoded = adapter.decode_rows([row, {**row, "TimeTaken": "long"}])
    (record,) = decoded.records
    assert record.start_ns == END_NS - 51_000_000
    assert (record.duration_ns, record.backend_ns) == (51_000_000, 44_000_000)
    assert "SECOND_GRANULARITY" not in record.quality
    assert [(error.index, error.field) for error in decoded.rejected] == [(1, "TimeTaken")]


def test_hostile_column_names_are_not_remembered() -> None:
    """Senders choose column names: neither long ones nor many of them stay in memory."""
    many = {f"c{n}": 1 for n in range(600)}
    rename(many)
    tracemalloc.start()
    for n in range(300):
        assert canonical_name(f"Name_{n:0100000d}_s").startswith("name0")
        rename({f"{n:0100000d}": 1})
        rename({f"{n}_{name}": 1 for name in many})
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 4_000_000
