"""A timeline document that nobody measured: one slow, failed request with everything in it."""

from typing import Any

Document = dict[str, Any]


def make_span(
    span_id: str, parent: str, role: str, service: str, name: str, start: float, duration: float
) -> Document:
    """Return one span of a timeline; what is not given is ordinary."""
    return {
        "span_id": span_id,
        "parent_span_id": parent,
        "hop": 0,
        "role": role,
        "service": service,
        "name": name,
        "start_offset_ms": start,
        "duration_ms": duration,
        "self_ms": duration,
        "adjusted_by_ms": 0.0,
        "status": "Unset",
        "orphan": False,
    }


PHASES = [
    ("gateway", 16.0, 15.5, 16.5, "TotalTime - BackendTime"),
    ("edge_proxy", 4.0, 4.0, 4.0, "edge spans"),
    ("app", 30.0, 30.0, 30.0, "app spans"),
    ("dependency", 1470.0, 1470.0, 1470.0, "span d1"),
]
SECTIONS = [
    ("g1", 0, 9),
    ("e1", 9, 11),
    ("a1", 11, 30),
    ("p1", 30, 34),
    ("d1", 34, 1504),
    ("p1", 1504, 1505),
    ("a1", 1505, 1511),
    ("e1", 1511, 1513),
    ("g1", 1513, 1520),
]
RECORD: Document = {
    "gateway": "azure-apim",
    "method": "GET",
    "path": "/shop/orders/42",
    "api": "orders-api",
    "api_revision": "3",
    "operation": "get-order",
    "consumer": "acme-mobile",
    "status": 504,
    "is_error": True,
    "duration_ms": 1520.0,
}
LINK: Document = {
    "from": "azure-apim/0b7d",
    "to": "4f1c2a77d0b94e3c8a5b6d7e8f901234/e1",
    "tier": 0,
    "confidence": 1.0,
    "evidence": [{"field": "parent_span_id", "left": "a7", "right": "a7"}],
    "rejected": [],
}
VERDICT: Document = {
    "layer": "dependency",
    "component": "payments-db",
    "class": "timeout",
    "reason": "payments-db did not answer the query of payments within its limit.",
    "confidence": 0.9,
    "chain": [{"component": "payments", "what": "answered 504", "offset_ms": 1505.0}],
}
FINDING = {"rule": "ZERO_PARENT", "hop": 1, "message": "The parent is zero.", "fix": "Send one."}


def make_spans() -> list[Document]:
    """Return the spans of a request that waited 1.47 s for a database."""
    spans = [
        make_span("g1", "", "gateway", "azure-apim", "orders-api", 0, 1520),
        make_span("e1", "g1", "edge", "ingress", "router orders", 9, 1504),
        make_span("a1", "e1", "app", "orders", "GET /orders/{id}", 11, 1500),
        make_span("s1", "a1", "app", "stock", "GET /stock", 14, 80),
        make_span("p1", "a1", "app", "payments", "POST /charge", 30, 1475),
        make_span("d1", "p1", "dependency", "payments-db", "SELECT", 34, 1470),
    ]
    spans[5]["status"] = "error"
    return spans


def make_timeline() -> Document:
    """Return a request that waited 1.47 s for a database and was answered 504."""
    names = ("name", "duration_ms", "lower_ms", "upper_ms", "source")
    return {
        "id": "azure-apim/0b7d",
        "trace_id": "4f1c2a77d0b94e3c8a5b6d7e8f901234",
        "ids": [{"kind": "apim_correlation_id", "value": "0b7d"}],
        "state": "provisional",
        "expected": [
            {"source": "azure-apim", "status": "arrived", "deadline": None},
            {"source": "mailer", "status": "late", "deadline": "2026-03-01T09:45:00.000000000Z"},
        ],
        "revision": 3,
        "start": "2026-03-01T09:30:00.123000000Z",
        "duration_ms": 1520.0,
        "status": 504,
        "error": True,
        "gateway_records": [dict(RECORD)],
        "phases": [dict(zip(names, phase, strict=True)) for phase in PHASES],
        "hops": [],
        "spans": make_spans(),
        "critical_path": [
            dict(zip(("span_id", "from_ms", "to_ms"), section, strict=True)) for section in SECTIONS
        ],
        "links": [dict(LINK)],
        "verdict": dict(VERDICT),
        "findings": [dict(FINDING)],
    }
