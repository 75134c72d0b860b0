"""
Deliveries of Amazon Data Firehose and CloudWatch Logs, taken apart into log entries.

Source: Amazon Data Firehose developer guide, "Understand HTTP endpoint delivery request and
response specifications"; CloudWatch Logs user guide, subscription filters (gzip, DATA_MESSAGE and
CONTROL_MESSAGE) and Lambda subscriptions (`awslogs.data`).
"""

import base64
import binascii
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from collector.decode.bodies import Bodies, split_documents, split_lines
from collector.decode.fields import is_missing
from collector.errors import CollectorError, TooLarge, Undecodable
from collector.model import Receipt, RecordError

PROTOCOL_HEADER = "x-amz-firehose-protocol-version"
DELIVERY_HEADER = "x-amz-firehose-request-id"
ACCESS_KEY_HEADER = "x-amz-firehose-access-key"

_GZIP = b"\x1f\x8b"
# 64 MiB is the most Firehose sends before compression; records inside may be compressed again.
_MOST_BYTES = 256 * 1024 * 1024
_LONGEST_ERROR = 8192


def split_delivery(body: bytes) -> Bodies:
    """
    Split a Firehose delivery, a CloudWatch subscription envelope, or plain log lines.

    Shape: the entries of all records in order; a record that cannot be read is one
    `RecordError` in its place, a control message is no entry at all.

    Raises:
        Undecodable: nothing in the body can be read. Never retried.
        TooLarge: the records decompress to more than a body may hold. Never retried.
    """
    documents = split_lines(body)
    entries: list[Any] = []
    budget = _Budget()
    for entry in documents.entries:
        _append(entries, entry, budget)
    return Bodies(entries, documents.is_repaired or budget.is_repaired)


def write_answer(
    headers: Mapping[str, str], body: bytes, outcome: Receipt | CollectorError, now_ns: int
) -> bytes:
    """
    Return the answer Firehose expects: its own request id, the time, and why it failed if it did.

    Any answer without the same `requestId` counts as a failure and is delivered again.
    """
    answer: dict[str, object] = {
        "requestId": headers.get(DELIVERY_HEADER) or _request_id(body),
        "timestamp": now_ns // 1_000_000,
    }
    if isinstance(outcome, CollectorError):
        answer["errorMessage"] = outcome.message[:_LONGEST_ERROR]
    return orjson.dumps(answer)


class _Budget:
    """Bytes that may still be decompressed, and whether any had to be repaired."""

    def __init__(self) -> None:
        self.left = _MOST_BYTES
        self.is_repaired = False

    def inflate(self, data: bytes) -> bytes:
        decompressor = zlib.decompressobj(wbits=31)
        inflated = decompressor.decompress(data, self.left + 1)
        self.left -= len(inflated)
        if self.left < 0:
            raise TooLarge(f"the records decompress to more than {_MOST_BYTES} bytes")
        if not decompressor.eof:
            raise ValueError("the gzip data is cut off")
        return inflated


def _append(entries: list[Any], entry: Any, budget: _Budget) -> None:
    """Append what *entry* holds: it is a delivery, a subscription envelope, or a log entry."""
    if not isinstance(entry, dict):
        entries.append(_moved(entry, len(entries)))
    elif isinstance(entry.get("records"), list) and "requestId" in entry:
        for number, record in enumerate(entry["records"]):
            data = record.get("data") if isinstance(record, dict) else None
            _append_data(entries, data, f"records[{number}].data", budget)
    elif isinstance(entry.get("awslogs"), dict):
        _append_data(entries, entry["awslogs"].get("data"), "awslogs.data", budget)
    elif isinstance(entry.get("logEvents"), list):
        _append_events(entries, entry)
    else:
        entries.append(entry)


def _append_data(entries: list[Any], data: object, where: str, budget: _Budget) -> None:
    try:
        if not isinstance(data, str):
            raise ValueError("expected base64 text")
        content = base64.b64decode(data, validate=True)
        if content.startswith(_GZIP):
            content = budget.inflate(content)
        documents = split_lines(content)
    except (ValueError, binascii.Error, zlib.error, Undecodable) as exc:
        reason = f"{where}: {exc}"
        entries.append(RecordError(index=len(entries), reason=reason, field=where))
        return
    budget.is_repaired |= documents.is_repaired
    for entry in documents.entries:
        if isinstance(entry, dict) and isinstance(entry.get("logEvents"), list):
            _append_events(entries, entry)
        else:
            entries.append(_moved(entry, len(entries)))


def _append_events(entries: list[Any], envelope: Mapping[str, Any]) -> None:
    """Append the messages of a subscription envelope; a control message only probes the way."""
    if envelope.get("messageType") == "CONTROL_MESSAGE":
        return
    for number, event in enumerate(envelope["logEvents"]):
        message = event.get("message") if isinstance(event, dict) else None
        if isinstance(message, str) and not is_missing(message.strip()):
            entries.extend(_split_message(message))
        else:
            where = f"logEvents[{number}].message"
            reason = f"{where}: expected text"
            entries.append(RecordError(index=len(entries), reason=reason, field=where))


def _split_message(message: str) -> Iterable[Any]:
    text = message.strip()
    if text.startswith("{"):
        try:
            return (orjson.loads(text),)
        except orjson.JSONDecodeError:
            pass
    return (text,)


def _moved(entry: Any, index: int) -> Any:
    """Give an error of an inner body its place in the whole delivery."""
    if isinstance(entry, RecordError):
        return RecordError(index=index, reason=entry.reason, field=entry.field)
    return entry


def _request_id(body: bytes) -> str:
    try:
        found = split_documents(body).entries[0]
    except (Undecodable, IndexError):
        return ""
    request_id = found.get("requestId") if isinstance(found, dict) else ""
    return request_id if isinstance(request_id, str) else ""
