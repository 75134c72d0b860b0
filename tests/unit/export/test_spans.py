"""Spans of gateway records that are known alone: valid whatever a gateway wrote."""

import re

from hypothesis import given
from hypothesis import strategies as st

from collector.export.spans import NO_TRACE_ID, ExportedSpan, Subject, Wanted, span_of
from collector.model import GatewayRecord
from collector.stitch.join.merge import merge_records

_ID = re.compile(r"[0-9a-f]{16}")
_HOSTS = st.sampled_from(["", "shop.test", "shop.test:8443", "[2001:db8::1]:80", "2001:db8::1"])
_TEXTS = st.text(max_size=12)
_SPAN_IDS = st.sampled_from(["", "0" * 16, "ab" * 8, "cd" * 8, "nonsense", "AB" * 8])


@st.composite
def records(draw: st.DrawFn) -> GatewayRecord:
    """Draw records of which any field may be missing or make no sense."""
    return GatewayRecord(
        gateway=draw(st.sampled_from(["azure-apim", "kong"])),
        record_id=draw(st.text(min_size=1, max_size=8)),
        start_ns=draw(st.integers(0, 2**62)),
        trace_id=draw(st.sampled_from(["", "0" * 32, "5e" * 16, "5e" * 8])),
        parent_span_id=draw(_SPAN_IDS),
        outgoing_span_id=draw(_SPAN_IDS),
        duration_ns=draw(st.none() | st.integers(-5, 2**40)),
        backend_ns=draw(st.none() | st.integers(0, 2**40)),
        method=draw(st.sampled_from(["", "GET", "get", "PURGE"])),
        host=draw(_HOSTS),
        path=draw(_TEXTS),
        route=draw(_TEXTS),
        protocol=draw(st.sampled_from(["", "HTTP/1.1", "2", "h2c"])),
        status=draw(st.none() | st.integers(0, 999)),
        is_error=draw(st.booleans()),
        error_reason=draw(_TEXTS),
    )


@given(records())
def test_a_span_is_valid_and_holds_nothing_unknown(record: GatewayRecord) -> None:
    """Ids are ids, it ends no sooner than it starts, and no attribute is empty."""
    [merged] = merge_records([record])
    span = span_of(Subject(merged), Wanted())
    if record.trace_id != "5e" * 16:
        assert span == NO_TRACE_ID
        return
    assert isinstance(span, ExportedSpan)
    assert span.trace_id == record.trace_id
    assert _ID.fullmatch(span.span_id)
    assert span.span_id not in ("0" * 16, span.parent_span_id)
    assert not span.parent_span_id or _ID.fullmatch(span.parent_span_id)
    assert span.end_ns >= span.start_ns
    assert all(value not in ("", None) for value in span.attributes.values())
    assert span == span_of(Subject(merged), Wanted())
    outgoing = record.outgoing_span_id
    if _ID.fullmatch(outgoing) and outgoing not in ("0" * 16, record.parent_span_id):
        assert span.span_id == outgoing


def test_address_and_port_are_told_apart() -> None:
    """A port is a number of its own; the colons of an address are no port."""
    for host, address, port in (
        ("shop.test:8443", "shop.test", 8443),
        ("[2001:db8::1]:80", "2001:db8::1", 80),
        ("2001:db8::1", "2001:db8::1", None),
        ("2001:db8::1:80", "2001:db8::1:80", None),
        ("shop.test", "shop.test", None),
    ):
        record = GatewayRecord(
            gateway="kong", record_id="1", start_ns=1, trace_id="5e" * 16, host=host
        )
        [merged] = merge_records([record])
        span = span_of(Subject(merged), Wanted())
        assert isinstance(span, ExportedSpan)
        assert span.attributes["server.address"] == address
        assert span.attributes.get("server.port") == port
