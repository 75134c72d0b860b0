"""Stitched requests as background stitching writes them, without spans to stitch."""

from dataclasses import fields
from typing import Any

from collector.query.background.strata import place_of
from collector.store import StitchedHop, StitchedRequest

MS = 1_000_000
NAMES = ("azure-apim", "istio-ingressgateway", "orders", "payments", "postgresql")
ROLES = ("gateway", "edge", "service", "service", "dependency")


def make_hops(pod: str, took_ms: int, *, failed: bool = False) -> list[StitchedHop]:
    """Return a chain of five hops, each within the one before."""
    return [
        StitchedHop(
            role=ROLES[at], service=name, operation="call", caller=NAMES[at - 1] if at else "",
            parent=at - 1, pod=pod if name == "payments" else "", node="", zone="", version="",
            upstream="", start_offset_ns=at * MS, duration_ns=(took_ms - 2 * at) * MS,
            self_ns=2 * MS, critical_ns=(took_ms - 8 if at == 4 else 2) * MS,
            proxy_ns=MS if at in (1, 2) else 0, attempt=1, attempts=1,
            status="500" if failed else "200", is_error=failed, flags=(),
            is_inferred=at == 4, is_mirrored=False, is_async=False,
        )
        for at, name in enumerate(NAMES)
    ]  # fmt: skip


def make_stitched(number: int, start_ns: int, took_ms: int, **given: Any) -> StitchedRequest:
    """Return a joined request that passed gateway and mesh; what is given wins."""
    pod = given.pop("pod", f"payments-{number % 4}")
    failed = given.get("is_error", False)
    values: dict[str, Any] = {
        **{each.name: "" for each in fields(StitchedRequest)},
        **dict.fromkeys(("policies", "quality", "flags"), ()),
        **dict.fromkeys(("open_ns", "backend_ns", "request_bytes", "response_bytes"), None),
        "cache_ns": None,
        "request_id": f"request-{number}",
        "place": place_of(f"request-{number}"),
        "weight": 1,
        "record_weight": 1.0,
        "stratum": "rest",
        "origin": "record",
        "is_probe": False,
        "start_ns": start_ns,
        "duration_ns": took_ms * MS,
        "trace_id": f"{number:032x}",
        "gateway": "azure-apim",
        "api": "orders-api",
        "operation": "get-order",
        "consumer": "acme",
        "status": 200,
        "is_error": False,
        "backend_status": 200,
        "client_ns": 0,
        "gateway_ns": 10 * MS,
        "network_ns": 5 * MS,
        "edge_proxy_ns": MS,
        "mesh_proxy_ns": 4 * MS,
        "app_ns": (took_ms - 20) * MS,
        "dependency_ns": 0,
        "unexplained_ns": 0,
        "verdict_layer": "app" if failed else "none",
        "verdict_confidence": 0.9,
        "is_joined": True,
        "join_tier": 1,
        "join_confidence": 0.9,
        "services": ("istio-ingressgateway", "orders", "payments"),
        "retries": 0,
        "received_ns": start_ns,
        "hops": make_hops(pod, took_ms, failed=failed),
    }
    return StitchedRequest(**{**values, **given})
