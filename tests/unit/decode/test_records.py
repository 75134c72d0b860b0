"""Gateway records survive the journal's encoding."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.decode.records import decode_records, encode_records
from collector.errors import Undecodable
from collector.model import GatewayRecord, Id
from tests.ingest import NOW_NS

_TEXT = st.text(max_size=20)
_INT = st.integers(-(2**63), 2**63 - 1)
_RECORDS = st.builds(
    GatewayRecord,
    gateway=_TEXT,
    record_id=_TEXT,
    start_ns=_INT,
    ids=st.lists(st.builds(Id, _TEXT, _TEXT), max_size=3).map(tuple),
    is_sampled=st.none() | st.booleans(),
    duration_ns=st.none() | _INT,
    backend_ns=st.none() | st.just(0),
    status=st.none() | st.integers(0, 999),
    path=_TEXT,
    is_error=st.booleans(),
    weight=st.floats(allow_nan=False),
    quality=st.lists(_TEXT, max_size=3).map(tuple),
    attributes=st.dictionaries(_TEXT, _TEXT, max_size=4),
    raw=_TEXT,
)


@given(st.lists(_RECORDS, max_size=4))
def test_records_come_back_as_they_were(records: list[GatewayRecord]) -> None:
    """Every field survives, and what was not recorded stays apart from zero."""
    assert decode_records(encode_records(records)) == records


@pytest.mark.parametrize(
    "fields", [{"duration_ns": 0}, {"status": 0}, {"is_sampled": False}, {"request_bytes": 0}]
)
def test_recorded_zero_is_not_missing(fields: dict[str, Any]) -> None:
    """A recorded zero or False is different from nothing recorded."""
    record = GatewayRecord(gateway="kong", record_id="1", start_ns=NOW_NS, **fields)
    assert decode_records(encode_records([record])) == [record]


def test_no_records_are_no_bytes() -> None:
    """An empty sequence encodes to an empty message."""
    assert encode_records([]) == b""
    assert decode_records(b"") == []


def test_odd_values_cost_neither_the_record_nor_its_neighbours() -> None:
    """Lone surrogates are replaced and huge numbers clamped; everything else is kept."""
    odd = GatewayRecord(
        gateway="kong",
        record_id="2",
        start_ns=NOW_NS,
        path="/caf\ud800e",
        attributes={"k\udfff": "v\ud800"},
        ids=(Id("kong_request_id", "a\ud800"),),
        response_bytes=10**30,
        status=-(10**12),
    )
    plain = GatewayRecord(gateway="kong", record_id="1", start_ns=NOW_NS)
    first, second, third = decode_records(encode_records([plain, odd, plain]))
    assert first == third == plain
    assert (second.path, second.attributes) == ("/caf?e", {"k?": "v?"})
    assert second.ids == (Id("kong_request_id", "a?"),)
    assert (second.response_bytes, second.status) == (2**63 - 1, -(2**31))


def test_other_bytes_are_undecodable() -> None:
    """Bytes of something else are refused."""
    with pytest.raises(Undecodable):
        decode_records(b"\x0a\xff")
