"""
OTLP/JSON requests to canonical bytes.

The field tables are derived from the protobuf descriptors, so all signals and all fields are
covered; values are written as protobuf directly and then take the same path as OTLP/protobuf.

Source: OTLP specification 1.11.0, JSON Protobuf Encoding: lowerCamelCase keys only, ids in hex,
64-bit numbers as text or number, enums as numbers, unknown fields ignored. Tolerated beyond it:
enum names (Tempo), `instrumentationLibrary*` (before OTLP 0.15), text that is not UTF-8.
"""

import base64
import binascii
import contextlib
import json
import math
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from collector.decode.otlp.metrics import METRICS
from collector.decode.otlp.protobuf import LOGS, TRACES, Signal, decode_request
from collector.decode.result import DecodeResult
from collector.errors import TooLarge, Undecodable
from collector.wire.varint import encode_varint

# JSON of empty lists becomes twenty times its size in memory
MAX_JSON_BYTES = 8 * 1024 * 1024
# below the 100 messages at which the protobuf parser stops
_MAX_DEPTH = 90
_MAX_CACHED = 50_000
_MAX_CACHED_CHARS = 200
_HEX_FIELDS = ("trace_id", "span_id", "parent_span_id")
_OLD_NAMES = {
    "scopeSpans": "instrumentationLibrarySpans",
    "scopeLogs": "instrumentationLibraryLogs",
    "scopeMetrics": "instrumentationLibraryMetrics",
    "scope": "instrumentationLibrary",
}
_UNSIGNED = (
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_FIXED64,
)
_BITS_32 = (
    FieldDescriptor.TYPE_INT32,
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_SINT32,
    FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_SFIXED32,
)

_WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: 1,
    FieldDescriptor.TYPE_FIXED64: 1,
    FieldDescriptor.TYPE_SFIXED64: 1,
    FieldDescriptor.TYPE_FIXED32: 5,
    FieldDescriptor.TYPE_SFIXED32: 5,
    FieldDescriptor.TYPE_STRING: 2,
    FieldDescriptor.TYPE_BYTES: 2,
    FieldDescriptor.TYPE_MESSAGE: 2,
}

_Write = Callable[[Any, int], bytes]


def decode_traces(body: bytes, received_ns: int) -> DecodeResult:
    """Decode an ExportTraceServiceRequest in JSON. Raises `Undecodable`, `TooLarge`."""
    return _decode(TRACES, body, received_ns)


def decode_logs(body: bytes, received_ns: int) -> DecodeResult:
    """Decode an ExportLogsServiceRequest in JSON. Raises `Undecodable`, `TooLarge`."""
    return _decode(LOGS, body, received_ns)


def decode_metrics(body: bytes, received_ns: int) -> DecodeResult:
    """Decode an ExportMetricsServiceRequest in JSON. Raises `Undecodable`, `TooLarge`."""
    return _decode(METRICS, body, received_ns)


def check_json_size(body: bytes) -> None:
    """
    Refuse a body of spans in JSON that could take too much memory once it is read.

    Raises:
        TooLarge: above 8 MiB, which can take twenty times that. Never retried.
    """
    if len(body) > MAX_JSON_BYTES:
        msg = f"the JSON request has {len(body):,} bytes, and {MAX_JSON_BYTES:,} are allowed"
        raise TooLarge(msg, hint="send smaller batches, or protobuf")


def _decode(signal: Signal, body: bytes, received_ns: int) -> DecodeResult:
    check_json_size(body)
    if not body:
        return decode_request(signal, body, received_ns)
    document = _load(body)
    if not isinstance(document, dict):
        raise Undecodable("the request is not a JSON object")
    table = _get_table(signal.request.DESCRIPTOR)
    message = _write_message(table, document, 0)
    result = decode_request(signal, message, received_ns)
    if document and table.keys().isdisjoint(document):
        # it is a success by the specification, and its sender would never learn that nothing came
        known = ", ".join(f"`{name}`" for name in table)
        warning = f"nothing was stored: the request has no {known} (names are lowerCamelCase)"
        return replace(result, warnings=(*result.warnings, warning))
    return result


def _load(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        first = exc
    try:
        # slower, but reads lone surrogates and NaN, and wrong bytes are replaced before
        return json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as exc:
        raise Undecodable(f"not JSON: {first}") from exc


def _write_message(table: dict[str, _Write], value: Any, depth: int) -> bytes:
    if type(value) is not dict:
        raise Undecodable(f"expected an object, got {_kind(value)}")
    if depth > _MAX_DEPTH:
        raise Undecodable(f"values nest deeper than {_MAX_DEPTH} levels")
    parts = []
    for name, field_value in value.items():
        write = table.get(name)
        if write is not None and field_value is not None:
            parts.append(write(field_value, depth))
    return b"".join(parts)


@cache
def _get_table(descriptor: Descriptor) -> dict[str, _Write]:
    table: dict[str, _Write] = {}
    for field in descriptor.fields:
        write = _build_writer(field)
        table[field.json_name] = write
        if field.json_name in _OLD_NAMES:
            table[_OLD_NAMES[field.json_name]] = write
    return table


def _build_writer(field: FieldDescriptor) -> _Write:
    wire_type = _WIRE_TYPES.get(field.type, 0)
    if field.message_type is not None:
        tag = encode_varint(field.number << 3 | 2)
        if field.message_type.full_name.endswith(".KeyValue"):
            return partial(_write_pairs, tag, field.message_type)
        one = partial(_write_submessage, tag, field.message_type)
        return partial(_write_each, field.json_name, one) if field.is_repeated else one
    convert = _build_converter(field)
    if not field.is_repeated:
        tag = encode_varint(field.number << 3 | wire_type)
        return lambda value, depth: tag + convert(value)
    packed_tag = encode_varint(field.number << 3 | 2)
    if wire_type == 2:
        return partial(_write_each, field.json_name, lambda value, _: packed_tag + convert(value))
    return partial(_write_packed, field.json_name, packed_tag, convert)


def _write_submessage(tag: bytes, descriptor: Descriptor, value: Any, depth: int) -> bytes:
    content = _write_message(_get_table(descriptor), value, depth + 1)
    return tag + encode_varint(len(content)) + content


def _write_each(name: str, write: _Write, values: Any, depth: int) -> bytes:
    return b"".join([write(value, depth) for value in _list(name, values)])


def _write_packed(
    name: str, tag: bytes, convert: Callable[[Any], bytes], values: Any, _: int
) -> bytes:
    content = b"".join(map(convert, _list(name, values)))
    return tag + encode_varint(len(content)) + content


_pair_cache: dict[tuple[bytes, str, str, Any], bytes] = {}


def _write_pairs(tag: bytes, descriptor: Descriptor, values: Any, depth: int) -> bytes:
    """Write attributes. Most repeat from span to span, so each short one is written once."""
    parts = []
    for pair in _list("attributes", values):
        key: tuple[bytes, str, str, Any] | None = None
        try:
            ((kind, value),) = pair["value"].items()
            if type(value) is str and len(value) <= _MAX_CACHED_CHARS or type(value) is int:
                key = (tag, pair["key"], kind, value)
                parts.append(_pair_cache[key])
                continue
        except (KeyError, TypeError, ValueError, AttributeError):
            pass
        written = _write_submessage(tag, descriptor, pair, depth)
        if key and key[1] and len(key[1]) <= _MAX_CACHED_CHARS:
            if len(_pair_cache) >= _MAX_CACHED:
                _pair_cache.clear()
            _pair_cache[key] = written
        parts.append(written)
    return b"".join(parts)


def _build_converter(field: FieldDescriptor) -> Callable[[Any], bytes]:
    """Return the function that writes one value of *field* behind its tag."""
    name = field.json_name
    if field.type == FieldDescriptor.TYPE_STRING:
        return partial(_convert_text, name)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _convert_hex if field.name in _HEX_FIELDS else partial(_convert_base64, name)
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return partial(_convert_double, name)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return partial(_convert_bool, name)
    if field.enum_type is not None:
        return partial(_convert_enum, name, field.enum_type.values_by_name)
    bits = 32 if field.type in _BITS_32 else 64
    low, high = (0, 1 << bits) if field.type in _UNSIGNED else (-(1 << bits - 1), 1 << bits - 1)
    if field.type in (FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SINT64):
        write = _zigzag
    elif _WIRE_TYPES.get(field.type):
        write = partial(_fixed, bits // 8)
    else:
        write = _varint
    return lambda value: write(_whole(name, value, low, high))


def _convert_text(name: str, value: Any) -> bytes:
    if type(value) is not str:
        raise Undecodable(f"`{name}` is {_kind(value)}, not text")
    data = value.encode("utf-8", "replace")
    return encode_varint(len(data)) + data


def _convert_hex(value: Any) -> bytes:
    try:
        data = bytes.fromhex(value)
    except (ValueError, TypeError):
        data = _id_in_base64(value)
    return encode_varint(len(data)) + data


def _id_in_base64(value: Any) -> bytes:
    """
    Return an id that a general JSON writer of protobuf encoded: 24 or 12 characters, padded.

    Any other wrong id costs its span, not the request: the check of lengths finds `?`.
    """
    if type(value) is str and len(value) in (12, 24) and value.endswith("="):
        with contextlib.suppress(ValueError):
            return base64.b64decode(value, validate=True)
    return b"?"


def _convert_base64(name: str, value: Any) -> bytes:
    try:
        data = base64.b64decode(value)
    except (binascii.Error, ValueError, TypeError):
        raise Undecodable(f"`{name}` is not base64") from None
    return encode_varint(len(data)) + data


def _convert_double(name: str, value: Any) -> bytes:
    try:
        if type(value) is bool:
            raise ValueError
        return struct.pack("<d", float(value))
    except (ValueError, TypeError, OverflowError):
        raise Undecodable(f"`{name}` is {_kind(value)}, not a number") from None


def _convert_bool(name: str, value: Any) -> bytes:
    if type(value) is not bool:
        raise Undecodable(f"`{name}` is {_kind(value)}, not true or false")
    return b"\1" if value else b"\0"


def _convert_enum(name: str, names: Any, value: Any) -> bytes:
    if type(value) is str and not value.isdigit():
        # half a character, as JSON can spell it, cannot be looked up
        return _varint(names[value].number if value.isascii() and value in names else 0)
    return _varint(_whole(name, value, -(1 << 31), 1 << 31))


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if type(value) is int:
        number = value
    elif type(value) is str:
        try:
            number = int(value) if len(value) < 25 else high
        except ValueError:
            raise Undecodable(f"`{name}` is text, not a whole number") from None
    elif type(value) is float and math.isfinite(value) and value.is_integer():
        number = int(value)
    else:
        raise Undecodable(f"`{name}` is {_kind(value)}, not a whole number")
    if not low <= number < high:
        raise Undecodable(f"`{name}` is out of range")
    return number


def _varint(number: int) -> bytes:
    return encode_varint(number & 0xFFFFFFFFFFFFFFFF)


def _zigzag(number: int) -> bytes:
    return encode_varint(number << 1 if number >= 0 else (-number << 1) - 1)


def _fixed(size: int, number: int) -> bytes:
    return (number & (1 << 8 * size) - 1).to_bytes(size, "little")


def _list(name: str, value: Any) -> list[Any]:
    if type(value) is not list:
        raise Undecodable(f"`{name}` is {_kind(value)}, not a list")
    return value


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
