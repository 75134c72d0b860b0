"""Gateway records survive the journal's encoding."""

from collections.abc import Mapping
from typing import Any, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.decode.records.codec import decode_records, encode_odd_records, encode_records
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


_ANY_TEXT = st.text(max_size=8) | st.text("ab", min_size=125, max_size=130)
_KINDS: dict[Any, st.SearchStrategy[Any]] = {
    str: _ANY_TEXT,
    int: _INT | st.integers(0, 2**29),
    int | None: st.none() | st.integers(0, 2**29),
    bool: st.booleans(),
    bool | None: st.none() | st.booleans(),
    float: st.floats(0, 1e9),
    tuple[Id, ...]: st.lists(st.builds(Id, _ANY_TEXT, _ANY_TEXT), max_size=2).map(tuple),
    tuple[str, ...]: st.lists(_ANY_TEXT, max_size=2).map(tuple),
    Mapping[str, str]: st.dictionaries(_ANY_TEXT, _ANY_TEXT, max_size=2),
}
_FULL_RECORDS = st.builds(
    GatewayRecord, **{name: _KINDS[kind] for name, kind in get_type_hints(GatewayRecord).items()}
)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_FULL_RECORDS, max_size=3))
def test_quick_encoder_writes_the_same_bytes(records: list[GatewayRecord]) -> None:
    """The hand-written encoder and the generated class agree to the byte, twice in a row."""
    assert encode_records(records) == encode_odd_records(records)
    assert encode_records(records) == encode_odd_records(records)


@pytest.mark.parametrize("length", [127, 128, 4095, 4096, 20_000])
def test_long_texts_encode_alike(length: int) -> None:
    """Texts around and above the limits of the quick encoder are written whole."""
    long = "x" * length
    record = GatewayRecord(gateway="kong", record_id="1", start_ns=NOW_NS, raw=long)
    record.attributes = {"url.query": long}
    assert encode_records([record]) == encode_odd_records([record])
    record.path = long
    assert encode_records([record]) == encode_odd_records([record])


@pytest.mark.parametrize(
    "recorded", [{"duration_ns": 0}, {"status": 0}, {"is_sampled": False}, {"request_bytes": 0}]
)
def test_recorded_zero_is_not_missing(recorded: dict[str, Any]) -> None:
    """A recorded zero or False is different from nothing recorded."""
    record = GatewayRecord(gateway="kong", record_id="1", start_ns=NOW_NS, **recorded)
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
