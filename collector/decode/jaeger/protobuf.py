"""
Jaeger's protobuf (`api_v2.PostSpansRequest`) to `jaeger_model` spans.

Source: jaegertracing/jaeger-idl proto/api_v2/model.proto and collector.proto.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from collector.decode.jaeger.model import Batch, Binary, JaegerSpan, Process, Reference, Tag
from collector.decode.protobuf.slices import MAX_SPAN_BYTES, find_slices
from collector.errors import TooLarge, Undecodable
from collector.timestamps import NS_PER_S
from collector.wire import jaeger_pb2 as wire

_Message = TypeVar("_Message", bound=Message)
_ZERO_ID = bytes(8)


def read_protobuf(body: bytes) -> Batch:
    """
    Read a `PostSpansRequest`; its spans are parsed as they are asked for.

    Raises:
        TooLarge: its process alone is larger than a mebibyte. Never retried.
        Undecodable: the bytes are not that message; also later, by its spans. Never retried.
    """
    process: wire.Process | None = None
    spans: list[tuple[int, int]] = []
    for start, end in find_slices(body, 0, len(body)).get(1, ()):
        fields = find_slices(body, start, end)
        spans += fields.get(1, ())
        for at, stop in fields.get(2, ()):
            if stop - at > MAX_SPAN_BYTES:
                msg = f"its process has {stop - at:,} bytes, and {MAX_SPAN_BYTES:,} are allowed"
                raise TooLarge(msg)
            process = _parse(wire.Process, body[at:stop])
    return Batch(_process(process) if process is not None else None, _spans(body, spans))


def _spans(body: bytes, slices: Iterable[tuple[int, int]]) -> Iterator[JaegerSpan | None]:
    for at, stop in slices:
        is_small = stop - at <= MAX_SPAN_BYTES
        yield _span(_parse(wire.Span, body[at:stop])) if is_small else None


def _parse(kind: type[_Message], data: bytes) -> _Message:
    try:
        return kind.FromString(data)
    except DecodeError as exc:
        msg = f"not a Jaeger PostSpansRequest: {exc}"
        raise Undecodable(msg) from exc


def _span(span: wire.Span) -> JaegerSpan:
    return JaegerSpan(
        trace_id=_sized(span.trace_id, 16),
        span_id=_sized(span.span_id, 8),
        parent_id=_ZERO_ID,
        name=span.operation_name,
        references=[
            Reference(_sized(ref.trace_id, 16), _sized(ref.span_id, 8), ref.ref_type)
            for ref in span.references
        ],
        flags=span.flags,
        start_ns=_ns(span.start_time),
        duration_ns=_ns(span.duration),
        tags=_tags(span.tags),
        logs=[(_ns(log.timestamp), _tags(log.fields)) for log in span.logs],
        process=_process(span.process) if span.HasField("process") else None,
        warnings=list(span.warnings),
    )


def _process(process: wire.Process) -> Process:
    return Process(process.service_name, _tags(process.tags))


def _tags(tags: Iterable[wire.KeyValue]) -> list[Tag]:
    found: list[Tag] = []
    for tag in tags:
        kind = tag.v_type
        if kind == 0:
            found.append((tag.key, tag.v_str))
        elif kind == 1:
            found.append((tag.key, tag.v_bool))
        elif kind == 2:
            found.append((tag.key, tag.v_int64))
        elif kind == 3:
            found.append((tag.key, tag.v_float64))
        elif kind == 4:
            found.append((tag.key, Binary(tag.v_binary)))
        else:
            found.append((tag.key, b"<unknown Jaeger tag type %d>" % kind))
    return found


def _sized(value: bytes, width: int) -> bytes:
    """Pad a short id; one that is too long is none."""
    return value.rjust(width, b"\0") if len(value) <= width else bytes(width)


def _ns(moment: Timestamp | Duration) -> int:
    return moment.seconds * NS_PER_S + moment.nanos
