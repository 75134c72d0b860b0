"""Traces as tracing tools ask for them, over HTTP and a real embedded engine."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from collector.wire import jaeger_pb2 as wire
from tests.api_client import Asker, serving
from tests.otlp_json import read_traces
from tests.service import free_ports
from tests.stories import (
    MINUTE,
    MS,
    NOW,
    SECOND,
    Story,
    asking,
    joined_story,
    number_id,
    refused_story,
    unrecorded_story,
)

T = NOW - 30 * MINUTE
FAILED = joined_story(1, T, 1_400 * MS, failed=True)
GOOD = [joined_story(n, T + n * SECOND, n * 10 * MS) for n in range(10, 14)]
REFUSED = refused_story(2, T + MINUTE)
UNRECORDED = unrecorded_story(3, T + 2 * MINUTE)
UNRECORDED.spans[2].attributes = {
    **UNRECORDED.spans[2].attributes,
    "retry.count": "3",
    "cache.hit": "true",
    "share": "0.25",
    "order.id": "4711",
}
STORIES = [FAILED, *GOOD, REFUSED, UNRECORDED]
TRACE = FAILED.spans[0].trace_id
_OTLP_KINDS = {"Server": 2, "Client": 3}


@pytest.fixture(scope="module")
def grpc_port() -> int:
    (port,) = free_ports(1)
    return port


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory, grpc_port: int) -> Iterator[Asker]:
    folder: Path = tmp_path_factory.mktemp("traces")
    with (
        asking(STORIES, folder) as (questions, _),
        serving(questions, jaeger_query_port=grpc_port) as found,
    ):
        yield found


def rfc3339(moment_ns: int) -> str:
    return datetime.fromtimestamp(moment_ns / SECOND, UTC).isoformat().replace("+00:00", "Z")


RANGE = f"query.startTimeMin={rfc3339(NOW - 60 * MINUTE)}&query.startTimeMax={rfc3339(NOW)}"
OLD_RANGE = RANGE.replace("startTimeMin", "start_time_min").replace(
    "startTimeMax", "start_time_max"
)


def v3_trace_ids(asker: Asker, query: str) -> set[str]:
    found = asker.get(f"/api/v3/traces?{query}")
    assert set(found) == {"result"}
    data = read_traces(found["result"])
    return {
        span.trace_id.hex()
        for sent in data.resource_spans
        for scope in sent.scope_spans
        for span in scope.spans
    }


def test_v3_lists_services_and_operations(asker: Asker) -> None:
    """Names stand alone in their field; every operation says its kind."""
    services = asker.get("/api/v3/services")
    assert services == {"services": ["azure-apim", "istio-ingressgateway", "orders", "payments"]}
    found = asker.get("/api/v3/operations?service=payments")["operations"]
    assert {"name": "SELECT accounts", "spanKind": "client"} in found
    for name in ("spanKind", "span_kind"):
        (only,) = asker.get(f"/api/v3/operations?service=payments&{name}=client")["operations"]
        assert only == {"name": "SELECT accounts", "spanKind": "client"}


def test_v3_shows_a_trace_as_otlp(asker: Asker) -> None:
    """Every span under its sender, the gateway's record as the root of them all."""
    answer = asker.get(f"/api/v3/traces/{TRACE}")
    data = read_traces(answer["result"])
    spans = [
        (sent.resource.attributes[0].value.string_value, span)
        for sent in data.resource_spans
        for scope in sent.scope_spans
        for span in scope.spans
    ]
    assert len(spans) == len(FAILED.spans) + 1
    by_id = {span.span_id.hex(): (service, span) for service, span in spans}
    for told in FAILED.spans:
        service, span = by_id[told.span_id]
        assert (service, span.name) == (told.service, told.name)
        assert span.trace_id.hex() == TRACE
        assert span.end_time_unix_nano - span.start_time_unix_nano == told.end_ns - told.start_ns
        assert span.kind == _OTLP_KINDS[told.kind]
        assert span.status.code == 2
    (root,) = [each for each in spans if not each[1].parent_span_id]
    assert root[0] == "azure-apim"
    assert root[1].start_time_unix_nano == T
    senders = [sent.resource.SerializeToString() for sent in data.resource_spans]
    assert len(senders) == len(set(senders))


def test_v3_raw_is_what_was_sent(asker: Asker) -> None:
    """Raw traces have no span that Hopline made."""
    for name in ("rawTraces", "raw_traces"):
        data = read_traces(asker.get(f"/api/v3/traces/{TRACE}?{name}=true")["result"])
        spans = [s for sent in data.resource_spans for c in sent.scope_spans for s in c.spans]
        assert {span.span_id.hex() for span in spans} == {s.span_id for s in FAILED.spans}
        names = {pair.key for span in spans for pair in span.attributes}
        assert not [name for name in names if name.startswith("hopline.")]


def test_v3_takes_ids_as_jaeger_writes_them(asker: Asker) -> None:
    """Capitals, and base64 with and without padding, in both alphabets, are the same trace."""
    plain = asker.get(f"/api/v3/traces/{TRACE}")
    packed = b64encode(bytes.fromhex(TRACE)).decode()
    urls = packed.replace("+", "-").replace("/", "_")
    for written in (TRACE.upper(), packed, packed.rstrip("="), urls, urls.rstrip("=")):
        assert asker.get(f"/api/v3/traces/{quote(written, safe='')}") == plain


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("query.serviceName=payments", [FAILED, *GOOD, UNRECORDED]),
        ("query.serviceName=payments&query.searchDepth=1", [UNRECORDED]),
        ("query.service_name=payments&query.num_traces=1", [UNRECORDED]),
        ("query.service_name=payments&query.search_depth=1", [UNRECORDED]),
        ("query.operationName=SELECT%20accounts&query.durationMin=1.3s", [FAILED]),
        ("query.operation_name=SELECT%20accounts&query.duration_min=1.3s", [FAILED]),
        ('query.attributes={"error":"true"}&query.serviceName=payments', [FAILED]),
        ('query.attributes={"retry.count":"3"}', [UNRECORDED]),
        ('query.attributes={"host.name":"node-1","db.system":"postgresql"}', STORIES[:-2]),
    ],
)
def test_v3_finds_traces(asker: Asker, query: str, expected: list[Story]) -> None:
    """Today's and the older names of the parameters; resources count as attributes."""
    limits = OLD_RANGE if "_name" in query else RANGE
    wanted = {story.spans[0].trace_id for story in expected}
    if "host.name" in query:
        wanted.add(UNRECORDED.spans[0].trace_id)
    assert v3_trace_ids(asker, f"{limits}&{query}") == wanted


def test_v3_summarises_traces(asker: Asker) -> None:
    """What Jaeger's page of results shows comes without the spans."""
    found = asker.get(f"/api/v3/trace-summaries?{RANGE}&query.serviceName=payments")["summaries"]
    assert len(found) == len(GOOD) + 2
    by_id = {each["traceId"]: each for each in found}
    failed = by_id[TRACE]
    assert (failed["rootServiceName"], failed["spanCount"]) == ("azure-apim", 7)
    assert failed["errorSpanCount"] == 7
    assert failed["orphanSpanCount"] == 0
    assert failed["minStartTimeUnixNano"] == str(T)
    assert int(failed["maxEndTimeUnixNano"]) - T == FAILED.records[0].duration_ns
    assert {"name": "payments", "spanCount": 3, "errorSpanCount": 3} in failed["services"]
    names = [each["name"] for each in failed["services"]]
    assert names == sorted(names)
    nothing = asker.get(f"/api/v3/trace-summaries?{RANGE}&query.serviceName=nobody")
    assert nothing == {"summaries": []}


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (f"traces/{number_id(4_711)}", 404, "No traces found"),
        (f"traces?{RANGE}&query.serviceName=nobody", 404, "No traces found"),
        ("traces/no%20trace%20id", 400, "malformed parameter trace_id: 'no trace id'"),
        (f"traces/{TRACE}?rawTraces=perhaps", 400, "rawTraces: "),
        ("operations", 400, "service: is missing"),
        ("traces", 400, "query.startTimeMin and query.startTimeMax are required"),
        (
            "trace-summaries?query.startTimeMin=now",
            400,
            "query.startTimeMin and query.startTimeMax",
        ),
        (f"traces?{RANGE}&query.durationMin=5", 400, "query.durationMin: "),
        (f"traces?{RANGE}&query.duration_max=soon", 400, "query.duration_max: "),
        (f"traces?{RANGE}&query.attributes=[]", 400, "query.attributes: "),
        (f"traces?{RANGE}&query.searchDepth=-1", 400, "query.searchDepth: "),
        (f"traces?{RANGE}&query.rawTraces=2", 400, "query.rawTraces: "),
        (f"traces?{RANGE}&query.filter={{}}", 400, "query.filter: structured filters are not"),
        ("traces?query.startTimeMin=soon&query.startTimeMax=now", 400, "query.startTimeMin: "),
        ("traces?query.startTimeMin=now&query.startTimeMax=-1h", 400, "query.startTimeMin must be"),
    ],
)
def test_v3_refuses_in_the_words_of_its_gateway(
    asker: Asker, path: str, status: int, message: str
) -> None:
    """An error is `{"error": {"httpCode", "message"}}`, and names the parameter."""
    found = asker.get(f"/api/v3/{path}", status)
    assert set(found) == {"error"}
    assert found["error"]["httpCode"] == status
    assert found["error"]["message"].startswith(message)


def test_tags_have_types(asker: Asker) -> None:
    """Numbers and booleans are what they are in both of Jaeger's forms, ids stay text."""
    trace_id = UNRECORDED.spans[0].trace_id
    (trace,) = asker.get(f"/api/traces/{trace_id}")["data"]
    wanted = {
        "retry.count": ("int64", 3),
        "cache.hit": ("bool", True),
        "share": ("float64", 0.25),
        "order.id": ("string", "4711"),
        "http.status_code": ("int64", 200),
        "hopline.critical_path": ("bool", True),
    }
    (span,) = [s for s in trace["spans"] if s["spanID"] == UNRECORDED.spans[2].span_id]
    tags: dict[str, Any] = {tag["key"]: (tag["type"], tag["value"]) for tag in span["tags"]}
    assert {name: tags[name] for name in wanted} == wanted
    document = asker.get(f"/api/v3/traces/{trace_id}")["result"]["resourceSpans"]
    (attributes,) = [
        {pair["key"]: pair["value"] for pair in each["attributes"]}
        for sent in document
        for scope in sent["scopeSpans"]
        for each in scope["spans"]
        if each["spanId"] == span["spanID"]
    ]
    assert attributes["retry.count"] == {"intValue": "3"}
    assert attributes["cache.hit"] == {"boolValue": True}
    assert attributes["share"] == {"doubleValue": 0.25}
    assert attributes["order.id"] == {"stringValue": "4711"}


def test_a_request_without_a_trace_is_a_trace_of_one_span(asker: Asker) -> None:
    """What the gateway refused is found by the id that a search shows it under."""
    found = asker.get(f"/api/v3/trace-summaries?{RANGE}&query.serviceName=azure-apim")["summaries"]
    (alone,) = [each for each in found if each["spanCount"] == 1]
    data = read_traces(asker.get(f"/api/v3/traces/{alone['traceId']}")["result"])
    assert len(data.resource_spans) == 1


_V2, _V3 = "/jaeger.api_v2.QueryService/", "/jaeger.api_v3.QueryService/"


@dataclass
class GrpcAsker:
    """Asks Jaeger's gRPC API with a real client."""

    channel: grpc.Channel

    def one(self, path: str, request: Message, answer: type[Any], **options: Any) -> Any:
        call: Any = self.channel.unary_unary(
            path, lambda message: message.SerializeToString(), answer.FromString
        )
        return call(request, timeout=30, **options)

    def many(self, path: str, request: Message, answer: type[Any], **options: Any) -> list[Any]:
        call: Any = self.channel.unary_stream(
            path, lambda message: message.SerializeToString(), answer.FromString
        )
        return list(call(request, timeout=30, **options))

    def refused(self, path: str, request: Message, **options: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as caught:
            self.many(path, request, wire.GetServicesResponse, **options)
        failed: Any = caught.value
        return failed.code(), failed.details()


@pytest.fixture(scope="module")
def grpc_asker(asker: Asker, grpc_port: int) -> Iterator[GrpcAsker]:
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        yield GrpcAsker(channel)


def query(**given: Any) -> wire.FindTracesRequest:
    """Return a search of the last hour."""
    values = {"start_time_min": timestamp(NOW - 60 * MINUTE), "start_time_max": timestamp(NOW)}
    return wire.FindTracesRequest(query=wire.TraceQueryParameters(**{**values, **given}))


def timestamp(moment_ns: int) -> Timestamp:
    return Timestamp(seconds=moment_ns // SECOND, nanos=moment_ns % SECOND)


def test_grpc_lists_services_operations_and_calls(grpc_asker: GrpcAsker, asker: Asker) -> None:
    """Both versions say what the HTTP API says."""
    services = asker.get("/api/services")["data"]
    links = {
        (each["parent"], each["child"], each["callCount"])
        for each in asker.get(f"/api/dependencies?endTs={NOW // MS}&lookback=3600000")["data"]
    }
    kinds = {"v2": wire.V2GetOperationsResponse, "v3": wire.V3GetOperationsResponse}
    for name, path in (("v2", _V2), ("v3", _V3)):
        told = grpc_asker.one(
            path + "GetServices", wire.GetServicesRequest(), wire.GetServicesResponse
        )
        assert list(told.services) == services
        request = wire.GetOperationsRequest(service="payments", span_kind="client")
        found = grpc_asker.one(path + "GetOperations", request, kinds[name])
        assert [(o.name, o.span_kind) for o in found.operations] == [("SELECT accounts", "client")]
        times = wire.GetDependenciesRequest(
            start_time=timestamp(NOW - 60 * MINUTE), end_time=timestamp(NOW)
        )
        calls = grpc_asker.one(path + "GetDependencies", times, wire.GetDependenciesResponse)
        assert {(c.parent, c.child, c.call_count) for c in calls.dependencies} == links


def test_grpc_v2_streams_a_trace_in_jaegers_model(grpc_asker: GrpcAsker) -> None:
    """Spans have ids of 16 and 8 bytes, a process of their own, references, and typed tags."""
    request = wire.V2GetTraceRequest(trace_id=bytes.fromhex(UNRECORDED.spans[0].trace_id))
    chunks = grpc_asker.many(_V2 + "GetTrace", request, wire.SpansResponseChunk)
    spans = {span.span_id.hex(): span for chunk in chunks for span in chunk.spans}
    assert spans.keys() == {told.span_id for told in UNRECORDED.spans}
    told = UNRECORDED.spans[2]
    span = spans[told.span_id]
    assert span.trace_id.hex() == told.trace_id
    assert (span.operation_name.decode(), span.process.service_name.decode()) == (
        told.name,
        told.service,
    )
    assert span.references[0].span_id.hex() == told.parent_span_id
    assert span.duration.ToNanoseconds() == told.end_ns - told.start_ns
    tags = {tag.key.decode(): tag for tag in span.tags}
    assert (tags["retry.count"].v_type, tags["retry.count"].v_int64) == (2, 3)
    assert (tags["cache.hit"].v_type, tags["cache.hit"].v_bool) == (1, True)
    assert (tags["share"].v_type, tags["share"].v_float64) == (3, 0.25)
    assert (tags["order.id"].v_type, tags["order.id"].v_str) == (0, b"4711")
    assert tags["span.kind"].v_str == b"server"


def test_grpc_finds_the_same_traces_in_both_versions(grpc_asker: GrpcAsker) -> None:
    """A search by tags gives every span of each trace; raw ones have no gateway."""
    wanted = query(service_name="payments", attributes={"error": "true"}, search_depth=20)
    older = grpc_asker.many(_V2 + "FindTraces", wanted, wire.SpansResponseChunk)
    newer = grpc_asker.many(_V3 + "FindTraces", wanted, TracesData)
    found = {span.span_id for chunk in older for span in chunk.spans}
    assert len(found) == len(FAILED.spans) + 1
    assert found == {
        span.span_id
        for data in newer
        for sent in data.resource_spans
        for scope in sent.scope_spans
        for span in scope.spans
    }
    wanted.query.raw_traces = True
    raw = grpc_asker.many(_V2 + "FindTraces", wanted, wire.SpansResponseChunk)
    assert sum(len(chunk.spans) for chunk in raw) == len(FAILED.spans)
    wanted.query.service_name = "nobody"
    assert grpc_asker.many(_V2 + "FindTraces", wanted, wire.SpansResponseChunk) == []


def test_grpc_reader_that_leaves_costs_others_nothing(grpc_asker: GrpcAsker) -> None:
    """A stream that is given up after its first message takes nobody's place."""
    wanted = query(service_name="payments", search_depth=20).SerializeToString()
    ask: Any = grpc_asker.channel.unary_stream(_V3 + "FindTraces", None, None)
    for _ in range(8):
        call = ask(wanted, timeout=60)
        assert next(call)
        call.cancel()
    services = grpc_asker.one(
        _V3 + "GetServices", wire.GetServicesRequest(), wire.GetServicesResponse
    )
    assert "payments" in services.services


def test_grpc_summarises_traces_as_http_does(grpc_asker: GrpcAsker, asker: Asker) -> None:
    """One message a trace, with the numbers of the page of results."""
    answers = grpc_asker.many(
        _V3 + "FindTraceSummaries", query(service_name="payments"), wire.FindTraceSummariesResponse
    )
    found = {each.trace_id: each for answer in answers for each in answer.summaries}
    told = asker.get(f"/api/v3/trace-summaries?{RANGE}&query.serviceName=payments")["summaries"]
    assert found.keys() == {each["traceId"] for each in told}
    assert (found[TRACE].span_count, found[TRACE].error_span_count) == (7, 7)
    assert found[TRACE].min_start_time_unix_nano == T


def test_grpc_v3_streams_a_trace_as_otlp(grpc_asker: GrpcAsker, asker: Asker) -> None:
    """The message is the same as the JSON of the HTTP API."""
    request = wire.V3GetTraceRequest(trace_id=TRACE)
    (data,) = grpc_asker.many(_V3 + "GetTrace", request, TracesData)
    assert data == read_traces(asker.get(f"/api/v3/traces/{TRACE}")["result"])


def test_grpc_refuses_with_jaegers_codes(grpc_asker: GrpcAsker) -> None:
    """What is unknown, missing or no message at all has the code that Jaeger's server gives."""
    codes = grpc.StatusCode
    unknown = wire.V2GetTraceRequest(trace_id=bytes.fromhex(number_id(4_711)))
    assert grpc_asker.refused(_V2 + "GetTrace", unknown) == (codes.NOT_FOUND, "trace not found")
    bad: list[tuple[str, Message]] = [
        (_V2 + "GetTrace", wire.V2GetTraceRequest()),
        (_V2 + "GetTrace", wire.V2GetTraceRequest(trace_id=bytes(16))),
        (_V2 + "GetTrace", wire.V2GetTraceRequest(trace_id=b"short")),
        (_V3 + "GetTrace", wire.V3GetTraceRequest(trace_id="no trace")),
        (_V2 + "FindTraces", wire.FindTracesRequest()),
        (_V3 + "FindTraces", wire.FindTracesRequest(query=wire.TraceQueryParameters())),
        (_V3 + "FindTraces", query(filter=b"\x0a\x02eq")),
        (_V2 + "GetOperations", wire.GetOperationsRequest()),
        (_V2 + "GetDependencies", wire.GetDependenciesRequest()),
        (_V2 + "GetServices", wire.GetOperationsRequest(service="\x00" * 70_000)),
    ]
    for path, request in bad[:-1]:
        assert grpc_asker.refused(path, request)[0] is codes.INVALID_ARGUMENT, path
    assert grpc_asker.refused(*bad[-1])[0] is codes.RESOURCE_EXHAUSTED
    for path in (
        _V2 + "ArchiveTrace",
        _V2 + "Nothing",
        "/jaeger.api_v2.CollectorService/PostSpans",
    ):
        assert grpc_asker.refused(path, unknown)[0] is codes.UNIMPLEMENTED
