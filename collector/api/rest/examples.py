"""
Examples for the OpenAPI document, invented; the tests hold them against `documents`.
"""

from typing import Any

_TRACE = "4f1c2a77d0b94e3c8a5b6d7e8f901234"
_RECORD = "9d2f6c1e-5b7a-4c30-8e4f-2a6b8c0d1e3f"


def _error(code: str, message: str, hint: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "hint": hint}}


BAD_QUESTION = _error(
    "bad_question",
    "min_duration_ms: 'fast' is not a duration",
    "write milliseconds (250), or a number with a unit (1.5s)",
)
UNAUTHENTICATED = _error(
    "unauthenticated",
    "a bearer token is needed",
    "send `Authorization: Bearer <one of HOPLINE_QUERY_TOKENS>`",
)
NOT_FOUND = _error(
    "not_found",
    f"nothing is stored under '{_TRACE}'; searched: trace ids, gateway record ids, and the request "
    "ids in records, spans and logs",
    "azure-apim is known up to 2026-03-01T09:21:00.000000000Z: what is newer may still come",
)
TOO_EXPENSIVE = _error(
    "too_expensive", "the search reads too much", "narrow the time range or add a filter"
)
OVERLOADED = _error("overloaded", "too many questions at once", "ask again in a moment")
STORE_UNAVAILABLE = _error("store_unavailable", "ClickHouse does not answer", "")
QUERY_TIMEOUT = _error("query_timeout", "no answer within 30 s", "narrow the range or add a filter")

_GATEWAY_RECORD: dict[str, Any] = {
    "gateway": "azure-apim",
    "record_id": _RECORD,
    "start": "2026-03-01T09:30:00.120000000Z",
    "instance": "shop-apim",
    "source": "log-analytics",
    "kind": "http",
    "ids": [{"kind": "apim_correlation_id", "value": _RECORD}],
    "trace_id": _TRACE,
    "trace_id_source": "BackendRequestHeaders.traceparent",
    "parent_span_id": "",
    "outgoing_span_id": "1a2b3c4d5e6f7081",
    "is_sampled": True,
    "duration_ms": 152.0,
    "client_ms": 1.0,
    "gateway_ms": None,
    "cache_ms": 0.0,
    "backend_ms": 141.0,
    "resolution_ms": 1.0,
    "method": "GET",
    "scheme": "https",
    "host": "api.shop.example",
    "path": "/orders/42",
    "route": "/orders/{id}",
    "protocol": "HTTP/1.1",
    "status": 200,
    "is_error": False,
    "api": "orders-api",
    "api_revision": "3",
    "operation": "get-order",
    "product": "partners",
    "consumer": "acme-mobile",
    "user": "",
    "region": "West Europe",
    "client_address": "203.0.113.7",
    "backend_method": "GET",
    "backend_host": "mesh.shop.example",
    "backend_path": "/orders/42",
    "backend_status": 200,
    "backend_id": "",
    "attempts": None,
    "cache": "none",
    "request_bytes": 310,
    "response_bytes": 1840,
    "error_source": "",
    "error_scope": "",
    "error_section": "",
    "error_reason": "",
    "error_message": "",
    "error_elapsed_ms": None,
    "weight": 1.0,
    "quality": [],
    "attributes": {},
    "raw": {"CorrelationId": _RECORD, "TotalTime": 152},
    "received": "2026-03-01T09:33:10.000000000Z",
}
_SPAN: dict[str, Any] = {
    "span_id": "2b3c4d5e6f708192",
    "parent_span_id": "1a2b3c4d5e6f7081",
    "raw_span_id": "2b3c4d5e6f708192",
    "raw_parent_span_id": "1a2b3c4d5e6f7081",
    "trace_id": _TRACE,
    "hop": 1,
    "role": "app",
    "service": "orders",
    "name": "GET /orders/{id}",
    "kind": "Server",
    "start_offset_ms": 7.25,
    "raw_start": "2026-03-01T09:30:00.127250000Z",
    "adjusted_by_ms": 0.0,
    "adjusted_bound_ms": 0.0,
    "adjusted_reason": "",
    "duration_ms": 138.5,
    "self_ms": 138.5,
    "on_critical_path": True,
    "status": "Unset",
    "status_message": "",
    "attributes": {"http.response.status_code": "200"},
    "orphan": False,
    "inferred": False,
    "flags": [],
}
_HOP: dict[str, Any] = {
    "index": 1,
    "role": "service",
    "service": "orders",
    "name": "GET /orders/{id}",
    "parent": 0,
    "start_offset_ms": 7.25,
    "duration_ms": 138.5,
    "self_ms": 138.5,
    "critical_ms": 138.5,
    "proxy_ms": 0.0,
    "attempt": 1,
    "attempts": 1,
    "status": "200",
    "instance": "orders-7c9d",
    "inferred": False,
    "mirrored": False,
    "async": False,
    "span_ids": ["2b3c4d5e6f708192"],
    "notes": [],
}
_EVIDENCE = [{"field": "trace_id", "left": _TRACE, "right": _TRACE}]
_VERDICT: dict[str, Any] = {
    "layer": "none",
    "component": "",
    "class": "",
    "reason": "",
    "confidence": 1.0,
    "rule": "NO_FAILURE",
    "hop": -1,
    "first_offset_ms": None,
    "who_closed": "",
    "outcome": "ok",
    "wasted_ms": 0.0,
    "chain": [],
}
TIMELINE: dict[str, Any] = {
    "id": _RECORD,
    "trace_id": _TRACE,
    "trace_ids": [_TRACE],
    "ids": [{"kind": "apim_correlation_id", "value": _RECORD}],
    "state": "complete",
    "expected": [{"source": "azure-apim", "status": "arrived", "deadline": None}],
    "revision": 3,
    "start": "2026-03-01T09:30:00.120000000Z",
    "duration_ms": 152.0,
    "status": 200,
    "error": False,
    "root_span_id": "1a2b3c4d5e6f7081",
    "gateway_records": [
        {
            **_GATEWAY_RECORD,
            "sources": ["log-analytics"],
            "versions": 1,
            "span_id": "1a2b3c4d5e6f7081",
        }
    ],
    "phases": [
        {
            "name": "gateway",
            "duration_ms": 11.0,
            "lower_ms": 10.0,
            "upper_ms": 12.0,
            "source": "TotalTime - BackendTime",
        },
        {
            "name": "network",
            "duration_ms": 2.5,
            "lower_ms": 2.0,
            "upper_ms": 3.0,
            "source": "BackendTime - span 2b3c4d5e6f708192",
        },
        {
            "name": "app",
            "duration_ms": 138.5,
            "lower_ms": 138.5,
            "upper_ms": 138.5,
            "source": "spans",
        },
    ],
    "hops": [_HOP],
    "spans": [_SPAN],
    "critical_path": [{"span_id": "2b3c4d5e6f708192", "from_ms": 7.25, "to_ms": 145.75}],
    "links": [
        {
            "from": f"azure-apim/{_RECORD}",
            "to": f"{_TRACE}/2b3c4d5e6f708192",
            "tier": 0,
            "confidence": 1.0,
            "evidence": _EVIDENCE,
            "rejected": [],
        }
    ],
    "verdict": _VERDICT,
    "findings": [],
    "acts": [],
    "callers": [],
    "other_matches": [],
    "watermarks": {"azure-apim": "2026-03-01T09:32:00.000000000Z"},
}
FOUND: dict[str, Any] = {
    "requests": [
        {
            "id": _RECORD,
            "trace_id": _TRACE,
            "start": "2026-03-01T09:30:00.120000000Z",
            "duration_ms": 152.0,
            "gateway": "azure-apim",
            "api": "orders-api",
            "operation": "get-order",
            "route": "/orders/{id}",
            "method": "GET",
            "status": 200,
            "error": False,
            "consumer": "acme-mobile",
            "backend_ms": 141.0,
            "unexplained_ms": 0.0,
            "hops": 2,
            "services": ["orders"],
            "joined": True,
            "state": "complete",
            "verdict": "none",
        }
    ],
    "next_cursor": None,
    "range": {"start": "2026-03-01T09:00:00.000000000Z", "end": "2026-03-01T10:00:00.000000000Z"},
    "watermarks": {"azure-apim": "2026-03-01T09:32:00.000000000Z"},
    "note": "",
}
ACCOUNT: dict[str, Any] = {
    "id": _RECORD,
    "title": "GET /orders/42",
    "state": "complete",
    "revision": 3,
    "sentences": [
        {
            "section": "happened",
            "text": "GET /orders/42 began at 2026-03-01T09:30:00.120000000Z and ended with status "
            "200 after 152.0 ms.",
            "rule": "REQUEST",
            "refs": ["1a2b3c4d5e6f7081"],
        }
    ],
}
STORED: dict[str, Any] = {
    "id": _TRACE,
    "records": [_GATEWAY_RECORD],
    "spans": [
        {
            "trace_id": _TRACE,
            "span_id": "2b3c4d5e6f708192",
            "parent_span_id": "1a2b3c4d5e6f7081",
            "name": "GET /orders/{id}",
            "service": "orders",
            "kind": "Server",
            "start": "2026-03-01T09:30:00.127250000Z",
            "end": "2026-03-01T09:30:00.265750000Z",
            "duration_ms": 138.5,
            "status": "Unset",
            "status_message": "",
            "trace_state": "",
            "attributes": {"http.response.status_code": "200"},
            "resource": {"service.name": "orders"},
            "scope": "",
            "events": [],
            "links": [],
            "received": "2026-03-01T09:30:01.000000000Z",
        }
    ],
    "logs": [],
    "cut": False,
}
SOURCES: dict[str, Any] = {
    "sources": [
        {
            "source": "log-analytics",
            "stream": "record",
            "doors": ["azure-monitor"],
            "rows": 10_420,
            "last_event": "2026-03-01T09:36:00.000000000Z",
            "last_received": "2026-03-01T09:39:02.000000000Z",
            "lag_p50_ms": 95_000.0,
            "lag_p90_ms": 180_000.0,
            "lag_p99_ms": 240_000.0,
            "watermark": "2026-03-01T09:32:00.000000000Z",
            "accepted": 10_420,
            "rejected": 3,
            "last_error": "",
        }
    ]
}
CLOCKS: dict[str, Any] = {
    "pairs": [
        {
            "first": "checkout-7d9c5b6f4-x2k8p",
            "second": "stock-5f6b7c8d9-q4w7z",
            "offset_ms": 131.204,
            "bound_ms": 0.412,
            "samples": 214,
            "drift_ppm": 0.0,
            "health": "off",
        }
    ],
    "calls": 1_902,
    "start": "2026-03-01T09:15:04.118000000Z",
    "end": "2026-03-01T09:39:58.730000000Z",
}
APIS: dict[str, Any] = {
    "apis": [
        {
            "gateway": "azure-apim",
            "api": "orders-api",
            "requests": 7_200,
            "requests_per_s": 2.0,
            "errors": 36,
            "error_ratio": 0.005,
            "p50_ms": 88.0,
            "p95_ms": 310.0,
            "p99_ms": 1_250.0,
            "join_coverage": 0.998,
        }
    ]
}
