"""
Made-up answers about many requests that OpenAPI shows.
"""

from typing import Any

_RANGE = {"start": "2026-03-01T09:00:00.000000000Z", "end": "2026-03-01T10:00:00.000000000Z"}

DOCTOR: dict[str, Any] = {
    "findings": [
        {
            "rule": "HEADER_STRIPPED_BY_APP",
            "title": "An application does not forward the trace headers",
            "meaning": "Its calls begin traces of their own: who made them shows only by other "
            "signs.",
            "hop": "orders",
            "layer": "app",
            "gateway": "azure-apim",
            "share_of_traffic": 0.24,
            "requests": 500,
            "affected": 120,
            "first_seen": "2026-03-01T09:00:04.120000000Z",
            "last_seen": "2026-03-01T09:58:51.004000000Z",
            "example_ids": ["4f1c2a77-d0b9-4e3c-8a5b-6d7e8f901234"],
            "message": "orders: what comes in carries a context, what goes out begins anew "
            "(120 of 500 requests)",
            "fix": "Forward the trace headers from the incoming request to every outgoing one.",
            "refs": ["4f1c2a77d0b94e3c8a5b6d7e8f901234/00f067aa0ba902b7"],
        }
    ],
    "looked_at": 500,
    "range": _RANGE,
    "note": "",
}
JOINS: dict[str, Any] = {
    "apis": [
        {
            "gateway": "azure-apim",
            "api": "orders-api",
            "records": 480,
            "tiers": {"0": 402, "3": 31, "none": 47},
            "joined_ratio": 0.902083,
            "statistical": {
                **_RANGE,
                "records": 3_000,
                "exact_pairs": 2_706,
                "unjoined": 294,
                "joined": 271,
                "routes": [
                    {
                        "route": "azure-apim||orders-api|GET|get-order",
                        "audited": 2_706,
                        "claimed": 2_612,
                        "precision": 0.9973,
                        "coverage": 0.9627,
                        "demoted": False,
                        "curve": [{"claimed_from": 0.9, "measured": 0.991, "pairs": 2_655}],
                    }
                ],
            },
        }
    ],
    "looked_at": 500,
    "unrecorded": 20,
    "range": _RANGE,
    "note": "",
}
OUTCOMES: dict[str, Any] = {
    "apis": [
        {
            "api": "orders-api",
            "requests": 480,
            "outcomes": {"ok": 471, "zombie": 9},
            "matrix": [
                {
                    "consumer": "acme-mobile",
                    "gateway_status": "5xx",
                    "edge_status": "2xx",
                    "app_status": "2xx",
                    "outcome": "zombie",
                    "requests": 9,
                    "wasted_ms": 18_240.5,
                    "example_ids": ["4f1c2a77-d0b9-4e3c-8a5b-6d7e8f901234"],
                },
                {
                    "consumer": "acme-mobile",
                    "gateway_status": "2xx",
                    "edge_status": "2xx",
                    "app_status": "2xx",
                    "outcome": "ok",
                    "requests": 471,
                    "wasted_ms": 0.0,
                    "example_ids": ["a3d9e0b1-5c74-4f1e-9b62-0e8d7c6b5a49"],
                },
            ],
        }
    ],
    "looked_at": 480,
    "range": _RANGE,
    "note": "",
}
