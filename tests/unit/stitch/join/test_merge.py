"""Several versions of one gateway record become one, whatever their order."""

import json
from itertools import permutations

import pytest

from collector.decode.gateways import get_adapter
from collector.model import GatewayRecord, Id
from collector.stitch.join.merge import merge_records
from tests.unit.stitch.building import CORRELATION, MS, record


def test_parts_and_total_come_from_one_measurement() -> None:
    """The version with most times gives them all: halves of two would contradict each other."""
    full = record(total=100, backend=70, client=10, cache_time=0)
    finer = record(total=100.4, backend=70.2, resolution_ns=1000, source="AppRequests")
    [merged] = merge_records([finer, full])
    known = merged.record
    assert (known.duration_ns, known.backend_ns, known.client_ns) == (100 * MS, 70 * MS, 10 * MS)
    assert known.resolution_ns == MS


def test_each_field_comes_from_whoever_knows_it() -> None:
    """What one version leaves out another fills in; ids are the union of all."""
    full = record(total=100, backend=70, client=10, api="orders")
    other = record(
        trace_id="ab" * 16,
        outgoing_span_id="cd" * 8,
        consumer="acme",
        source="AppRequests",
        ids=(Id("x_request_id", "r-1"),),
        is_sampled=True,
    )
    [merged] = merge_records([full, other])
    known = merged.record
    assert (known.api, known.consumer, known.trace_id) == ("orders", "acme", "ab" * 16)
    assert known.outgoing_span_id == "cd" * 8
    assert known.is_sampled is True
    assert [found.kind for found in known.ids] == ["apim_correlation_id", "x_request_id"]
    assert merged.versions == 2


def test_the_order_makes_no_difference() -> None:
    """Three versions in any of their six orders make the same record."""
    versions = [
        record(total=100, backend=70, client=10),
        record(total=100, backend=70, client=10, status=500, is_error=True),
        record(total=90, trace_id="ab" * 16, source="policy"),
    ]
    assert len({repr(merge_records(order)) for order in permutations(versions)}) == 1


def test_records_of_other_gateways_and_requests_stay_apart() -> None:
    """Only gateway and record id together make one request."""
    known = [record(), record(gateway="kong"), record(record_id="other")]
    assert len(merge_records(known)) == 3
    assert len(merge_records([record(), record(record_id=CORRELATION.upper())])) == 1


def test_an_error_anywhere_is_an_error() -> None:
    """A version that reports a failure is not silenced by one that does not."""
    [merged] = merge_records([record(total=100, backend=5, client=1), record(is_error=True)])
    assert merged.record.is_error


def _insights_rows(tries: int = 1) -> list[GatewayRecord]:
    """Return Application Insights' rows of one request, as two bodies that were read apart."""
    operation, request_span = "4c" * 16, "d1" * 8
    properties = {"Service Type": "API Management", "API Name": "orders"}
    request = {
        "Type": "AppRequests",
        "TimeGenerated": "2026-02-01T10:00:00.0000000Z",
        "OperationId": operation,
        "Id": request_span,
        "DurationMs": 120.0,
        "ResultCode": "200",
        "Properties": {**properties, "Request Id": CORRELATION},
    }
    calls = [
        {
            "Type": "AppDependencies",
            "TimeGenerated": f"2026-02-01T10:00:00.0{n + 1}00000Z",
            "OperationId": operation,
            "ParentId": request_span,
            "Id": f"{n + 1:016x}",
            "Target": "mesh.shop.example",
            "DurationMs": 40.0,
            "ResultCode": "503" if n < tries - 1 else "200",
            "Properties": properties,
        }
        for n in range(tries)
    ]
    bodies = [[request], *([call] for call in calls)]
    return [
        r
        for body in bodies
        for r in get_adapter("azure-app-insights").decode(json.dumps(body).encode()).records
    ]


@pytest.mark.parametrize("tries", [1, 2])
def test_a_call_without_the_request_s_id_belongs_to_its_request(tries: int) -> None:
    """Both rows of Application Insights are one record, whatever order and body they came in."""
    records = _insights_rows(tries)
    assert len({record.record_id for record in records}) == 2
    (merged,) = merge_records(records)
    assert merge_records(records[::-1]) == [merged]
    found = merged.record
    assert found.record_id == CORRELATION
    assert (found.duration_ns, found.backend_ns) == (120 * MS, tries * 40 * MS)
    assert (found.attempts, found.backend_status) == (tries, 200)
    assert found.outgoing_span_id == f"{tries:016x}"
    assert merged.sources == ("app-dependencies", "app-requests")
