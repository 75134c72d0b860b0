"""
Large OTLP requests as a run of small ones, without building their objects.

Parsing multiplies: two bytes of an empty attribute become 56 in memory, so 64 MiB of them would
be 1.8 GB. What is larger than a piece is therefore cut along its groups, scopes and items first.
Concatenated, the pieces are the request again: protobuf appends repeated fields.

Source: opentelemetry-proto 1.x. The three signals share these field numbers: request.groups 1,
group.resource 1, group.scopes 2, scope.scope 1, scope.items 2, schema_url 3.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from collector.errors import Undecodable
from collector.wire.varint import encode_varint

# worst case measured: 2 MiB of empty attributes or groups is 65 MB parsed
PIECE_BYTES = 2 * 1024 * 1024
MAX_ATTRIBUTES = 1024
# a resource is repeated in every row of its spans
_RESOURCE_BYTES = 256 * 1024
_ITEM_BYTES = 1024 * 1024
# 64 MiB of the smallest spans there are, looked at twice; walking them takes 0.8 s
_MAX_PARTS = 2_000_000
_MAX_HEAD_FIELDS = 100
_GROUPS, _SCOPES, _ITEMS = 1, 2, 2
# the fields of owner, parts, and the owner's attributes and dropped count
_GROUP_NUMBERS = (1, _SCOPES, 1, 2)
_SCOPE_NUMBERS = (1, _ITEMS, 3, 4)


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
            raise Undecodable(f"unknown wire type {wire_type} at byte {start}")
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
    raise Undecodable(f"invalid varint at byte {at}")


def write_field(number: int, value: bytes) -> bytes:
    """Return a length-delimited field."""
    return encode_varint(number << 3 | 2) + encode_varint(len(value)) + value


def split(body: bytes, shape: ItemShape, limit: int) -> Iterator[Piece | TooLargeItem]:
    """
    Cut a request into pieces of about *limit* bytes, items in their order.

    Items above 1 MiB and resources above 256 KiB lose attributes, as do those with more than
    MAX_ATTRIBUTES. Unknown fields of the request itself are left out.

    Raises:
        Undecodable: the outer structure is not protobuf, or has more parts than any sender means
            seriously. Never retried.
    """
    return _Splitter(body, shape, limit).split()


class _Splitter:
    """
    One request being cut.

    Nothing is kept per part: 60 MB of empty groups would be 4 GB of places to remember.
    """

    def __init__(self, body: bytes, shape: ItemShape, limit: int) -> None:
        self._body = body
        self._shape = shape
        self._limit = limit
        self._parts = 0

    def split(self) -> Iterator[Piece | TooLargeItem]:
        for run in self.find_runs(0, len(self._body), _GROUPS):
            if run.is_large:
                yield from self._split_group(run.value_at, run.stop)
            else:
                yield Piece(self._body[run.start : run.stop])

    def _split_group(self, at: int, end: int) -> Iterator[Piece | TooLargeItem]:
        head, trimmed = self._read_head(at, end, _GROUP_NUMBERS)
        if trimmed:
            yield Piece(write_field(_GROUPS, head), trimmed)
        for run in self.find_runs(at, end, _SCOPES):
            if run.is_large:
                yield from self._split_scope(run.value_at, run.stop, head)
            else:
                yield Piece(write_field(_GROUPS, head + self._body[run.start : run.stop]))

    def _split_scope(self, at: int, end: int, head: bytes) -> Iterator[Piece | TooLargeItem]:
        scope_head, trimmed = self._read_head(at, end, _SCOPE_NUMBERS)
        for run in self.find_runs(at, end, _ITEMS):
            if not run.is_large:
                parts: Iterable[Piece | TooLargeItem] = [Piece(self._body[run.start : run.stop])]
            else:
                parts = self._fit_item(self._body[run.value_at : run.stop])
            for part in parts:
                if isinstance(part, TooLargeItem):
                    yield part
                    continue
                scope = write_field(_SCOPES, scope_head + part.message)
                yield Piece(write_field(_GROUPS, head + scope), part.trimmed + trimmed)
                trimmed = 0

    def find_runs(self, at: int, end: int, number: int) -> Iterator["_Run"]:
        """Yield neighbouring fields of *number* together up to the limit, larger ones alone."""
        run: _Run | None = None
        for found, wire_type, start, value_at, stop in self._fields(at, end):
            if run and (found != number or start != run.stop or stop - run.start > self._limit):
                yield run
                run = None
            if found != number or wire_type != 2:
                continue
            if stop - start > self._limit:
                yield _Run(start, value_at, stop, is_large=True)
            elif run is None:
                run = _Run(start, value_at, stop)
            else:
                run.stop = stop
        if run:
            yield run

    def _fields(self, at: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
        for field in read_fields(self._body, at, end):
            self._parts += 1
            if self._parts > _MAX_PARTS:
                raise _too_many_parts()
            yield field

    def _read_head(
        self, at: int, end: int, numbers: tuple[int, int, int, int]
    ) -> tuple[bytes, int]:
        """Return what each piece repeats and how many attributes were left out of it."""
        owner, parts, attributes, dropped = numbers
        head: list[bytes] = []
        trimmed = 0
        for number, wire_type, start, value_at, stop in self._fields(at, end):
            if number == parts:
                continue
            if number == owner and wire_type == 2:
                value = self._body[value_at:stop]
                if len(value) > _RESOURCE_BYTES:
                    value, lost = trim(value, attributes, dropped, _RESOURCE_BYTES)
                    trimmed += lost
                head.append(write_field(owner, value))
            elif stop - start <= _RESOURCE_BYTES and len(head) < _MAX_HEAD_FIELDS:
                head.append(self._body[start:stop])
        return b"".join(head), trimmed

    def _fit_item(self, item: bytes) -> Iterator[Piece | TooLargeItem]:
        """Yield an item that is larger than a piece so that it fits, in parts if it is a metric."""
        parts: Iterable[bytes] = [item]
        if self._shape.data and len(item) > _ITEM_BYTES:
            parts = _split_metric(item, self._shape)
        for part in parts:
            lost = 0
            if self._shape.attributes and len(part) > _ITEM_BYTES:
                part, lost = trim(part, self._shape.attributes, self._shape.dropped, _ITEM_BYTES)
            if len(part) > PIECE_BYTES:
                yield TooLargeItem(len(part))
            else:
                yield Piece(write_field(_ITEMS, part), lost)


@dataclass(slots=True)
class _Run:
    """Neighbouring fields of one number, from the first's tag to the last's end."""

    start: int
    value_at: int
    stop: int
    is_large: bool = False


def _read_few(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield what `read_fields` does, of a message that a sender may mean seriously."""
    for count, field in enumerate(read_fields(data, at, end)):
        if count == _MAX_PARTS:
            raise _too_many_parts()
        yield field


def _too_many_parts() -> Undecodable:
    return Undecodable(f"the request has more than {_MAX_PARTS:,} fields")


def _split_metric(metric: bytes, shape: ItemShape) -> Iterator[bytes]:
    """Yield a metric with very many data points as several of the same name."""
    head: list[bytes] = []
    data: tuple[int, int, int] | None = None
    for number, wire_type, start, value_at, stop in _read_few(metric, 0, len(metric)):
        if number in shape.data and wire_type == 2:
            data = (number, value_at, stop)
        elif len(head) < _MAX_HEAD_FIELDS:
            head.append(metric[start:stop])
    if data is None:
        yield metric
        return
    number, at, end = data
    rest = b"".join(
        metric[start:stop] for field, _, start, _, stop in _read_few(metric, at, end) if field != 1
    )
    points = _Splitter(metric, shape, _ITEM_BYTES)
    for run in points.find_runs(at, end, 1):
        yield b"".join(head) + write_field(number, rest + metric[run.start : run.stop])


def trim(message: bytes, attributes: int, dropped: int, max_bytes: int) -> tuple[bytes, int]:
    """
    Leave out the attributes beyond MAX_ATTRIBUTES or *max_bytes* and raise the dropped count.

    Returns:
        The message and how many were left out. 0.35 us per attribute: a million take 0.4 s.

    Raises:
        Undecodable: more fields than any sender means seriously. Never retried.
    """
    kept: list[bytes] = []
    lost = count = size = already = 0
    for number, wire_type, start, at, stop in _read_few(message, 0, len(message)):
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
        kept.append(encode_varint(dropped << 3) + encode_varint(total))
    return b"".join(kept), lost
