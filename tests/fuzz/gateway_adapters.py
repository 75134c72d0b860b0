"""
Gateway adapters on hostile bytes.

Whatever comes in, an adapter returns or refuses; what it returns keeps the domain's rules and can
be written to the journal and read back. The first byte of the input chooses the adapter.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from collector.decode.gateways import find_adapters
from collector.decode.quality import MEANINGS
from collector.decode.records.codec import decode_records, encode_records
from collector.errors import TooLarge, Undecodable
from collector.model import Decoded, GatewayRecord
from tests.gateway_fixtures import all_cases

FOUND = Path(__file__).parent / "seeds/gateway_adapters"
ADAPTERS = tuple(find_adapters().values())
DECODERS = tuple(adapter.name for adapter in ADAPTERS)
# Many adapters share this harness.
WEIGHT = len(ADAPTERS) // 2


def TestOneInput(data: bytes) -> bool:  # noqa: N802
    """Decode one input and check what comes out; return whether it was not refused."""
    if not data:
        return False
    adapter = ADAPTERS[data[0] % len(ADAPTERS)]
    try:
        decoded = adapter.decode(data[1:])
    except (Undecodable, TooLarge) as exc:
        assert exc.message
        return False
    check_decoded(decoded)
    return True


def check_decoded(decoded: Decoded) -> None:
    """Assert what is true of every adapter's answer."""
    for error in decoded.rejected:
        assert error.reason
        assert 0 <= error.index < len(decoded.records) + len(decoded.rejected) + 1_000_000
    for record in decoded.records:
        _check_record(record)
    assert decode_records(encode_records(decoded.records)) == list(decoded.records)


def _check_record(record: GatewayRecord) -> None:
    assert record.record_id
    assert 0 <= record.start_ns < 2**63
    json.loads(record.raw)
    assert set(record.quality) <= set(MEANINGS)
    for digits, length in (
        (record.trace_id, 32),
        (record.parent_span_id, 16),
        (record.outgoing_span_id, 16),
    ):
        assert not digits or (len(digits) == length and int(digits, 16))
    for value in (record.duration_ns, record.client_ns, record.gateway_ns, record.backend_ns):
        assert value is None or 0 <= value < 2**63


def seeds() -> Iterator[bytes]:
    """Give what was found before, and every fixture behind its adapter's number."""
    yield from (path.read_bytes() for path in sorted(FOUND.glob("*")))
    numbers = {adapter.name: number for number, adapter in enumerate(ADAPTERS)}
    for case in all_cases():
        yield bytes([numbers[case.adapter.name]]) + case.body
