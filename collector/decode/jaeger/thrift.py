"""
Jaeger's Thrift, binary and compact, to `jaeger_model` spans.

The types are those that jaeger-client generated from jaeger.thrift. Thrift's C decoder fills them
(measured: 290 k spans/s; 27 k binary and 17 k compact without it); where the thrift package was
built without C, its Python decoder does the same. Both read text as bytes, for one tag that is not
UTF-8 must not cost the batch.

A declared length costs nothing: no string may be longer than the message, and the structs of one
message are counted against a budget, since a struct of one byte becomes an object of a hundred.

Source: jaegertracing/jaeger-idl thrift/jaeger.thrift, thrift/agent.thrift; Apache Thrift binary and
compact protocol specifications.
"""

import struct
from collections.abc import Iterable
from typing import Any

from jaeger_client.thrift_gen.agent import Agent
from jaeger_client.thrift_gen.jaeger import ttypes as generated
from thrift.protocol.TBinaryProtocol import TBinaryProtocol, TBinaryProtocolAccelerated
from thrift.protocol.TCompactProtocol import TCompactProtocol, TCompactProtocolAccelerated
from thrift.protocol.TProtocol import TProtocolBase, TProtocolException
from thrift.Thrift import TException, TMessageType, TType
from thrift.transport.TTransport import TMemoryBuffer

from collector.decode.jaeger.model import Batch, Binary, JaegerSpan, Process, Reference, Tag
from collector.errors import Undecodable

# the generated code has no types
_agent: Any = Agent
ttypes: Any = generated
# A tag with one letter as key and an empty value has 8 bytes in the compact form. Half a million
# structs are 50,000 ordinary spans in one batch, and 100 MB as objects.
_MIN_STRUCT_BYTES = 8
_MAX_STRUCTS = 500_000
# Below this size even a message of nothing but empty structs is small in memory.
_UNCOUNTED_BYTES = 262_144
_BINARY_MESSAGE = b"\x80\x01"
_OLD_BINARY_MESSAGE = b"\x00\x00\x00\x09emitBatch"
_COMPACT_MESSAGE = b"\x82"
_pack_ids = struct.Struct(">qq").pack
_pack_id = struct.Struct(">q").pack
_US = 1000
_Spec = tuple[Any, ...]


def read_binary(body: bytes) -> Batch:
    """
    Read a `Batch`, or an `emitBatch` call with one, in the binary protocol.

    Raises:
        Undecodable: the bytes are neither. Never retried.
    """
    is_call = body.startswith((_BINARY_MESSAGE, _OLD_BINARY_MESSAGE))
    return _read(body, is_call, _BinaryProtocol, TBinaryProtocolAccelerated)


def read_compact(body: bytes) -> Batch:
    """
    Read a `Batch`, or an `emitBatch` call with one, in the compact protocol.

    Raises:
        Undecodable: the bytes are neither. Never retried.
    """
    is_call = body.startswith(_COMPACT_MESSAGE)
    return _read(body, is_call, _CompactProtocol, TCompactProtocolAccelerated)


def _read(body: bytes, is_call: bool, plain: type[Any], accelerated: type[Any]) -> Batch:
    transport = TMemoryBuffer(body)
    budget = min(len(body) // _MIN_STRUCT_BYTES + 16, _MAX_STRUCTS)
    limits = {"string_length_limit": len(body), "container_length_limit": budget}
    try:
        protocol = accelerated(transport, **limits)
        if protocol._fast_decode is None:
            protocol = plain(transport, **limits)
            protocol.structs_left = budget
        if is_call:
            _read_call(protocol)
        target = _agent.emitBatch_args() if is_call else ttypes.Batch()
        if protocol._fast_decode is None:
            target.read(protocol)
        else:
            batch_type = _PLAIN_TYPES if len(body) < _UNCOUNTED_BYTES else _counted_types(budget)
            spec = _call_spec(batch_type) if is_call else batch_type[1]
            protocol._fast_decode(target, protocol, [type(target), spec])
        batch = target.batch if is_call else target
    except _THRIFT_ERRORS as exc:
        detail = str(exc) or type(exc).__name__
        msg = f"not a Jaeger batch in Thrift: {detail[:200]}"
        raise Undecodable(msg) from exc
    unread = len(body) - transport.cstringio_buf.tell()
    if unread:
        msg = f"{unread} bytes are left over after the Jaeger batch"
        raise Undecodable(msg)
    return _batch(batch)


def _read_call(protocol: Any) -> None:
    name, kind, _ = protocol.readMessageBegin()
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
    if text != "emitBatch" or kind not in (TMessageType.CALL, TMessageType.ONEWAY):
        msg = f"expected a call of emitBatch, got {text[:64]!r}"
        raise Undecodable(msg)


class _Bounded(TProtocolBase):  # type: ignore[misc]  # thrift has no types
    """A Python decoder with text left as bytes and structs counted."""

    structs_left = _MAX_STRUCTS

    def readString(self) -> Any:  # noqa: N802
        return self.readBinary()

    def readStructBegin(self) -> Any:  # noqa: N802
        self.structs_left -= 1
        if self.structs_left < 0:
            raise _too_many()
        return super().readStructBegin()


class _BinaryProtocol(_Bounded, TBinaryProtocol):  # type: ignore[misc]  # thrift has no types
    """Thrift's binary form."""


class _CompactProtocol(_Bounded, TCompactProtocol):  # type: ignore[misc]  # thrift has no types
    """Thrift's compact form."""


def _too_many() -> TProtocolException:
    return TProtocolException(TProtocolException.SIZE_LIMIT, "too many structs for its size")


# What thrift's decoders raise on bytes that are no message: they check little and let Python fail.
_THRIFT_ERRORS = (
    TException,
    EOFError,
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    MemoryError,
)


def _fields(*fields: tuple[int, str, Any]) -> dict[int, Any]:
    # "BINARY" makes the C decoder leave text as bytes; it means nothing to the other types.
    return {number: (number, kind, name, "BINARY", None) for number, name, kind in fields}


_TAG = _fields(
    (1, "key", TType.STRING),
    (2, "vType", TType.I32),
    (3, "vStr", TType.STRING),
    (4, "vDouble", TType.DOUBLE),
    (5, "vBool", TType.BOOL),
    (6, "vLong", TType.I64),
    (7, "vBinary", TType.STRING),
)
_LOG = _fields((1, "timestamp", TType.I64))
_REFERENCE = _fields(
    (1, "refType", TType.I32),
    (2, "traceIdLow", TType.I64),
    (3, "traceIdHigh", TType.I64),
    (4, "spanId", TType.I64),
)
_SPAN = _fields(
    (1, "traceIdLow", TType.I64),
    (2, "traceIdHigh", TType.I64),
    (3, "spanId", TType.I64),
    (4, "parentSpanId", TType.I64),
    (5, "operationName", TType.STRING),
    (7, "flags", TType.I32),
    (8, "startTime", TType.I64),
    (9, "duration", TType.I64),
)
_PROCESS = _fields((1, "serviceName", TType.STRING))


def _types(make: Any) -> tuple[type[Any], _Spec]:
    """
    Return the batch type and its specification as Thrift's C decoder wants it.

    The specifications that jaeger-client was generated with are of an older shape. *make* derives
    each struct's type from the generated one.
    """

    def list_of(number: int, name: str, base: type[Any], spec: _Spec) -> Any:
        return (number, TType.LIST, name, (TType.STRUCT, [make(base), spec], False), None)

    def spec(plain: dict[int, Any], *nested: Any) -> _Spec:
        fields = {**plain, **{field[0]: field for field in nested}}
        return (None, *(fields[number] for number in sorted(fields)))

    tag = spec(_TAG)
    log = spec(_LOG, list_of(2, "fields", ttypes.Tag, tag))
    span = spec(
        _SPAN,
        list_of(6, "references", ttypes.SpanRef, spec(_REFERENCE)),
        list_of(10, "tags", ttypes.Tag, tag),
        list_of(11, "logs", ttypes.Log, log),
    )
    process = spec(_PROCESS, list_of(2, "tags", ttypes.Tag, tag))
    batch = spec(
        {},
        (1, TType.STRUCT, "process", [make(ttypes.Process), process], None),
        list_of(2, "spans", ttypes.Span, span),
    )
    return make(ttypes.Batch), batch


def _call_spec(batch_type: tuple[type[Any], _Spec]) -> _Spec:
    return (None, (1, TType.STRUCT, "batch", list(batch_type), None))


def _plain_type(base: type[Any]) -> type[Any]:
    # The generated __init__ sets every field to None one by one; the class can say it once.
    fields = dict.fromkeys(field[2] for field in base.thrift_spec if field)
    return type(base.__name__, (base,), {**fields, "__init__": object.__init__})


_PLAIN_TYPES = _types(_plain_type)


def _counted_types(budget: int) -> tuple[type[Any], _Spec]:
    left = budget

    def count(self: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _too_many()

    return _types(lambda base: type(base.__name__, (_plain_type(base),), {"__init__": count}))


def _batch(batch: Any) -> Batch:
    if batch is None:
        return Batch(None, ())
    process = batch.process
    return Batch(
        process and Process(_bytes(process.serviceName), _tags(process.tags)),
        [_span(span) for span in batch.spans or ()],
    )


def _span(span: Any) -> JaegerSpan:
    return JaegerSpan(
        trace_id=_pack_ids(span.traceIdHigh or 0, span.traceIdLow or 0),
        span_id=_pack_id(span.spanId or 0),
        parent_id=_pack_id(span.parentSpanId or 0),
        name=_bytes(span.operationName),
        references=[
            Reference(
                _pack_ids(ref.traceIdHigh or 0, ref.traceIdLow or 0),
                _pack_id(ref.spanId or 0),
                ref.refType or 0,
            )
            for ref in span.references or ()
        ],
        flags=span.flags or 0,
        start_ns=(span.startTime or 0) * _US,
        duration_ns=(span.duration or 0) * _US,
        tags=_tags(span.tags),
        logs=[((log.timestamp or 0) * _US, _tags(log.fields)) for log in span.logs or ()],
        is_follower_parent_allowed=True,
    )


def _tags(tags: Iterable[Any] | None) -> list[Tag]:
    found: list[Tag] = []
    for tag in tags or ():
        kind = tag.vType
        if kind == 0:
            found.append((tag.key or b"", tag.vStr or b""))
        elif kind == 3:
            found.append((tag.key or b"", tag.vLong or 0))
        elif kind == 2:
            found.append((tag.key or b"", bool(tag.vBool)))
        elif kind == 1:
            found.append((tag.key or b"", tag.vDouble or 0.0))
        elif kind == 4:
            found.append((tag.key or b"", Binary(tag.vBinary or b"")))
        else:
            found.append((tag.key or b"", b"<unknown Jaeger tag type %d>" % (kind or 0)))
    return found


def _bytes(value: bytes | None) -> bytes:
    return value or b""
