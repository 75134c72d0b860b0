"""
Access logs on hostile bytes: Envoy's gRPC messages, and log bodies as proxies write them.

Whatever comes in, the decoder returns or refuses, and a log record is read or passed over. The
first byte of the input chooses between the two.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from collector.decode.envoy.access_log import entry_from_log
from collector.decode.envoy.access_log_service import decode_access_logs
from collector.errors import TooLarge, Undecodable
from collector.model import LogRecord
from collector.wire import envoy_als_pb2 as wire
from tests.flat_spans import flat_logs

NOW_NS = 1_767_348_060_000_000_000
FIXTURES = Path(__file__).parents[1] / "fixtures/formats"
DECODERS = ("Envoy's gRPC messages", "log bodies")
FOUND = Path(__file__).parent / "seeds/access_logs"


def TestOneInput(data: bytes) -> bool:  # noqa: N802
    """Read one input and check what comes out; return whether it was not refused."""
    if data[:1] == b"\0":
        return _read_message(data[1:])
    if data:
        _read_record(data[1:].decode("utf-8", "replace"))
    return bool(data)


def _read_message(body: bytes) -> bool:
    try:
        canonical = decode_access_logs(body, NOW_NS)
    except (Undecodable, TooLarge):
        return False
    logs = flat_logs(*canonical.messages)
    assert len(logs) == canonical.accepted
    for log in logs:
        attributes = {key: str(value) for key, value in log.get("attributes", {}).items()}
        assert entry_from_log(LogRecord(time_ns=1, attributes=attributes)) is not None or (
            "response_code" not in attributes and "duration_ns" not in attributes
        )
    return True


def _read_record(body: str) -> None:
    entry = entry_from_log(LogRecord(time_ns=1, body=body))
    if entry is not None:
        assert len(entry.trace_id) in (0, 32)
        assert entry.duration_ns is None or entry.duration_ns >= 0


def seeds() -> Iterator[bytes]:
    """Give what was found before, every body of the fixture, and an access log message."""
    yield from (path.read_bytes() for path in sorted(FOUND.glob("*")))
    cases = json.loads((FIXTURES / "access_log/entries.json").read_text())["cases"]
    for case in cases:
        yield b"\1" + case["log"].get("body", "").encode()
        yield b"\1" + json.dumps(case["log"].get("attributes", {})).encode()
    message = wire.StreamAccessLogsMessage()
    message.identifier.node.cluster = b"orders"
    entry = message.http_logs.log_entry.add()
    entry.common_properties.start_time.seconds = 1_767_348_001
    entry.common_properties.duration.nanos = 5
    entry.common_properties.response_flags.upstream_connection_failure = True
    entry.common_properties.upstream_remote_address.socket_address.address = b"10.0.0.1"
    entry.request.path = b"/a"
    entry.request.request_headers.add(key=b"b3", value=b"1-2-1")
    yield b"\0" + message.SerializeToString()
