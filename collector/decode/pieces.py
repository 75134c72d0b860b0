"""
Large OTLP requests as a run of small ones, without building their objects.

Parsing multiplies: two bytes of an empty attribute become 56 in memory, so 64 MiB of them would
be 1.8 GB. What is larger than a piece is therefore cut along its groups, scopes and items first.
Concatenated, the pieces are the request again: protobuf appends repeated fields.

Source: opentelemetry-proto 1.x. The three signals share these field numbers: request.groups 1,
group.resource 1, group.scopes 2, scope.scope 1, scope.items 2, schema_url 3.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from collector.errors import Undecodable

# worst case measured: 2 MiB of empty attributes or groups is 65 MB parsed
PIECE_BYTES = 2 * 1024 * 1024
MAX_ATTRIBUTES = 1024
# a resource is repeated in every row of its spans
_RESOURCE_BYTES = 256 * 1024
_ITEM_BYTES = 1024 * 1024
_MAX_FIELDS = 8_000_000
_RESOURCE, _SCOPES, _ITEMS, _SCOPE = 1, 2, 2, 1
_RESOURCE_ATTRIBUTES, _RESOURCE_DROPPED = 1, 2
_SCOPE_ATTRIBUTES, _SCOPE_DROPPED = 3, 4


@dataclass(frozen=True, slots=True)
class ItemShape:
    """
    Where an item (span, log record, metric) keeps its attributes; 0: it has none.

    `data` are the fields of a metric that hold data points, each as a repeated field 1.
    """

    attributes: int
    dropped: int
    data: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A request of a part of the items. `trimmed` counts the attributes that were left out."""

    message: bytes
    trimmed: int = 0


@dataclass(frozen=True, slots=True)
class TooLargeItem:
    """An item that stays too large without the attributes it could lose."""

    size: int


def read_fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """
    Yield (number, wire type, tag start, value start, value end) of each field in data[at:end].

    Raises:
        Undecodable: the bytes are not protobuf, or a group (OTLP has none). Never retried.
    """
    while at < end:
        start = at
        tag, at = _read_varint(data, at, end)
        wire_type = tag & 7
        if wire_type == 2:
            size, at = _read_varint(data, at, end)
            stop = at + size
        elif wire_type == 0:
            _, stop = _read_varint(data, at, end)
        elif wire_type == 1:
            stop = at + 8
        elif wire_type == 5:
            stop = at + 4
        else:
            raise Undecodable(f"wire type {wire_type} at byte {start}")
        if stop > end or tag < 8:
            raise Undecodable(f"the field at byte {start} runs past the end of its message")
        yield tag >> 3, wire_type, start, at, stop
        at = stop


def _read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise Undecodable(f"no whole number at byte {at}")


def write_varint(value: int) -> bytes:
    """Return *value*, which is not negative, as a protobuf varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_field(number: int, value: bytes) -> bytes:
    """Return a length-delimited field."""
    return write_varint(number << 3 | 2) + write_varint(len(value)) + value


def split(body: bytes, shape: ItemShape, limit: int) -> Iterator[Piece | TooLargeItem]:
    """
    Cut a request into pieces of about *limit* bytes, items in their order.

    Items above 1 MiB and resources above 256 KiB lose attributes, as do those with more than
    MAX_ATTRIBUTES. Unknown fields of the request itself are left out.

    Raises:
        Undecodable: the outer structure is not protobuf. Never retried.
    """
    waiting: list[bytes] = []
    size = 0
    for number, wire_type, start, at, stop in read_fields(body, 0, len(body)):
        if number != 1 or wire_type != 2:
            continue
        if size + stop - start > limit and waiting:
            yield Piece(b"".join(waiting))
            waiting, size = [], 0
        if stop - start > limit:
            yield from _split_group(body, at, stop, shape, limit)
        else:
            waiting.append(body[start:stop])
            size += stop - start
    if waiting:
        yield Piece(b"".join(waiting))


def _split_group(
    body: bytes, at: int, end: int, shape: ItemShape, limit: int
) -> Iterator[Piece | TooLargeItem]:
    head, scopes, trimmed = _read_head(
        body, at, end, (_RESOURCE, _SCOPES, _RESOURCE_ATTRIBUTES, _RESOURCE_DROPPED)
    )
    if trimmed or not scopes:
        yield Piece(write_field(1, head), trimmed)
    for scope_at, scope_end in scopes:
        scope_head, items, trimmed = _read_head(
            body, scope_at, scope_end, (_SCOPE, _ITEMS, _SCOPE_ATTRIBUTES, _SCOPE_DROPPED)
        )
        for piece in _split_items(body, items, shape, limit):
            if isinstance(piece, TooLargeItem):
                yield piece
                continue
            scope = write_field(_SCOPES, scope_head + piece.message)
            yield Piece(write_field(1, head + scope), piece.trimmed + trimmed)
            trimmed = 0


def _read_head(
    body: bytes, at: int, end: int, numbers: tuple[int, int, int, int]
) -> tuple[bytes, list[tuple[int, int]], int]:
    """Return what each piece repeats, the places of what is split, and what was trimmed."""
    owner, parts, attributes, dropped = numbers
    head: list[bytes] = []
    places: list[tuple[int, int]] = []
    trimmed = 0
    for number, wire_type, start, value_at, stop in read_fields(body, at, end):
        if number == parts and wire_type == 2:
            places.append((value_at, stop))
        elif number == owner and wire_type == 2:
            value = body[value_at:stop]
            if len(value) > _RESOURCE_BYTES:
                value, lost = trim(value, attributes, dropped, _RESOURCE_BYTES)
                trimmed += lost
            head.append(write_field(owner, value))
        elif stop - start <= _RESOURCE_BYTES:
            head.append(body[start:stop])
    return b"".join(head), places, trimmed


def _split_items(
    body: bytes, items: list[tuple[int, int]], shape: ItemShape, limit: int
) -> Iterator[Piece | TooLargeItem]:
    waiting: list[bytes] = []
    size = trimmed = 0
    for item in _fit_items(body, items, shape):
        if shape.attributes and len(item) > _ITEM_BYTES:
            item, lost = trim(item, shape.attributes, shape.dropped, _ITEM_BYTES)
            trimmed += lost
        if size + len(item) > limit and waiting:
            yield Piece(b"".join(waiting), trimmed)
            waiting, size, trimmed = [], 0, 0
        if len(item) > PIECE_BYTES:
            yield TooLargeItem(len(item))
            continue
        waiting.append(write_field(_ITEMS, item))
        size += len(item)
    if waiting:
        yield Piece(b"".join(waiting), trimmed)


def _fit_items(body: bytes, items: list[tuple[int, int]], shape: ItemShape) -> Iterator[bytes]:
    """Yield the items; a metric with very many data points becomes several of the same name."""
    for at, end in items:
        if end - at <= _ITEM_BYTES or not shape.data:
            yield body[at:end]
        else:
            yield from _split_metric(body, at, end, shape)


def _split_metric(body: bytes, at: int, end: int, shape: ItemShape) -> Iterator[bytes]:
    head: list[bytes] = []
    data: tuple[int, int, int] | None = None
    for number, wire_type, start, value_at, stop in read_fields(body, at, end):
        if number in shape.data and wire_type == 2:
            data = (number, value_at, stop)
        else:
            head.append(body[start:stop])
    if data is None:
        yield body[at:end]
        return
    points: list[bytes] = []
    rest: list[bytes] = []
    for number, _, start, _, stop in read_fields(body, data[1], data[2]):
        (points if number == 1 else rest).append(body[start:stop])
    waiting: list[bytes] = []
    size = 0
    for point in points:
        if size + len(point) > _ITEM_BYTES and waiting:
            yield b"".join(head) + write_field(data[0], b"".join(rest + waiting))
            waiting, size = [], 0
        waiting.append(point)
        size += len(point)
    yield b"".join(head) + write_field(data[0], b"".join(rest + waiting))


def trim(message: bytes, attributes: int, dropped: int, max_bytes: int) -> tuple[bytes, int]:
    """
    Leave out the attributes beyond MAX_ATTRIBUTES or *max_bytes* and raise the dropped count.

    Returns:
        The message and how many were left out. 0.35 us per attribute: a million take 0.4 s.

    Raises:
        Undecodable: more fields than any sender means seriously. Never retried.
    """
    kept: list[bytes] = []
    lost = count = size = already = fields = 0
    for number, wire_type, start, at, stop in read_fields(message, 0, len(message)):
        fields += 1
        if fields > _MAX_FIELDS:
            raise Undecodable(f"more than {_MAX_FIELDS} fields in one message")
        if number == attributes and wire_type == 2:
            if count == MAX_ATTRIBUTES or size + stop - start > max_bytes:
                lost += 1
                continue
            count, size = count + 1, size + stop - start
        elif number == dropped and wire_type == 0:
            already = _read_varint(message, at, stop)[0]
            continue
        kept.append(message[start:stop])
    total = min(already + lost, 0xFFFFFFFF)
    if total:
        kept.append(write_varint(dropped << 3) + write_varint(total))
    return b"".join(kept), lost
