"""
Gateway records to journal bytes and back.

Source: `wire/gateway_record.proto`.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from google.protobuf.message import DecodeError

from collector.decode.records.writer import write_records
from collector.errors import Undecodable
from collector.model import GatewayRecord, Id
from collector.wire import gateway_record_pb2 as wire

_REPEATED = ("ids", "quality", "attributes")
_FIELDS = tuple(
    field.name for field in wire.GatewayRecord.DESCRIPTOR.fields if field.name not in _REPEATED
)
_OPTIONAL = tuple(
    field.name for field in wire.GatewayRecord.DESCRIPTOR.fields if field.has_presence
)
_PLAIN = tuple(name for name in _FIELDS if name not in _OPTIONAL)
_INT_BITS = {
    field.name: 31 if field.type == field.TYPE_INT32 else 63
    for field in wire.GatewayRecord.DESCRIPTOR.fields
    if field.type in (field.TYPE_INT32, field.TYPE_INT64)
}
_get_fields = attrgetter(*_FIELDS)
_get_plain = attrgetter(*_PLAIN)


def encode_records(records: Sequence[GatewayRecord]) -> bytes:
    """
    Encode *records*, in their order, as one GatewayRecords message without the journal's trailer.

    Text that is not Unicode is replaced character by character and numbers outside the wire's
    range are clamped: one odd value must not cost the record, nor the records beside it.
    """
    try:
        return write_records(records)
    except (ValueError, IndexError):  # a text of 4 KiB is an IndexError
        return encode_odd_records(records)


def encode_odd_records(records: Iterable[GatewayRecord]) -> bytes:
    """Encode *records* as `encode_records` does, with the generated class: half as fast."""
    message = wire.GatewayRecords()
    for index, record in enumerate(records):
        try:
            _add(message, record, _get_fields(record))
        except ValueError:
            del message.records[index:]
            repaired = _repaired(record)
            _add(message, repaired, _get_fields(repaired))
    return message.SerializeToString()


def decode_records(message: bytes) -> list[GatewayRecord]:
    """
    Read one GatewayRecords message, with or without the journal's trailer.

    Raises:
        Undecodable: the bytes are not such a message. Never retried.
    """
    try:
        parsed = wire.GatewayRecords.FromString(message)
    except DecodeError as exc:
        raise Undecodable("not a journal message with gateway records") from exc
    return [_record(each, parsed.received_ns) for each in parsed.records]


def _add(message: wire.GatewayRecords, record: GatewayRecord, values: Sequence[Any]) -> None:
    # `value == 0` keeps a recorded zero and False; None and "" fail both tests and are not written
    target = message.records.add(
        **{name: v for name, v in zip(_FIELDS, values, strict=True) if v or v == 0}
    )
    for each in record.ids:
        target.ids.add(key=each.kind, value=each.value)
    for key, value in record.attributes.items():
        target.attributes.add(key=key, value=value)
    if record.quality:
        target.quality.extend(record.quality)


def _record(source: wire.GatewayRecord, received_ns: int) -> GatewayRecord:
    filled: dict[str, Any] = dict(zip(_PLAIN, _get_plain(source), strict=True))
    for name in _OPTIONAL:
        if source.HasField(name):
            filled[name] = getattr(source, name)
    return GatewayRecord(
        **filled,
        ids=tuple(Id(each.key, each.value) for each in source.ids),
        quality=tuple(source.quality),
        attributes={each.key: each.value for each in source.attributes},
        received_ns=received_ns,
    )


def _repaired(record: GatewayRecord) -> GatewayRecord:
    values: dict[str, Any] = dict(zip(_FIELDS, _get_fields(record), strict=True))
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = _unicode(value)
        elif name in _INT_BITS and value is not None:
            limit = 1 << _INT_BITS[name]
            values[name] = max(-limit, min(limit - 1, value))
    return GatewayRecord(
        **values,
        ids=tuple(Id(_unicode(each.kind), _unicode(each.value)) for each in record.ids),
        quality=tuple(_unicode(flag) for flag in record.quality),
        attributes={_unicode(k): _unicode(v) for k, v in record.attributes.items()},
        received_ns=record.received_ns,
    )


def _unicode(text: str) -> str:
    # lone surrogates come from JSON escapes such as \ud800: legal in JSON, not in UTF-8
    return text.encode("utf-8", "replace").decode("utf-8")
