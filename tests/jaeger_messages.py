"""Jaeger batches in each encoding, written by the libraries that real senders use."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from jaeger_client.thrift_gen.agent import Agent
from jaeger_client.thrift_gen.jaeger import ttypes as generated
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TTransport import TMemoryBuffer

from collector.wire import jaeger_pb2 as wire

# the generated code has no types
ttypes: Any = generated
agent: Any = Agent


class _BinaryWriter(TBinaryProtocol):  # type: ignore[misc]  # thrift has no types
    """Writes bytes where text belongs, as other languages' senders may."""

    def writeString(self, value: str | bytes) -> None:  # noqa: N802
        self.writeBinary(value if isinstance(value, bytes) else value.encode())


class _CompactWriter(TCompactProtocol):  # type: ignore[misc]  # thrift has no types
    """Writes bytes where text belongs, as other languages' senders may."""

    def writeString(self, value: str | bytes) -> None:  # noqa: N802
        self.writeBinary(value if isinstance(value, bytes) else value.encode())


PROTOCOLS: dict[str, Any] = {"binary": _BinaryWriter, "compact": _CompactWriter}


def thrift_batch(process: Mapping[str, Any] | None, spans: Sequence[Mapping[str, Any]]) -> Any:
    """Build a Thrift batch from spans as the fixtures spell them."""
    sender = process and ttypes.Process(
        serviceName=process["serviceName"], tags=_thrift_tags(process.get("tags", {}))
    )
    return ttypes.Batch(process=sender, spans=[_thrift_span(span) for span in spans])


def written(value: Any, protocol: str) -> bytes:
    """Return a Thrift struct in the protocol `binary` or `compact`."""
    transport = TMemoryBuffer()
    value.write(PROTOCOLS[protocol](transport))
    return bytes(transport.getvalue())


def written_call(
    batch: Any, protocol: str, name: str = "emitBatch", kind: int = TMessageType.ONEWAY
) -> bytes:
    """Return an agent's call as it stands in a UDP packet."""
    transport = TMemoryBuffer()
    out = PROTOCOLS[protocol](transport)
    out.writeMessageBegin(name, kind, 1)
    agent.emitBatch_args(batch=batch).write(out)
    out.writeMessageEnd()
    return bytes(transport.getvalue())


def proto_request(
    process: Mapping[str, Any] | None, spans: Sequence[Mapping[str, Any]]
) -> wire.PostSpansRequest:
    """Build a PostSpansRequest from spans as the fixtures spell them."""
    request = wire.PostSpansRequest()
    if process is not None:
        request.batch.process.service_name = process["serviceName"].encode()
        _add_proto_tags(request.batch.process.tags, process.get("tags", {}))
    for span in spans:
        _fill_proto_span(request.batch.spans.add(), span)
    return request


def _thrift_span(span: Mapping[str, Any]) -> Any:
    low, high = _halves(span["traceId"])
    return ttypes.Span(
        traceIdLow=low,
        traceIdHigh=high,
        spanId=_signed(span["spanId"]),
        parentSpanId=_signed(span.get("parentSpanId", "0" * 16)),
        operationName=span.get("operationName", ""),
        references=[
            ttypes.SpanRef(
                refType=ttypes.SpanRefType._NAMES_TO_VALUES[ref["refType"]],
                traceIdLow=_halves(ref["traceId"])[0],
                traceIdHigh=_halves(ref["traceId"])[1],
                spanId=_signed(ref["spanId"]),
            )
            for ref in span.get("references", ())
        ],
        flags=span.get("flags", 0),
        startTime=span["startTime"],
        duration=span.get("duration", 0),
        tags=_thrift_tags(span.get("tags", {})),
        logs=[
            ttypes.Log(timestamp=log["timestamp"], fields=_thrift_tags(log["fields"]))
            for log in span.get("logs", ())
        ],
    )


def _thrift_tags(tags: Mapping[str, Any]) -> list[Any]:
    return [_thrift_tag(key, value) for key, value in tags.items()]


def _thrift_tag(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        raw = bytes.fromhex(value["binary"])
        return ttypes.Tag(key=key, vType=ttypes.TagType.BINARY, vBinary=raw)
    if isinstance(value, bool):
        return ttypes.Tag(key=key, vType=ttypes.TagType.BOOL, vBool=value)
    if isinstance(value, int):
        return ttypes.Tag(key=key, vType=ttypes.TagType.LONG, vLong=value)
    if isinstance(value, float):
        return ttypes.Tag(key=key, vType=ttypes.TagType.DOUBLE, vDouble=value)
    return ttypes.Tag(key=key, vType=ttypes.TagType.STRING, vStr=value)


def _fill_proto_span(target: wire.Span, span: Mapping[str, Any]) -> None:
    target.trace_id = bytes.fromhex(span["traceId"])
    target.span_id = bytes.fromhex(span["spanId"])
    target.operation_name = span.get("operationName", "").encode()
    target.flags = span.get("flags", 0)
    target.start_time.seconds, us = divmod(span["startTime"], 1_000_000)
    target.start_time.nanos = us * 1000
    # a Duration below zero has both parts below zero
    duration = span.get("duration", 0)
    target.duration.seconds = int(duration / 1_000_000)
    target.duration.nanos = (duration - int(duration / 1_000_000) * 1_000_000) * 1000
    references = list(span.get("references", ()))
    if "parentSpanId" in span:
        parent = {"refType": "CHILD_OF", "traceId": span["traceId"], "spanId": span["parentSpanId"]}
        references.insert(0, parent)
    for ref in references:
        target.references.add(
            trace_id=bytes.fromhex(ref["traceId"]),
            span_id=bytes.fromhex(ref["spanId"]),
            ref_type=ttypes.SpanRefType._NAMES_TO_VALUES[ref["refType"]],
        )
    _add_proto_tags(target.tags, span.get("tags", {}))
    for log in span.get("logs", ()):
        added = target.logs.add()
        added.timestamp.seconds, us = divmod(log["timestamp"], 1_000_000)
        added.timestamp.nanos = us * 1000
        _add_proto_tags(added.fields, log["fields"])


def _add_proto_tags(target: Any, tags: Mapping[str, Any]) -> None:
    for key, value in tags.items():
        name = key.encode()
        if isinstance(value, dict):
            target.add(key=name, v_type=4, v_binary=bytes.fromhex(value["binary"]))
        elif isinstance(value, bool):
            target.add(key=name, v_type=1, v_bool=value)
        elif isinstance(value, int):
            target.add(key=name, v_type=2, v_int64=value)
        elif isinstance(value, float):
            target.add(key=name, v_type=3, v_float64=value)
        else:
            target.add(key=name, v_str=value.encode())


def _halves(trace_id: str) -> tuple[int, int]:
    high, low = struct.unpack(">qq", bytes.fromhex(trace_id))
    return low, high


def _signed(span_id: str) -> int:
    (value,) = struct.unpack(">q", bytes.fromhex(span_id))
    return int(value)
