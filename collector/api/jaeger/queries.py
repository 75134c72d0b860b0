"""
Jaeger's query API over gRPC: `jaeger.api_v2.QueryService` and `jaeger.api_v3.QueryService`.

Source: jaegertracing/jaeger-idl proto/api_v2/query.proto, proto/api_v3/query_service.proto.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from collector.api.jaeger.messages import chunk_otlp, chunk_spans, read_moment, read_search
from collector.api.jaeger.v3 import find_operations, get_trace, summarise
from collector.api.traces.shown import ShownTrace, show_trace
from collector.errors import BadQuestion, NotFound, UnknownDoor
from collector.query.service import QueryService
from collector.wire import jaeger_pb2 as wire

_V2 = "/jaeger.api_v2.QueryService/"
_V3 = "/jaeger.api_v3.QueryService/"
_NOT_FOUND = "trace not found"

Chunk = Callable[[ShownTrace], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Query:
    """
    One method: how it is answered, with one message or many, and whether it is about one trace.

    `request` is the message that asks.
    """

    answer: Callable[[QueryService, bytes], Iterable[bytes]]
    request: type[Any]
    is_stream: bool = False
    is_about_one: bool = False


def describe(query: Query, body: bytes) -> str:
    """Return what a message asks as JSON, for a log."""
    try:
        message = query.request.FromString(body)
    except DecodeError:
        return "(unreadable)"
    document = MessageToDict(message, preserving_proto_field_name=True)
    if isinstance(trace_id := getattr(message, "trace_id", ""), bytes):
        document["trace_id"] = trace_id.hex()
    return json.dumps(document)


def _get_v2(questions: QueryService, body: bytes) -> Iterator[bytes]:
    request = _read(wire.V2GetTraceRequest, body)
    if not request.trace_id.strip(b"\0"):
        msg = "uninitialized TraceID is not allowed"
        raise BadQuestion(msg)
    if len(request.trace_id) not in (8, 16):
        msg = f"trace_id: {len(request.trace_id)} bytes are not a trace id"
        raise BadQuestion(msg)
    yield from chunk_spans(_get(questions, request.trace_id.hex(), is_raw=request.raw_traces))


def _get_v3(questions: QueryService, body: bytes) -> Iterator[bytes]:
    request = _read(wire.V3GetTraceRequest, body)
    yield from chunk_otlp(_get(questions, request.trace_id, is_raw=request.raw_traces))


def _get(questions: QueryService, trace_id: str, *, is_raw: bool) -> ShownTrace:
    try:
        return get_trace(questions, trace_id, is_raw=is_raw)
    except NotFound as error:
        raise NotFound(_NOT_FOUND) from error


def _find(
    questions: QueryService, body: bytes, chunk: Chunk, *, needs_range: bool
) -> Iterator[bytes]:
    for trace in _search(questions, body, needs_range=needs_range):
        yield from chunk(trace)


def _summarise(questions: QueryService, body: bytes) -> Iterator[bytes]:
    for trace in _search(questions, body, needs_range=True):
        told = summarise(trace)
        summary = wire.TraceSummary(
            trace_id=told["traceId"],
            root_service_name=told["rootServiceName"],
            root_operation_name=told["rootOperationName"],
            min_start_time_unix_nano=int(told["minStartTimeUnixNano"]),
            max_end_time_unix_nano=int(told["maxEndTimeUnixNano"]),
            span_count=told["spanCount"],
            error_span_count=told["errorSpanCount"],
            orphan_span_count=told["orphanSpanCount"],
            services=[
                wire.ServiceSummary(
                    name=each["name"],
                    span_count=each["spanCount"],
                    error_span_count=each["errorSpanCount"],
                )
                for each in told["services"]
            ],
        )
        yield wire.FindTraceSummariesResponse(summaries=[summary]).SerializeToString()


def _search(questions: QueryService, body: bytes, *, needs_range: bool) -> Iterator[ShownTrace]:
    request = _read(wire.FindTracesRequest, body)
    if not request.HasField("query"):
        msg = "missing query"
        raise BadQuestion(msg)
    search = read_search(request.query, questions.now_ns(), needs_range=needs_range)
    shown = (show_trace(each, is_raw=search.is_raw) for each in questions.traces.find(search))
    return (trace for trace in shown if trace.spans)


def _services(questions: QueryService, body: bytes) -> Iterator[bytes]:
    _read(wire.GetServicesRequest, body)
    yield wire.GetServicesResponse(services=questions.traces.services()).SerializeToString()


def _operations(questions: QueryService, body: bytes, *, is_v2: bool) -> Iterator[bytes]:
    request = _read(wire.GetOperationsRequest, body)
    found = find_operations(questions, request.service, request.span_kind)
    operations = [wire.Operation(name=name, span_kind=kind.lower()) for name, kind in found]
    if is_v2:
        names = sorted({name for name, _ in found})
        yield wire.V2GetOperationsResponse(
            operation_names=names, operations=operations
        ).SerializeToString()
    else:
        yield wire.V3GetOperationsResponse(operations=operations).SerializeToString()


def _dependencies(questions: QueryService, body: bytes) -> Iterator[bytes]:
    request = _read(wire.GetDependenciesRequest, body)
    start_ns, end_ns = read_moment(request.start_time), read_moment(request.end_time)
    if not start_ns or not end_ns:
        msg = "start_time and end_time are required"
        raise BadQuestion(msg)
    if start_ns >= end_ns:
        msg = "end_time must be after start_time"
        raise BadQuestion(msg)
    calls = questions.traces.calls(start_ns, end_ns)
    links = [wire.DependencyLink(parent=a, child=b, call_count=count) for a, b, count in calls]
    yield wire.GetDependenciesResponse(dependencies=links).SerializeToString()


def _archive(_: QueryService, __: bytes) -> Iterator[bytes]:
    msg = "there is no archive: a trace is kept as long as all data is"
    raise UnknownDoor(msg)


def _read(kind: type[Any], body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        msg = f"the request is not a {kind.DESCRIPTOR.name}"
        raise BadQuestion(msg) from error


QUERIES: Mapping[str, Query] = {
    _V2 + "GetTrace": Query(_get_v2, wire.V2GetTraceRequest, is_stream=True, is_about_one=True),
    _V2 + "ArchiveTrace": Query(_archive, wire.V2GetTraceRequest),
    _V2 + "FindTraces": Query(
        partial(_find, chunk=chunk_spans, needs_range=False), wire.FindTracesRequest, is_stream=True
    ),
    _V2 + "GetServices": Query(_services, wire.GetServicesRequest),
    _V2 + "GetOperations": Query(partial(_operations, is_v2=True), wire.GetOperationsRequest),
    _V2 + "GetDependencies": Query(_dependencies, wire.GetDependenciesRequest),
    _V3 + "GetTrace": Query(_get_v3, wire.V3GetTraceRequest, is_stream=True, is_about_one=True),
    _V3 + "FindTraces": Query(
        partial(_find, chunk=chunk_otlp, needs_range=True), wire.FindTracesRequest, is_stream=True
    ),
    _V3 + "FindTraceSummaries": Query(_summarise, wire.FindTracesRequest, is_stream=True),
    _V3 + "GetServices": Query(_services, wire.GetServicesRequest),
    _V3 + "GetOperations": Query(partial(_operations, is_v2=False), wire.GetOperationsRequest),
    _V3 + "GetDependencies": Query(_dependencies, wire.GetDependenciesRequest),
}
