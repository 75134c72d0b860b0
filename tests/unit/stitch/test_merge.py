"""Several versions of one gateway record become one, whatever their order."""

from itertools import permutations

from collector.model import Id
from collector.stitch.merge import merge_records
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
