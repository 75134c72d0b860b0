"""The whole rule book on whole requests."""

import random

import pytest

from collector.model import Id
from tests.unit.stitch.building import (
    CORRELATION,
    LONG_AFTER,
    MS,
    TRACE,
    TraceBuilder,
    record,
    shop_request,
    stitch,
)


def test_a_request_is_stitched_from_the_gateway_to_the_database() -> None:
    """Gateway, edge, two services and a database are five hops in their order."""
    known, trace = shop_request()
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    assert [(hop.role, hop.service, hop.parent) for hop in timeline.hops] == [
        ("gateway", "shop-apim", -1),
        ("edge", "istio-ingressgateway.shop", 0),
        ("service", "orders", 1),
        ("service", "payments", 2),
        ("dependency", "postgresql", 3),
    ]
    assert timeline.id == CORRELATION
    assert timeline.trace_id == TRACE
    assert timeline.duration_ns == 120 * MS
    assert timeline.status == 200
    assert timeline.links[0].tier == 0
    assert timeline.links[0].confidence == 1.0
    assert timeline.verdict.layer == "none"


def test_phases_sum_to_the_total_and_name_their_source() -> None:
    """Each phase comes from the field or span it names, and together they are the whole."""
    known, trace = shop_request()
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    phases = {phase.name: phase for phase in timeline.phases}
    assert sum(phase.duration_ns for phase in timeline.phases) == timeline.duration_ns
    assert phases["client"].duration_ns == 10 * MS
    assert phases["gateway"].duration_ns == 20 * MS
    assert phases["dependency"].duration_ns == 25 * MS
    # 90 of the backend less 80 of the edge, and 2 between the edge's client span and the sidecar.
    assert phases["network"].duration_ns == 12 * MS
    assert phases["edge_proxy"].duration_ns == 2 * MS
    assert phases["network"].lower_ns == 12 * MS - MS // 2
    assert "backend_ns" in phases["network"].source
    assert "unexplained" not in phases


def test_critical_path_tiles_the_request() -> None:
    """The sections follow each other without gap or overlap from start to end."""
    known, trace = shop_request()
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER)
    edges = [(section.from_ns, section.to_ns) for section in timeline.critical_path]
    assert edges[0][0] == 0
    assert edges[-1][1] == timeline.duration_ns
    assert all(a[1] == b[0] for a, b in zip(edges, edges[1:], strict=False))


def test_the_order_of_arrival_changes_nothing() -> None:
    """A hundred shuffles of the inputs give the same timeline."""
    known, trace = shop_request()
    other = record(source="AppRequests", total=120.4, trace_id=TRACE)
    expected = stitch([known, other], trace.spans, now_ns=LONG_AFTER)
    shuffled = random.Random(4)
    for _ in range(100):
        records, spans = [known, other], list(trace.spans)
        shuffled.shuffle(records)
        shuffled.shuffle(spans)
        assert stitch(records, spans, now_ns=LONG_AFTER) == expected


def test_nothing_can_not_be_stitched() -> None:
    """Without a record and a span there is no timeline to return."""
    with pytest.raises(ValueError, match="nothing to stitch"):
        stitch([], [], now_ns=LONG_AFTER)


def test_a_header_that_was_passed_on_tells_which_call_is_whose() -> None:
    """Two calls of one trace whose gateway sent the client's header on: each has its own spans."""
    trace = TraceBuilder()
    callers = ("c1" * 8, "c2" * 8)
    # the longer request's spans begin nearer to the other record
    trace.edge(30, 60, callers[0])
    trace.edge(12, 60, callers[1])
    records = [
        record(record_id=f"r{n}", ids=(), at=10 * n, total=100, trace_id=TRACE, parent_span_id=each)
        for n, each in enumerate(callers)
    ]
    for n, each in enumerate(callers):
        timeline = stitch(records, trace.spans, now_ns=LONG_AFTER, subject=f"r{n}")
        (link,) = [link for link in timeline.links if link.to.endswith(trace.spans[n].span_id)]
        assert timeline.gateway_records[0].record.record_id == f"r{n}"
        assert (link.tier, link.evidence[-1].field, link.evidence[-1].left) == (
            1,
            "parent_span_id",
            each,
        )


def test_a_later_part_of_a_request_leads_to_its_record() -> None:
    """Its first part was found by the record, and hangs below it as a whole."""
    key = "6a1d4c02-77aa-4b1e-9c3d-5f0e8b7a6c5d"
    first = TraceBuilder("0" * 16 + "2e" * 8)
    later = TraceBuilder("1f" * 16)
    for trace, at in ((first, 5), (later, 6)):
        trace.sidecar_in("orders", at, 20, None, request_id=key)
    known = record(record_id=key, ids=(Id("x_request_id", key),), total=40, trace_id="2e" * 16)
    timeline = stitch([known], [*first.spans, *later.spans], subject="1f" * 16, now_ns=LONG_AFTER)
    assert [merged.record.record_id for merged in timeline.gateway_records] == [key]
