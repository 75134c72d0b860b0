"""
Gateway records to their wire form, written field by field.

The result is byte for byte what the generated class would write, which takes twice as long: most of
it goes into 50 keyword arguments that hardly differ from one record to the next. Until the end the
bytes are text of characters below 256: joining formatted text is the fastest that Python does.

Source: `wire/gateway_record.proto`; protobuf encoding.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from collector.model import GatewayRecord
from collector.wire import gateway_record_pb2 as wire
from collector.wire.varint import encode_varint

_LOW = 0x3FFF
_MOST_LENGTHS = 4096
_MOST_NUMBERS = 20_000
_MOST_COMBINATIONS = 4096
_MOST_PAIRS = 4096
_LONGEST_REMEMBERED = 2048


def _varint(value: int) -> str:
    return encode_varint(value).decode("latin-1")


class _Varints(dict[int, str]):
    """Whole numbers as varints. Durations are whole ms and sizes small: many come again."""

    def __missing__(self, value: int) -> str:
        if not -(1 << 63) <= value < 1 << 63:
            raise ValueError("does not fit into 64 bits")
        if len(self) >= _MOST_NUMBERS:
            self.clear()
        text = self[value] = _varint(value & (1 << 64) - 1)
        return text


class _Pairs(dict[tuple[str, str], str]):
    """Attributes as written. Most have few values; the others cost little more than without."""

    def __missing__(self, pair: tuple[str, str]) -> str:
        text = _write_pair("\xa2\x03", *pair)
        if len(text) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_PAIRS:
                self.clear()
            self[pair] = text
        return text


_NUMBERS = _Varints()
_ATTRIBUTES = _Pairs()
_shared: dict[tuple[Any, ...], tuple[str, ...]] = {}
# what a list holds is found faster than what a function works out
_LENGTHS = [_varint(length) for length in range(_MOST_LENGTHS)]
_CONTINUED = [chr(low & 0x7F | 0x80) + chr(low >> 7 | 0x80) for low in range(_LOW + 1)]


def write_records(records: Iterable[GatewayRecord]) -> bytes:
    """
    Return *records*, in their order, as one GatewayRecords message.

    Raises:
        ValueError: a text is not Unicode, or a number outside the wire's range.
    """
    written = [_write(record) for record in records]
    return "".join([f"\n{_length(text)}{text}" for text in written]).encode("latin-1")


def _write(record: GatewayRecord) -> str:
    texts: Sequence[str] = _get_texts(record)
    if not "".join(texts).isascii():
        texts = [_as_bytes(text) for text in texts]
    shared = _get_shared(record)
    return _write_fields(record, _shared.get(shared) or _write_shared(record, shared), texts)


def _write_start(start_ns: int) -> str:
    # a moment is never seen again, but what is above a quarter of a second is
    if 1 << 28 <= start_ns < 1 << 63:
        low = _CONTINUED[start_ns & _LOW] + _CONTINUED[start_ns >> 14 & _LOW]
        return f"\x18{low}{_NUMBERS[start_ns >> 28]}"
    return "\x18" + _NUMBERS[start_ns] if start_ns else ""


def _length(text: str) -> str:
    return _LENGTHS[len(text)] if len(text) < _MOST_LENGTHS else _varint(len(text))


def _write_pair(tag: str, key: str, value: str) -> str:
    if not (key.isascii() and value.isascii()):
        key, value = _as_bytes(key), _as_bytes(value)
    text = f"\n{_length(key)}{key}" if key else ""
    if value:
        text = f"{text}\x12{_length(value)}{value}"
    return f"{tag}{_length(text)}{text}"


def _as_bytes(text: str) -> str:
    return text.encode().decode("latin-1")


def _write_shared(record: GatewayRecord, shared: tuple[Any, ...]) -> tuple[str, ...]:
    """Write the runs with the generated class, and remember them while they are few and short."""
    runs = []
    for names in _RUNS:
        message = wire.GatewayRecord()
        for name in names:
            value = getattr(record, name)
            if name == "quality":
                message.quality.extend(value)
            elif value is not None:
                setattr(message, name, value)
        runs.append(message.SerializeToString().decode("latin-1"))
    found = tuple(runs)
    if sum(map(len, found)) <= _LONGEST_REMEMBERED:
        if len(_shared) >= _MOST_COMBINATIONS:
            _shared.clear()
        _shared[shared] = found
    return found


# What few values fill in most records, in runs as the other fields part them; texts that vary; and
# both beside the numbers, in the order of their tags.
# fields: generated from model.GatewayRecord
_RUNS = (
    ("gateway",),
    ("instance", "source", "kind"),
    ("trace_id_source",),
    ("resolution_ns", "method", "scheme", "host"),
    ("route", "protocol", "status", "is_error", "api", "api_revision", "operation", "product"),
    ("region",),
    ("backend_method",),
    ("backend_status", "backend_id", "attempts", "cache"),
    ("error_source", "error_scope", "error_section", "error_reason"),
    ("weight", "quality"),
    ("is_probe",),
)
_TEXTS = (
    "record_id",
    "trace_id",
    "parent_span_id",
    "outgoing_span_id",
    "path",
    "consumer",
    "user",
    "client_address",
    "backend_host",
    "backend_path",
    "error_message",
    "raw",
)


def _write_fields(r: GatewayRecord, runs: Sequence[str], texts: Sequence[str]) -> str:
    t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11 = texts
    f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10 = runs
    n = _LENGTHS
    parts = (
        f0,
        f"\x12{n[len(t0)]}{t0}" if t0 else "",
        _write_start(r.start_ns),
        f1,
        "".join([_write_pair("\x3a", each.kind, each.value) for each in r.ids]) if r.ids else "",
        f"\x42{n[len(t1)]}{t1}" if t1 else "",
        f2,
        f"\x52{n[len(t2)]}{t2}" if t2 else "",
        f"\x5a{n[len(t3)]}{t3}" if t3 else "",
        "" if r.is_sampled is None else "\x60\x01" if r.is_sampled else "\x60\x00",
        "" if r.duration_ns is None else "\x68" + _NUMBERS[r.duration_ns],
        "" if r.client_ns is None else "\x70" + _NUMBERS[r.client_ns],
        "" if r.gateway_ns is None else "\x78" + _NUMBERS[r.gateway_ns],
        "" if r.cache_ns is None else "\x80\x01" + _NUMBERS[r.cache_ns],
        "" if r.backend_ns is None else "\x88\x01" + _NUMBERS[r.backend_ns],
        f3,
        f"\xb2\x01{n[len(t4)]}{t4}" if t4 else "",
        f4,
        f"\xfa\x01{n[len(t5)]}{t5}" if t5 else "",
        f"\x82\x02{n[len(t6)]}{t6}" if t6 else "",
        f5,
        f"\x92\x02{n[len(t7)]}{t7}" if t7 else "",
        f6,
        f"\xa2\x02{n[len(t8)]}{t8}" if t8 else "",
        f"\xaa\x02{n[len(t9)]}{t9}" if t9 else "",
        f7,
        "" if r.request_bytes is None else "\xd0\x02" + _NUMBERS[r.request_bytes],
        "" if r.response_bytes is None else "\xd8\x02" + _NUMBERS[r.response_bytes],
        f8,
        f"\x82\x03{n[len(t10)]}{t10}" if t10 else "",
        "" if r.error_elapsed_ns is None else "\x88\x03" + _NUMBERS[r.error_elapsed_ns],
        f9,
        "".join(map(_ATTRIBUTES.__getitem__, r.attributes.items())),
        f"\xaa\x03{_length(t11)}{t11}" if t11 else "",
        f10,
    )
    return "".join(parts)


# end


_get_shared = attrgetter(*(name for run in _RUNS for name in run))
_get_texts = attrgetter(*_TEXTS)
