"""
Writes spans as OTLP protobuf bytes without building message objects.

Building upb messages attribute by attribute costs about 1 us each; most attributes of a batch
repeat, so here each distinct one is encoded once and remembered for the batch. What is written then
goes through the same checks as a received OTLP request, so it is parsed and serialized by the
protobuf library before anything is acknowledged.

Source: opentelemetry-proto v1.11 trace.proto, common.proto, resource.proto (field numbers); the
protobuf encoding specification.
"""

import struct
from collections.abc import Iterable, Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.decode.otlp.protobuf import TRACES, canonicalise
from collector.decode.protobuf.split import PIECE_BYTES
from collector.decode.result import DecodeResult, Tally
from collector.wire.varint import encode_varint

Text = str | bytes
Value = str | bytes | bool | int | float
MAX_TIME_NS = (1 << 63) - 1
MAX_EVENTS = 1024
MAX_LINKS = 128
# What repeats is short; long values would only be held twice.
_MAX_KNOWN = 50_000
_MAX_KNOWN_CHARS = 200
# Above this an encoded resource or span is refused alone: it must fit a piece with room to spare.
_MAX_PART_BYTES = PIECE_BYTES // 2
_TWO_64 = 1 << 64
_fixed64 = struct.Struct("<Q").pack
_double = struct.Struct("<d").pack
_fixed32 = struct.Struct("<I").pack
_ONE_BYTE = [bytes((number,)) for number in range(128)]


class UnusableSpanError(Exception):
    """
    One span is left out; the rest of its batch goes on.

    `code` is a key of `canonical.FAULTS`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def delimited(data: bytes) -> bytes:
    """Put the length in front."""
    size = len(data)
    return _ONE_BYTE[size] + data if size < 128 else encode_varint(size) + data


class SpanWriter:
    """
    One canonical trace request in the making.

    Spans are grouped by resource and scope, each in order of arrival. `index` is the place of the
    span at hand in what was received; repairs and rejections are counted under it.
    """

    def __init__(self, received_ns: int) -> None:
        self.index = 0
        self._received_ns = received_ns
        self._tally = Tally("spans")
        self._rejected = 0
        self._keys: dict[Text, bytes] = {}
        self._texts: dict[tuple[Text, Text], bytes] = {}
        self._values: dict[tuple[Text, type, Value], bytes] = {}
        self._groups: dict[bytes, dict[bytes, list[bytes]]] = {}
        self._size = 0
        self._pieces: list[bytes] = []

    @property
    def received_ns(self) -> int:
        """When the request arrived."""
        return self._received_ns

    def repair(self, code: str, count: int = 1) -> None:
        """Count a repair of the span at hand; *code* is a key of `canonical.REPAIRS`."""
        self._tally.repair(code, self.index, count)

    def reject(self, code: str) -> None:
        """Count the span at hand as rejected."""
        self._tally.reject(code, self.index)
        self._rejected += 1

    def text(self, value: Text) -> bytes:
        """Return *value* as valid UTF-8."""
        if isinstance(value, str):
            try:
                return value.encode()
            except UnicodeEncodeError:
                self.repair("text")
                # Lone surrogates: JSON can spell them, UTF-8 cannot.
                return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        try:
            value.decode()
        except UnicodeDecodeError:
            self.repair("text")
            return value.decode("utf-8", "replace").encode()
        return value

    def text_attribute(self, key: Text, value: Text) -> bytes:
        """Encode a text attribute: the KeyValue with its length, without a field tag."""
        known = self._texts.get((key, value))
        if known is None:
            text = self.text(value)
            size = len(text)
            head = self._key(key)
            if size + len(head) < 122:
                # all four lengths take one byte: put together without a call for each
                total = _ONE_BYTE[len(head) + size + 4]
                parts = (total, head, b"\x12", _ONE_BYTE[size + 2], b"\x0a", _ONE_BYTE[size], text)
                known = b"".join(parts)
            else:
                known = delimited(head + b"\x12" + delimited(b"\x0a" + delimited(text)))
            if size <= _MAX_KNOWN_CHARS and len(self._texts) < _MAX_KNOWN:
                self._texts[key, value] = known
        return known

    def attribute(self, key: Text, value: Value) -> bytes:
        """Encode an attribute by its Python type; bytes are text, a subclass of bytes is not."""
        kind = type(value)
        if kind is str or kind is bytes:
            return self.text_attribute(key, value)  # type: ignore[arg-type]  # checked by kind
        # True == 1 and 0.0 == -0.0, so the type is part of the key and floats are not kept.
        known = None if kind is float else self._values.get((key, kind, value))
        if known is None:
            known = delimited(self._key(key) + b"\x12" + delimited(_any_value(value)))
            if kind is not float and len(self._values) < _MAX_KNOWN:
                self._values[key, kind, value] = known
        return known

    def add(self, resource: bytes, scope: bytes, span: bytes) -> None:
        """
        Add an encoded span; *resource* and *scope* are encoded messages, b"" for none.

        Raises:
            UnusableSpanError: it is too large to be stored.
        """
        size = len(resource) + len(scope) + len(span)
        if size > _MAX_PART_BYTES:
            raise UnusableSpanError("too_large")
        if self._size + size > PIECE_BYTES:
            self._close_piece()
        scopes = self._groups.setdefault(resource, {})
        if scope not in scopes:
            self._size += len(resource) + len(scope)
        scopes.setdefault(scope, []).append(span)
        self._size += len(span)

    def finish(self) -> DecodeResult:
        """Return the outcome; the writer is used up."""
        self._close_piece()
        messages = []
        for piece in self._pieces:
            request = ExportTraceServiceRequest.FromString(piece)
            messages.append(
                canonicalise(TRACES, request, len(piece), self._tally, self._received_ns)
            )
        self._tally.seen += self._rejected
        return self._tally.finish(messages)

    def _close_piece(self) -> None:
        parts: list[bytes] = []
        for resource, scopes in self._groups.items():
            body = [b"\x0a", delimited(resource)] if resource else []
            for scope, spans in scopes.items():
                head = b"\x0a" + delimited(scope) if scope else b""
                body += [b"\x12", delimited(head + b"".join(spans))]
            parts += [b"\x0a", delimited(b"".join(body))]
        if parts:
            self._pieces.append(b"".join(parts))
        self._groups, self._size = {}, 0

    def _key(self, key: Text) -> bytes:
        known = self._keys.get(key)
        if known is None:
            known = self._keys[key] = b"\x0a" + delimited(self.text(key))
        return known


def encode_resource(attributes: Iterable[bytes]) -> bytes:
    """Encode a Resource from encoded attributes."""
    return b"\x0a".join((b"", *attributes))


def encode_scope(name: bytes, version: bytes) -> bytes:
    """Encode an InstrumentationScope; b"" when both are empty."""
    return _field(b"\x0a", name) + _field(b"\x12", version)


def encode_event(time_ns: int, name: bytes, attributes: Iterable[bytes], dropped: int = 0) -> bytes:
    """Encode a Span.Event."""
    head = b"\x09" + _fixed64(time_ns) + _field(b"\x12", name)
    tail = b"\x20" + encode_varint(dropped) if dropped else b""
    return b"\x1a".join((head, *attributes)) + tail


def encode_link(
    trace_id: bytes, span_id: bytes, state: bytes, attributes: Iterable[bytes], dropped: int = 0
) -> bytes:
    """Encode a Span.Link."""
    head = b"\x0a\x10" + trace_id + b"\x12\x08" + span_id + _field(b"\x1a", state)
    tail = b"\x28" + encode_varint(dropped) if dropped else b""
    return b"\x22".join((head, *attributes)) + tail


def encode_span(
    *,
    trace_id: bytes,
    span_id: bytes,
    parent_id: bytes,
    name: bytes,
    kind: int,
    start_ns: int,
    end_ns: int,
    attributes: Mapping[Text, bytes],
    events: Iterable[bytes] = (),
    links: Iterable[bytes] = (),
    status_code: int = 0,
    status_message: bytes = b"",
    trace_state: bytes = b"",
    flags: int = 0,
    dropped: tuple[int, int, int] = (0, 0, 0),
) -> bytes:
    """
    Encode a Span as a field of ScopeSpans, tag and length included.

    *attributes* maps each key to its encoded attribute: a key that came twice counts once, with
    its last value, because OTLP wants keys to be unique. *dropped* counts the attributes, events
    and links that were left out.
    """
    parts = [b"\x0a\x10", trace_id, b"\x12\x08", span_id, _field(b"\x1a", trace_state)]
    if parent_id:
        parts += (b"\x22\x08", parent_id)
    parts.append(_field(b"\x2a", name))
    if kind:
        parts += (b"\x30", _ONE_BYTE[kind])
    parts += (b"\x39", _fixed64(start_ns), b"\x41", _fixed64(end_ns))
    parts.append(b"\x4a".join((b"", *attributes.values())))
    parts += [b"\x5a" + delimited(event) for event in events]
    parts += [b"\x6a" + delimited(link) for link in links]
    if any(dropped):
        counts = zip((b"\x50", b"\x60", b"\x70"), dropped, strict=True)
        parts += [tag + encode_varint(count) for tag, count in counts if count > 0]
    if status_code or status_message:
        code = b"\x18" + _ONE_BYTE[status_code] if status_code else b""
        parts += (b"\x7a", delimited(_field(b"\x12", status_message) + code))
    if flags:
        parts += (b"\x85\x01", _fixed32(flags))
    return b"\x12" + delimited(b"".join(parts))


def _field(tag: bytes, data: bytes) -> bytes:
    return tag + delimited(data) if data else b""


def _any_value(value: Value) -> bytes:
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            return b"\x0a" + delimited(str(value).encode())
        return b"\x18" + encode_varint(value % _TWO_64)
    if isinstance(value, float):
        return b"\x21" + _double(value)
    assert isinstance(value, bytes)
    return b"\x3a" + delimited(value)
