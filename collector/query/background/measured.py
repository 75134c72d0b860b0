"""
What stitched requests add up to as metrics that alerts can rest on.

In: requests that are written for the first time. Out: counters and histograms, each request counted
for as many as it stands for. What a late part corrects afterwards shows in reports and not here: a
counter never goes back. How many APIs are told apart is limited by `telemetry.MAX_SERIES`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from collector.store import StitchedRequest
from collector.telemetry import Metrics
from collector.timestamps import NS_PER_S

_JOINED = {True: "yes", False: "no", None: "gateway"}


def count_requests(metrics: Metrics, requests: Iterable[StitchedRequest]) -> None:
    """Count requests, their errors and their times; health probes are left out."""
    joined: dict[tuple[str, str, str], int] = defaultdict(int)
    failed: dict[tuple[str, str, str], int] = defaultdict(int)
    took: dict[tuple[str, str, str], list[tuple[float, str, int]]] = defaultdict(list)
    for each in requests:
        if each.is_probe:
            continue
        gateway, api, weight = each.gateway, each.api, each.weight
        joined[gateway, api, _JOINED[each.is_joined]] += weight
        if each.is_error:
            failed[gateway, api, each.verdict_layer] += weight
        for phase, time_ns in _times(each):
            took[gateway, api, phase].append((time_ns / NS_PER_S, each.trace_id, weight))
    for (gateway, api, word), count in joined.items():
        metrics.count("hopline_request_total", count, joined=word, gateway=gateway, api=api)
    for (gateway, api, layer), count in failed.items():
        metrics.count("hopline_request_errors_total", count, layer=layer, gateway=gateway, api=api)
    for (gateway, api, phase), times in took.items():
        metrics.observe_all("hopline_request_seconds", times, phase=phase, gateway=gateway, api=api)


def _times(request: StitchedRequest) -> Iterator[tuple[str, int]]:
    """Yield the phases that were measured; proxies are one, and so is what the gateway does."""
    for name, time_ns in (
        ("total", request.duration_ns),
        ("gateway", _sum(request.gateway_ns, request.cache_ns)),
        ("network", request.network_ns),
        ("mesh", _sum(request.edge_proxy_ns, request.mesh_proxy_ns)),
        ("application", request.app_ns),
        ("dependency", request.dependency_ns),
        ("unexplained", request.unexplained_ns),
    ):
        if time_ns is not None:
            yield name, max(time_ns, 0)


def _sum(first_ns: int | None, second_ns: int | None) -> int | None:
    if first_ns is None or second_ns is None:
        return second_ns if first_ns is None else first_ns
    return first_ns + second_ns
