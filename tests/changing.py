"""Stitched requests as they are stored, each field an ordinary one that is not given."""

from dataclasses import fields, replace

from collector.query.background.strata import place_of
from collector.store import StitchedHop, StitchedRequest

MS = 1_000_000
_TEXT_LISTS = ("policies", "quality", "services", "flags", "hops")


def make_hop(service: str, took_ms: float = 20, **given: object) -> StitchedHop:
    """Return a visit to a service."""
    took_ns = round(took_ms * MS)
    hop = StitchedHop(
        role="service",
        service=service,
        operation=f"GET /{service}",
        caller="",
        parent=-1,
        pod="",
        node="",
        zone="",
        version="",
        upstream="",
        start_offset_ns=0,
        duration_ns=took_ns,
        self_ns=took_ns,
        critical_ns=took_ns,
        proxy_ns=0,
        attempt=1,
        attempts=1,
        status="200",
        is_error=False,
        flags=(),
        is_inferred=False,
        is_mirrored=False,
        is_async=False,
    )
    return replace(hop, **given)  # type: ignore[arg-type]  # fields by name


def make_request(
    number: int, start_ns: int, *hops: StitchedHop, **given: object
) -> StitchedRequest:
    """Return a request of the API `shop` at the gateway `kong`."""
    request_id = f"{number:032x}"
    plain: dict[str, object] = {
        field.name: () if field.name in _TEXT_LISTS else None if "None" in str(field.type) else ""
        for field in fields(StitchedRequest)
    }
    plain |= {
        "request_id": request_id,
        "place": place_of(request_id),
        "weight": 1,
        "record_weight": 1.0,
        "stratum": "rest",
        "origin": "record",
        "is_probe": False,
        "start_ns": start_ns,
        "duration_ns": round(sum(hop.critical_ns for hop in hops) or 25 * MS),
        "trace_id": request_id,
        "gateway": "kong",
        "api": "shop",
        "method": "GET",
        "route": "/shop/{id}",
        "status": 200,
        "is_error": False,
        "verdict_layer": "none",
        "verdict_confidence": 1.0,
        "state": "final",
        "is_joined": True,
        "services": sorted({hop.service for hop in hops}),
        "retries": 0,
        "received_ns": start_ns,
        "hops": hops,
    }
    return StitchedRequest(**(plain | given))  # type: ignore[arg-type]  # fields by name
