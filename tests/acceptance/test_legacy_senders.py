"""Senders of older protocols than OTLP report to the running service and are stitched."""

import json
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from collector.receive.jaeger import GRPC_METHODS
from tests.jaeger_messages import proto_request, thrift_batch, written
from tests.mesh_doors import free_udp_pair
from tests.service import Service, free_ports, start_service

POST_SPANS = next(iter(GRPC_METHODS))


@pytest.fixture(scope="module")
def ports() -> dict[str, Any]:
    """Free ports for the doors that are off by default."""
    names = ("zipkin_port", "jaeger_http_port", "jaeger_grpc_port")
    chosen = dict(zip(names, map(str, free_ports(3)), strict=True))
    return {**chosen, "jaeger_udp_port": str(free_udp_pair())}


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, Any]) -> Iterator[Service]:
    """A service with every legacy door open."""
    with start_service(tmp_path_factory.mktemp("legacy"), **ports) as running:
        yield running


def test_real_jaeger_client(legacy: Service, ports: dict[str, str]) -> None:
    """Each request that jaeger-client reports over UDP is one timeline with its call."""
    command = [sys.executable, "-m", "tests.jaeger_sender", ports["jaeger_udp_port"], "8"]
    sent = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    trace_ids = sent.stdout.split()
    assert len(trace_ids) == 8
    for trace_id in trace_ids:
        timeline = _timeline(legacy, trace_id, 2)
        assert [span["name"] for span in timeline["spans"]] == ["GET /cart", "call stock"]
        assert {span["service"] for span in timeline["spans"]} == {"legacy-cart"}
        assert timeline["spans"][1]["parent_span_id"] == timeline["spans"][0]["span_id"]
        assert not any(span["orphan"] for span in timeline["spans"])


def test_jaeger_over_http_and_grpc_meet_in_one_timeline(
    legacy: Service, ports: dict[str, str]
) -> None:
    """A caller that sends Thrift over HTTP and a callee that sends protobuf are two hops."""
    trace_id, now_us = secrets.token_hex(16), time.time_ns() // 1000
    base = {"traceId": trace_id, "flags": 1}
    web = [
        _jaeger(base, "a1", "GET /", "server", now_us, 9000),
        _jaeger(base, "a2", "GET", "client", now_us + 1000, 7000, parent="a1"),
    ]
    stock = [_jaeger(base, "b1", "GET /stock", "server", now_us + 2000, 5000, parent="a2")]
    body = written(thrift_batch({"serviceName": "web"}, web), "binary")
    url = f"http://127.0.0.1:{ports['jaeger_http_port']}/api/traces?format=jaeger.thrift"
    assert _post(url, body, "application/x-thrift") == 202
    request = proto_request({"serviceName": "stock"}, stock).SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{ports['jaeger_grpc_port']}") as channel:
        call: Any = channel.unary_unary(POST_SPANS, None, None)
        call(request, timeout=20)
    timeline = _timeline(legacy, trace_id, 3)
    assert [hop["service"] for hop in timeline["hops"]] == ["web", "stock"]


def test_zipkin_shared_spans_are_two_hops(legacy: Service, ports: dict[str, str]) -> None:
    """Client and server under one id, and what the server calls, come back as a chain."""
    trace_id, now_us = secrets.token_hex(16), time.time_ns() // 1000
    call = {"traceId": trace_id, "id": "00000000000000c1", "name": "get"}
    spans = [
        {
            **call,
            "kind": "CLIENT",
            "timestamp": now_us,
            "duration": 9000,
            "localEndpoint": {"serviceName": "web"},
        },
        {
            **call,
            "kind": "SERVER",
            "shared": True,
            "timestamp": now_us + 1000,
            "duration": 7000,
            "localEndpoint": {"serviceName": "stock"},
        },
        {
            **call,
            "id": "00000000000000d1",
            "parentId": "00000000000000c1",
            "kind": "CLIENT",
            "timestamp": now_us + 2000,
            "duration": 3000,
            "localEndpoint": {"serviceName": "stock"},
            "remoteEndpoint": {"serviceName": "prices"},
        },
    ]
    url = f"http://127.0.0.1:{ports['zipkin_port']}/api/v2/spans"
    assert _post(url, json.dumps(spans).encode(), "application/json") == 202
    timeline = _timeline(legacy, trace_id, 3)
    client, server, inner = timeline["spans"]
    assert (client["service"], server["service"], inner["service"]) == ("web", "stock", "stock")
    assert server["parent_span_id"] == client["span_id"]
    assert inner["parent_span_id"] == server["span_id"]
    assert len({span["span_id"] for span in timeline["spans"]}) == 3


def _jaeger(
    base: dict[str, Any],
    span_id: str,
    name: str,
    kind: str,
    start_us: int,
    duration_us: int,
    parent: str = "",
) -> dict[str, Any]:
    return {
        **base,
        "spanId": span_id.rjust(16, "0"),
        **({"parentSpanId": parent.rjust(16, "0")} if parent else {}),
        "operationName": name,
        "startTime": start_us,
        "duration": duration_us,
        "tags": {"span.kind": kind},
    }


def _timeline(service: Service, trace_id: str, spans: int) -> dict[str, Any]:
    timeline: dict[str, Any] = service.wait_for(
        f"/api/v1/requests/{trace_id}", lambda s, t: s == 200 and len(t["spans"]) == spans
    )
    return timeline


def _post(url: str, body: bytes, content_type: str) -> int:
    request = urllib.request.Request(url, body, {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=20) as answer:
        status: int = answer.status
        return status
