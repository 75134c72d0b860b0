"""Adding a gateway takes one file: it is found, routed to and read without an edit elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.decode import gateways
from collector.decode.formats import decode_envelope
from collector.decode.gateways import find_adapters, get_adapter
from collector.decode.records.codec import decode_records
from collector.model import Envelope, Stream

TOY = '''
"""A gateway that logs three words."""

from collector.decode.fields import Row, read_ns_from_ms, require_timestamp, require_text, write_raw
from collector.decode.gateways import Adapter
from collector.decode.reading import Reader
from collector.model import GatewayRecord


def _read(row: Row) -> GatewayRecord:
    return GatewayRecord(
        gateway="toy",
        record_id=require_text(row, "id"),
        start_ns=require_timestamp(row, "at").ns,
        duration_ns=read_ns_from_ms(row, "took"),
        raw=write_raw(row),
    )


def _is_row(row: Row) -> bool:
    return "id" in row


READER = Reader(is_row=_is_row, read_row=_read)
ADAPTER = Adapter(name="toy", product="Toy", reader=READER, source="none")
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "toy_gateway.py").write_text(TOY)
    (tmp_path / "not_an_adapter.py").write_text("ADAPTER = 'a word'\n")
    monkeypatch.setattr(gateways, "__path__", [*gateways.__path__, str(tmp_path)])
    find_adapters.cache_clear()
    yield
    find_adapters.cache_clear()


@pytest.mark.usefixtures("toy")
def test_a_new_file_is_an_adapter_with_a_route() -> None:
    """The file's adapter is found by name beside the others, and an envelope for it is decoded."""
    assert "kong" in find_adapters()
    assert get_adapter("toy").product == "Toy"
    envelope = Envelope(
        signal=Stream.RECORD,
        format="gateway",
        adapter="toy",
        body=b'[{"id":"r1","at":"2026-01-01T00:00:00Z","took":7},{"id":"r2"}]',
        received_ns=1_767_225_700 * 10**9,
        door="test",
    )
    canonical = decode_envelope(envelope)
    (record,) = decode_records(canonical.message)
    assert (record.record_id, record.duration_ns) == ("r1", 7_000_000)
    assert [(error.index, error.field) for error in canonical.errors] == [(1, "at")]


def test_the_toy_leaves_nothing_behind() -> None:
    """Other tests see the shipped adapters only."""
    assert "toy" not in find_adapters()
