"""
Requests whose names are all different: services, operations, attribute keys, pods, APIs.

Each span is a trace of its own. Bodies are made from one message by replacing bytes, so that a
million names take a second or two to make.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.ingest import text

KINDS = ("services", "operations", "keys", "pods", "apis")
_NUMBER = 0xA7F3C95B
_NOW_NS = 1_111_111_111_000_000_000
_LASTS_NS = 1_000_000
_PROTOBUF = "application/x-protobuf"


def flood(kind: str, names: int, *, each: int = 1_000) -> Iterator[tuple[str, str, bytes]]:
    """Yield path, content type and body of requests that bring *names* names, *each* so many."""
    template = _records(each) if kind == "apis" else _spans(kind, each)
    for number in range(0, names, each):
        if kind == "apis":
            yield "/v1/gateway/kong", "application/json", _numbered_records(template, number)
        else:
            yield "/v1/traces", _PROTOBUF, _numbered_spans(template, number, each)


def _name(kind: str, wanted: str, name: str, usual: str) -> str:
    return name if kind == wanted else usual


def _spans(kind: str, each: int) -> list[bytes]:
    """Return the message of one resource with one span, cut at what is replaced."""
    name = f"flood-{_NUMBER:08x}"
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add(
        resource={
            "attributes": [
                text("service.name", _name(kind, "services", name, "flooded")),
                text("k8s.pod.name", _name(kind, "pods", name, "flooded-0")),
            ]
        }
    )
    group.scope_spans.add().spans.add(
        trace_id=bytes(12) + _NUMBER.to_bytes(4),
        span_id=bytes([1, 2, 3, 4]) + _NUMBER.to_bytes(4),
        name=_name(kind, "operations", name, "GET /flood"),
        kind=2,
        start_time_unix_nano=_NOW_NS,
        end_time_unix_nano=_NOW_NS + _LASTS_NS,
        attributes=[text(_name(kind, "keys", name, "flood.note"), "x")],
    )
    return [request.SerializeToString()]


def _numbered_spans(template: list[bytes], first: int, each: int) -> bytes:
    now_ns = time.time_ns()
    whole = (
        template[0]
        .replace(_NOW_NS.to_bytes(8, "little"), now_ns.to_bytes(8, "little"))
        .replace(
            (_NOW_NS + _LASTS_NS).to_bytes(8, "little"),
            (now_ns + _LASTS_NS).to_bytes(8, "little"),
        )
        .replace(bytes(12), now_ns.to_bytes(12))
    )
    return b"".join(
        whole.replace(_NUMBER.to_bytes(4), number.to_bytes(4)).replace(
            b"%08x" % _NUMBER, b"%08x" % number
        )
        for number in range(first, first + each)
    )


def _records(each: int) -> list[bytes]:
    return [json.dumps([_record(number) for number in range(each)]).encode()]


def _record(number: int) -> dict[str, Any]:
    name = f"{_NUMBER:08x}-{number:04x}"
    return {
        "started_at": _NOW_NS // 1_000_000,
        "request": {
            "id": f"{name}-{_NOW_NS // 1_000_000}",
            "method": "POST",
            "uri": f"/flood/{name}",
            "url": f"http://{name}.example/flood/{name}",
        },
        "response": {"status": 200},
        "latencies": {"request": 20, "proxy": 18, "kong": 2},
        "service": {"name": f"api-{name}"},
        "route": {"name": f"route-{name}"},
        "consumer": {"username": f"consumer-{name}"},
    }


def _numbered_records(template: list[bytes], first: int) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return (
        template[0]
        .replace(b"%08x" % _NUMBER, b"%08x" % first)
        .replace(b"%d" % (_NOW_NS // 1_000_000), b"%d" % now_ms)
    )
