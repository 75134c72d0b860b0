"""Formats that people post: one line or object of each, with what is in it."""

import json
from typing import Any

import pytest

from collector.decode.gateways import get_adapter

MS = 1_000_000
NOON_NS = 1_772_625_600_000 * MS  # 2026-03-04T12:00:00Z
CLF = "04/Mar/2026:12:00:00 +0000"
ID = "7d1f0c2b-5a49-4e63-8b90-1c2d3e4f5a6b"
HEX = "a7c3" * 8
TRACE, SPAN = "2c" * 16, "8e" * 8
NGINX = (
    f'10.9.0.3 - - [{CLF}] "PUT /bays/3?a=1 HTTP/1.1" 204 0 "-" "fork/1" 310 0.040 '
    f"[yard-bays-80] [] 10.9.1.1:80, 10.9.1.2:80 0, 0 0.010, 0.025 502, 204 {HEX}"
)
NETTY = f'10.9.0.3 - - [{CLF}] "PUT /bays/3 HTTP/1.1" 204 0 31'
CASES: list[tuple[str, str, Any, dict[str, Any]]] = [
    (
        "aws-api-gateway",
        "named values of the Serverless Framework",
        f"requestId: {ID}, ip: 10.9.0.3, caller: -, user: -, requestTime: {CLF}, httpMethod: PUT, "
        "resourcePath: /bays/{bay}, status: 204, protocol: HTTP/1.1, responseLength: 0",
        {"record_id": ID, "start_ns": NOON_NS, "route": "/bays/{bay}", "status": 204, "user": ""},
    ),
    (
        "aws-api-gateway",
        "the catch-all route of an HTTP API",
        f'10.9.0.3 - - [{CLF}] "$default $default HTTP/1.1" 404 9 QwErTyUiOpAsDf=',
        {"route": "$default", "method": "", "status": 404, "record_id": "QwErTyUiOpAsDf="},
    ),
    (
        "aws-api-gateway",
        "short names",
        {"time": CLF, "requestId": ID, "method": "PUT", "status": "204", "latency": "31"}
        | {"integration": {"latency": "12"}},
        {"start_ns": NOON_NS, "method": "PUT", "duration_ns": 31 * MS, "backend_ns": 12 * MS},
    ),
    (
        "ingress-nginx",
        "a traceparent at the end",
        f"{NGINX} 00-{TRACE}-{SPAN}-01",
        {"trace_id": TRACE, "outgoing_span_id": SPAN, "attempts": 2, "backend_ns": 35 * MS},
    ),
    (
        "ingress-nginx",
        "a host and more at the end",
        f'{NGINX} "yard.example" "-" extra',
        {"record_id": HEX, "backend_status": 204, "backend_host": "10.9.1.2:80"},
    ),
    (
        "ingress-nginx",
        "short names of the upstream",
        f'10.9.0.3 - - [{CLF}] "PUT /bays/3 HTTP/1.1" 204 0 "-" "fork/1" rt=0.031 us=204 ut=0.012',
        {"duration_ns": 31 * MS, "backend_ns": 12 * MS, "backend_status": 204},
    ),
    (
        "ingress-nginx",
        "http, network and nginx beside each other",
        {
            "http": {"status_code": 204, "method": "PUT", "url": "/bays/3", "useragent": "fork/1"},
            "network": {"client": {"ip": "10.9.0.3"}},
            "nginx": {"upstream_response_time": "0.012"},
            "duration": 0.031,
            "timestamp": "2026-03-04T12:00:00Z",
        },
        {"status": 204, "path": "/bays/3", "client_address": "10.9.0.3", "duration_ns": 31 * MS},
    ),
    (
        "ingress-nginx",
        "everything below @fields",
        {
            "@timestamp": "2026-03-04T12:00:00Z",
            "@fields": {"status": "204", "request_time": "0.031", "request": "PUT /bays HTTP/1.1"},
        },
        {"status": 204, "method": "PUT", "path": "/bays", "duration_ns": 31 * MS},
    ),
    (
        "envoy",
        "a backend instead of an upstream",
        {
            "start_time": "2026-03-04T12:00:00Z",
            "method": "PUT",
            "path": "/bays/3",
            "response_code": 204,
            "response_flags": "-",
            "total_duration": 31,
            "resp_backend_service_time": "12",
            "backendHost": "10.9.1.1:80",
            "backendCluster": "kube_yard_bays_80",
        },
        {"backend_ns": 12 * MS, "backend_host": "10.9.1.1:80", "api": "kube_yard_bays_80"},
    ),
    (
        "envoy",
        "the client's duration",
        {
            "timestamp": "2026-03-04T12:00:00Z",
            "method": "PUT",
            "path": "/bays/3",
            "responseCode": "204",
            "responseFlags": "-",
            "clientDuration": "31",
            "upstreamName": "yard-bays",
        },
        {"duration_ns": 31 * MS, "status": 204, "api": "yard-bays"},
    ),
    (
        "apigee",
        "short names of a policy",
        {
            "messageId": "rrt-1-7-9",
            "apiProxy": "bays",
            "requestVerb": "PUT",
            "requestUri": "/bays/3",
            "statusCode": "204",
            "clientReceived": "1772625600000",
            "targetSent": "1772625600004",
            "targetReceived": "1772625600016",
            "clientSent": "1772625600031",
        },
        {"start_ns": NOON_NS, "duration_ns": 31 * MS, "backend_ns": 12 * MS, "status": 204},
    ),
    (
        "apigee",
        "the moment of logging and a latency",
        {"message_id": "rrt-1-7-9", "proxy_name": "bays", "status": 204}
        | {"system_timestamp": "1772625600031", "totalLatency": "31"},
        {"start_ns": NOON_NS, "duration_ns": 31 * MS, "api": "bays"},
    ),
    (
        "apigee",
        "the moment of logging alone",
        {"messageId": "rrt-1-7-9", "proxyName": "bays", "status": 204, "time": 1772625600000},
        {"start_ns": NOON_NS, "duration_ns": None},
    ),
    (
        "spring-cloud-gateway",
        "Graylog's format",
        {"version": "1.1", "short_message": NETTY, "timestamp": 1772625600.0, "level": 6}
        | {"_logger_name": "reactor.netty.http.server.AccessLog", "_traceId": TRACE},
        {"duration_ns": 31 * MS, "trace_id": TRACE},
    ),
    (
        "spring-cloud-gateway",
        "Log4j's JSON with its context map",
        {"level": "INFO", "loggerName": "reactor.netty.http.server.AccessLog", "message": NETTY}
        | {"contextMap": {"traceId": TRACE, "spanId": SPAN}},
        {"trace_id": TRACE, "outgoing_span_id": SPAN},
    ),
    (
        "spring-cloud-gateway",
        "quoted values behind the line",
        f'{NETTY} "-" "fork/1"',
        {"duration_ns": 31 * MS, "status": 204},
    ),
]


@pytest.mark.parametrize(
    ("adapter", "body", "expected"),
    [(adapter, body, expected) for adapter, _, body, expected in CASES],
    ids=[f"{adapter}, {name}" for adapter, name, _, _ in CASES],
)
def test_what_is_in_it_is_read(adapter: str, body: Any, expected: dict[str, Any]) -> None:
    """The entry is taken, and each value is where it belongs."""
    text = body if isinstance(body, str) else json.dumps(body)
    decoded = get_adapter(adapter).decode(text.encode())
    assert not decoded.rejected, decoded.rejected
    (record,) = decoded.records
    assert {name: getattr(record, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("adapter", "body", "code"),
    [
        ("ingress-nginx", f"[10.9.0.3] [{CLF}] TCP 200 512 640 1.250", "session"),
        (
            "spring-cloud-gateway",
            '{"level":"INFO","logger_name":"a.b.C","message":"up since noon"}',
            "event",
        ),
    ],
)
def test_what_is_no_request_is_passed_over(adapter: str, body: str, code: str) -> None:
    """Sessions and lines of the program beside the requests are counted, and cost nothing."""
    decoded = get_adapter(adapter).decode(body.encode())
    assert (len(decoded.records), len(decoded.rejected)) == (0, 0)
    assert [each.code for each in decoded.ignored] == [code]


def test_an_answered_request_of_kong_s_without_tries_was_not_answered_by_kong() -> None:
    """An empty list of tries beside a backend's time says nothing of how often it was asked."""
    entry = {
        "started_at": 1772625600000,
        "request": {"method": "PUT", "uri": "/bays/3", "headers": {}},
        "response": {"status": 204},
        "latencies": {"request": 31, "kong": 4, "proxy": 26},
        "tries": {},
    }
    (record,) = get_adapter("kong").decode(json.dumps(entry).encode()).records
    assert record.attempts is None
