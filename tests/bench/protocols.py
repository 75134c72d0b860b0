"""
Spans per second and core of every span protocol: from received bytes to canonical ones.

The same unique spans in each protocol, in requests of 500 and of 5 spans. What is measured is the
decoder with its checks and the redaction behind it, as intake runs both; sockets, the journal and
the engine cost the same for every protocol and are measured by `python -m tests.bench`.

    python -m tests.bench.protocols
"""

import base64
import gc
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.config import load_settings
from collector.decode.formats import decode_envelope
from collector.decode.redaction.rules import build_redactor
from collector.model import Envelope, Stream
from collector.wire import zipkin_pb2
from tests.bench.generate import unique_requests
from tests.bench.runs import Row
from tests.flat_spans import flat_spans
from tests.jaeger_messages import proto_request, thrift_batch, written, written_call

_NOW_NS = 1_760_000_100_000_000_000
_SPANS = 5000
_ZIPKIN_KINDS = {2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}
_JAEGER_KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_Flat = dict[str, Any]


def measure_protocols() -> Iterator[Row]:
    """Yield a row per protocol and size of request."""
    for size in (500, 5):
        requests = unique_requests(_SPANS // size, size)
        flat = [flat_spans(request) for request in requests]
        for name, (kind, encode) in _ENCODERS.items():
            bodies = [encode(request, spans) for request, spans in zip(requests, flat, strict=True)]
            rate = _rate(kind, bodies, size)
            figure = f"{rate / 1e3:.0f} k spans/s a core"
            if size == 5:
                figure = f"{rate / size / 1e3:.1f} k requests/s a core"
            target, reached = "", None
            if name == "OTLP/JSON" and size == 500:
                target, reached = "≥ 25 k", rate >= 25_000
            yield Row(f"{name}, {size} spans a request", figure, target, reached)


def _rate(kind: str, bodies: Sequence[bytes], size: int) -> float:
    redactor = build_redactor(load_settings().redaction())
    assert redactor is not None
    best_s = float("inf")
    for _ in range(3):
        begin = time.process_time()
        accepted = 0
        for body in bodies:
            envelope = Envelope(Stream.TRACE, kind, body, _NOW_NS, "bench")
            canonical = decode_envelope(envelope)
            accepted += canonical.accepted
            for message in canonical.messages:
                redactor.redact_message(Stream.TRACE, message)
        best_s = min(best_s, time.process_time() - begin)
        assert accepted == size * len(bodies), f"{kind}: {accepted} spans were accepted"
    return size * len(bodies) / best_s


def _otlp_json(request: bytes, _: list[_Flat]) -> bytes:
    document = MessageToDict(ExportTraceServiceRequest.FromString(request))
    for group in document["resourceSpans"]:
        for scope in group["scopeSpans"]:
            for span in scope["spans"]:
                _hex_ids(span)
    return json.dumps(document, separators=(",", ":")).encode()


def _hex_ids(span: dict[str, Any]) -> None:
    # OTLP writes ids in hex where protobuf's own JSON mapping has base64
    for name in ("traceId", "spanId", "parentSpanId"):
        if name in span:
            span[name] = base64.b64decode(span[name]).hex()


def _zipkin_span(span: _Flat) -> dict[str, Any]:
    return {
        "traceId": span["trace_id"],
        "id": span["span_id"],
        **({"parentId": span["parent_span_id"]} if "parent_span_id" in span else {}),
        "name": span["name"],
        "kind": _ZIPKIN_KINDS.get(span["kind"]),
        "timestamp": span["start_ns"] // 1000,
        "duration": (span["end_ns"] - span["start_ns"]) // 1000,
        "localEndpoint": {"serviceName": span["resource"]["service.name"], "ipv4": "10.0.0.1"},
        "tags": {key: str(value) for key, value in span["attributes"].items()},
    }


def _zipkin_json(_: bytes, spans: list[_Flat]) -> bytes:
    return json.dumps([_zipkin_span(span) for span in spans], separators=(",", ":")).encode()


def _zipkin_protobuf(_: bytes, spans: list[_Flat]) -> bytes:
    message = zipkin_pb2.ListOfSpans()
    for span in map(_zipkin_span, spans):
        added = message.spans.add(
            trace_id=bytes.fromhex(span["traceId"]),
            id=bytes.fromhex(span["id"]),
            parent_id=bytes.fromhex(span.get("parentId", "")),
            kind=2,
            name=span["name"].encode(),
            timestamp=span["timestamp"],
            duration=span["duration"],
        )
        added.local_endpoint.service_name = span["localEndpoint"]["serviceName"].encode()
        for key, value in span["tags"].items():
            added.tags.add(key=key.encode(), value=value.encode())
    return message.SerializeToString()


def _jaeger_spans(spans: list[_Flat]) -> list[dict[str, Any]]:
    return [
        {
            "traceId": span["trace_id"],
            "spanId": span["span_id"],
            **({"parentSpanId": span["parent_span_id"]} if "parent_span_id" in span else {}),
            "operationName": span["name"],
            "flags": 1,
            "startTime": span["start_ns"] // 1000,
            "duration": (span["end_ns"] - span["start_ns"]) // 1000,
            "tags": {"span.kind": _JAEGER_KINDS[span["kind"]], **span["attributes"]},
        }
        for span in spans
    ]


def _process(spans: list[_Flat]) -> dict[str, Any]:
    resource = spans[0]["resource"]
    tags = {key: value for key, value in resource.items() if key != "service.name"}
    return {"serviceName": resource["service.name"], "tags": tags}


def _thrift_binary(_: bytes, spans: list[_Flat]) -> bytes:
    return written(thrift_batch(_process(spans), _jaeger_spans(spans)), "binary")


def _thrift_compact(_: bytes, spans: list[_Flat]) -> bytes:
    return written_call(thrift_batch(_process(spans), _jaeger_spans(spans)), "compact")


def _jaeger_protobuf(_: bytes, spans: list[_Flat]) -> bytes:
    return proto_request(_process(spans), _jaeger_spans(spans)).SerializeToString()


_ENCODERS: dict[str, tuple[str, Callable[[bytes, list[_Flat]], bytes]]] = {
    "OTLP/protobuf": ("otlp-protobuf", lambda request, _: request),
    "OTLP/JSON": ("otlp-json", _otlp_json),
    "Zipkin JSON": ("zipkin-json", _zipkin_json),
    "Zipkin protobuf": ("zipkin-protobuf", _zipkin_protobuf),
    "Jaeger Thrift binary": ("jaeger-thrift-binary", _thrift_binary),
    "Jaeger Thrift compact": ("jaeger-thrift-compact", _thrift_compact),
    "Jaeger gRPC": ("jaeger-protobuf", _jaeger_protobuf),
}


if __name__ == "__main__":
    gc.set_threshold(50_000)  # as the ingest process does
    for row in measure_protocols():
        reached = {True: "yes", False: "NO", None: ""}[row.reached]
        sys.stdout.write(f"| {row.what} | {row.figure} | {row.target} | {reached} |\n")
