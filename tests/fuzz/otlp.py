"""
OTLP decoders on hostile bytes: each signal in protobuf and in JSON, and the masking behind them.

Whatever comes in, a decoder returns or refuses; what it returns parses, holds as many items as it
says, and still does once secrets are masked. The first byte of the input chooses the decoder.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from collector.config import load_settings
from collector.decode.formats import decode_envelope
from collector.decode.redaction.rules import build_redactor
from collector.errors import TooLarge, Undecodable
from collector.model import Envelope, Stream
from tests.ingest import NOW_NS, make_log, make_request, text
from tests.otlp_senders import REQUESTS
from tests.unit.decode.otlp.test_json import every_metric, full_span, with_hex_ids

FOUND = Path(__file__).parent / "seeds/otlp"
FORMATS = tuple(
    (stream, encoding) for stream in REQUESTS for encoding in ("otlp-protobuf", "otlp-json")
)
DECODERS = tuple(f"{stream.name.lower()} {encoding}" for stream, encoding in FORMATS)
_REDACTOR = build_redactor(load_settings().redaction())
_EARLIEST_NS = 946_684_800_000_000_000


def TestOneInput(data: bytes) -> bool:  # noqa: N802
    """Decode one input and check what comes out; return whether it was not refused."""
    if not data:
        return False
    stream, encoding = FORMATS[data[0] % len(FORMATS)]
    try:
        canonical = decode_envelope(Envelope(stream, encoding, data[1:], NOW_NS, "fuzz"))
    except (Undecodable, TooLarge) as exc:
        assert exc.message
        return False
    _check(stream, canonical.messages, canonical.accepted)
    masked = [_REDACTOR.redact_message(stream, message)[0] for message in canonical.messages]
    _check(stream, masked, canonical.accepted)
    return True


def _check(stream: Stream, messages: tuple[bytes, ...] | list[bytes], accepted: int) -> None:
    items = [item for message in messages for item in _items(stream, message)]
    assert len(items) == accepted
    if stream is Stream.TRACE:
        for span in items:
            assert len(span.trace_id) == 16 and any(span.trace_id)
            assert len(span.span_id) == 8 and any(span.span_id)
            assert _EARLIEST_NS <= span.start_time_unix_nano <= span.end_time_unix_nano


def _items(stream: Stream, message: bytes) -> Iterator[Any]:
    request = REQUESTS[stream].FromString(message)
    if stream is Stream.TRACE:
        for group in request.resource_spans:
            for scope in group.scope_spans:
                yield from scope.spans
    elif stream is Stream.LOG:
        for group in request.resource_logs:
            for scope in group.scope_logs:
                yield from scope.log_records
    else:
        for group in request.resource_metrics:
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    data = metric.WhichOneof("data")
                    yield from getattr(metric, data).data_points if data else ()


def seeds() -> Iterator[bytes]:
    """Give what was found before, and items of every kind in both encodings."""
    yield from (path.read_bytes() for path in sorted(FOUND.glob("*")))
    secret = text("http.request.header.authorization", "Bearer abcdefghijklmnop")
    log = make_log(1, attributes=[secret])
    log.body.kvlist_value.values.append(text("line", "token=abcdefghijklmnop"))
    requests = {
        Stream.TRACE: make_request(full_span()),
        Stream.LOG: make_request(log, make_log(2)),
        Stream.METRIC: make_request(*every_metric()),
    }
    for number, (stream, encoding) in enumerate(FORMATS):
        body = requests[stream]
        if encoding == "otlp-json":
            document = MessageToDict(REQUESTS[stream].FromString(body))
            body = json.dumps(with_hex_ids(document)).encode()
        yield bytes([number]) + body
