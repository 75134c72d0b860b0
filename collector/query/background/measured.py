"""
What stitched requests add up to as metrics that alerts can rest on.

In: requests that are written for the first time. Out: counters and histograms, each request counted
for as many as it stands for. What a late part corrects afterwards shows in reports and not here: a
counter never goes back. How many APIs are told apart is limited by `telemetry.MAX_SERIES`.
"""

from collections.abc import Iterable, Iterator

from collector.store import StitchedRequest
from collector.telemetry import Metrics
from collector.timestamps import NS_PER_S


def count_requests(metrics: Metrics, requests: Iterable[StitchedRequest]) -> None:
    """Count requests, their errors and their times; health probes are left out."""
    for each in requests:
        if each.is_probe:
            continue
        place = {"gateway": each.gateway, "api": each.api}
        joined = {True: "yes", False: "no", None: "gateway"}[each.is_joined]
        metrics.count("hopline_request_total", each.weight, joined=joined, **place)
        if each.is_error:
            layer = each.verdict_layer
            metrics.count("hopline_request_errors_total", each.weight, layer=layer, **place)
        for phase, time_ns in _times(each):
            metrics.observe(
                "hopline_request_seconds",
                time_ns / NS_PER_S,
                each.trace_id,
                each.weight,
                phase=phase,
                **place,
            )


def _times(request: StitchedRequest) -> Iterator[tuple[str, int]]:
    """Yield the phases that were measured; proxies are one, and so is what the gateway does."""
    mesh = [each for each in (request.edge_proxy_ns, request.mesh_proxy_ns) if each is not None]
    gateway = [each for each in (request.gateway_ns, request.cache_ns) if each is not None]
    for name, parts in (
        ("total", [request.duration_ns]),
        ("gateway", gateway),
        ("network", [request.network_ns]),
        ("mesh", mesh),
        ("application", [request.app_ns]),
        ("dependency", [request.dependency_ns]),
        ("unexplained", [request.unexplained_ns]),
    ):
        known = [each for each in parts if each is not None]
        if known:
            yield name, max(sum(known), 0)
