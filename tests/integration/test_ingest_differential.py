"""What intake acknowledges, ClickHouse reads: thousands of damaged requests on the real engine."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.clock import SystemClock
from collector.config import load_settings
from collector.decode.otlp.protobuf import decode_traces
from collector.decode.redaction.redactor import Redactor
from collector.errors import StoreRejectedRows, Undecodable
from collector.intake import rewrite_refused
from collector.journal import Segment, add_checksum
from collector.model import Stream
from collector.store.store import Store, open_store
from collector.telemetry import Metrics
from collector.wire.varint import encode_varint
from tests.ingest import make_request, make_span, text
from tests.unit.decode.otlp.test_json import full_span

_PAYLOADS = 3000
_TRAILER = b"\x89\x7d" + (1_760_000_000_000_000_000).to_bytes(8, "little")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(
        load_settings(data_dir=tmp_path, ttl_days=0).store(), SystemClock(), Metrics()
    )
    opened.migrate()
    yield opened
    opened.close()


def mutate(body: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(body)
    for _ in range(rng.randint(1, 5)):
        at, kind = rng.randrange(len(damaged)), rng.random()
        if kind < 0.5:
            damaged[at] = rng.randrange(256)
        elif kind < 0.65:
            damaged[at] ^= 1 << rng.randrange(8)
        elif kind < 0.8:
            del damaged[at : at + rng.randint(1, 8)]
        elif kind < 0.9:
            damaged[at:at] = rng.randbytes(rng.randint(1, 8))
        else:
            start = rng.randrange(len(damaged))
            damaged[at:at] = damaged[start : start + rng.randint(1, 30)]
    return bytes(damaged)


def damaged_messages(rng: random.Random, redactor: Redactor) -> Iterator[bytes]:
    """Yield the canonical messages of those damaged requests that are accepted."""
    for number in range(_PAYLOADS):
        secret = text("password", "a-secret-of-some-length")
        spans = [make_span(3 * number + n, attributes=[secret]) for n in range(2)]
        body = make_request(full_span(), *spans)
        try:
            canonical = decode_traces(mutate(body, rng), 1_760_000_000_000_000_000)
        except Undecodable:
            continue
        for message in canonical.messages:
            yield add_checksum(redactor.redact_message(Stream.TRACE, message)[0], _TRAILER)


def load(store: Store, folder: Path, name: str, messages: list[bytes]) -> None:
    path = folder / f"{name}.seg"
    path.write_bytes(b"".join(encode_varint(len(each)) + each for each in messages))
    store.load(Segment(name, Stream.TRACE, path, path.stat().st_size))


def ids_in(messages: list[bytes]) -> set[tuple[str, str]]:
    return {
        (span.trace_id.hex(), span.span_id.hex())
        for message in messages
        for group in ExportTraceServiceRequest.FromString(message).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    }


@pytest.mark.parametrize("seed", [1, 2])
def test_every_acknowledged_span_is_readable(store: Store, tmp_path: Path, seed: int) -> None:
    """Each span of each accepted request is in the tables, at the second attempt if need be."""
    messages = list(damaged_messages(random.Random(seed), Redactor()))
    assert len(messages) > 200
    try:
        load(store, tmp_path, "as-journaled", messages)
    except StoreRejectedRows:
        rewritten = [rewrite_refused(Stream.TRACE, message) for message in messages]
        load(store, tmp_path, "rewritten", rewritten)
    expected = ids_in(messages)
    found = store.get_spans(sorted({trace_id for trace_id, _ in expected}))
    assert {(span.trace_id, span.span_id) for span in found} == expected


def test_rewriting_keeps_what_is_known() -> None:
    """A good message with its trailer is rewritten to itself."""
    message = add_checksum(make_request(full_span()), _TRAILER)
    assert rewrite_refused(Stream.TRACE, message) == message
