"""
What a stitched request has, as features that cohorts are compared by, and as words.

Pure. Features of the gateway are known of every recorded request; those of the mesh only where its
spans are.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from collector.query.reports.cohorts import Feature, Observation
from collector.store import ObservedRequest

_OF_GATEWAY = {
    "API": "api",
    "API revision": "api_revision",
    "operation": "operation",
    "product": "product",
    "consumer": "consumer",
    "client": "client",
    "region": "region",
    "method": "method",
    "host": "host",
    "cache": "cache",
    "gateway instance": "instance",
    "backend": "backend_host",
}
_SIZES = ((1 << 10, "below 1 KiB"), (1 << 16, "1 to 64 KiB"), (1 << 20, "64 KiB to 1 MiB"))
_LARGE = "above 1 MiB"
_TIMES = ((1, "once"), (3, "2 or 3 times"), (15, "4 to 15 times"))
_OFTEN = "16 times and more"
_MOST_SERVICES = 200
_SAID = {
    "API": "called API {value}",
    "API revision": "used revision {value} of the API",
    "operation": "called operation {value}",
    "product": "used product {value}",
    "consumer": "came from consumer {value}",
    "client": "were sent by {value}",
    "region": "passed the gateway in {value}",
    "method": "used {value}",
    "host": "were sent to host {value}",
    "cache": "had a {value} of the gateway's cache",
    "gateway instance": "passed gateway instance {value}",
    "backend": "were sent on to {value}",
    "policy": "passed policy {value}",
    "error reason": "failed with {value} at the gateway",
    "request size": "sent {value}",
    "response size": "were answered with {value}",
    "pod": "ran on pod {value} of {service}",
    "version": "met version {value} of {service}",
    "node": "ran on node {value}",
    "zone": "ran in zone {value}",
    "upstream host": "went to {value}",
    "response flag": "have the response flag {value} of {service}",
    "retries": "were tried again {value}",
    "calls": "called {service} {value}",
}


def observe(requests: Sequence[ObservedRequest], *, with_mesh: bool) -> list[Observation]:
    """
    Return requests with what they have; *with_mesh* also where they ran.

    Times on the critical path come by phase and by call.
    """
    services = _services(requests) if with_mesh else frozenset()
    return [
        Observation(
            id=each.id,
            weight=float(each.weight),
            duration_ns=each.duration_ns,
            features=frozenset(_features(each, services, with_mesh=with_mesh)),
            times_ns=times_of(each),
        )
        for each in requests
    ]


def times_of(request: ObservedRequest) -> Mapping[tuple[str, ...], int]:
    """Return a request's time by phase (`phase`, name) and by call (`call`, service, operation)."""
    times: Counter[tuple[str, ...]] = Counter()
    for name, time_ns in request.phases_ns.items():
        if time_ns is not None:
            times["phase", name] = time_ns
    for hop in request.hops:
        if hop.role != "gateway" and hop.service:
            times["call", hop.service, hop.operation] += hop.critical_ns
    return times


def say(feature: Feature) -> str:
    """Return what requests with a feature did, to stand behind a share of them."""
    if feature.name == "hop":
        return f"{'called' if feature.value == 'present' else 'did not call'} {feature.service}"
    text = _SAID[feature.name] if feature.service or feature.name != "response flag" else (
        "have the response flag {value}"
    )  # fmt: skip
    return text.format(value=feature.value, service=feature.service)


@lru_cache(maxsize=20_000)
def _feature(name: str, value: str, service: str = "", is_symptom: bool = False) -> Feature:
    return Feature(name, value, service, is_symptom)


def _services(requests: Sequence[ObservedRequest]) -> frozenset[str]:
    """Return the services that some requests visit and some do not."""
    counts = Counter(name for each in requests for name in {hop.service for hop in each.hops})
    some = [name for name, count in counts.most_common() if name and count < len(requests)]
    return frozenset(some[:_MOST_SERVICES])


def _features(
    request: ObservedRequest, services: frozenset[str], *, with_mesh: bool
) -> Iterator[Feature]:
    given = request.fields
    for name, column in _OF_GATEWAY.items():
        if given[column]:
            yield _feature(name, str(given[column]))
    for policy in given["policies"]:
        yield _feature("policy", policy)
    if given["error_reason"]:
        yield _feature("error reason", given["error_reason"], is_symptom=True)
    if given["request_bytes"] is not None:
        yield _feature("request size", _class_of(given["request_bytes"], _SIZES, _LARGE))
    if given["response_bytes"] is not None:
        size = _class_of(given["response_bytes"], _SIZES, _LARGE)
        yield _feature("response size", size, is_symptom=True)
    if with_mesh:
        yield from _mesh_features(request, services)


def _mesh_features(request: ObservedRequest, services: frozenset[str]) -> Iterator[Feature]:
    if request.fields["retries"]:
        yield _feature(
            "retries", _class_of(request.fields["retries"], _TIMES, _OFTEN), is_symptom=True
        )
    calls: Counter[tuple[str, str]] = Counter()
    visited = set()
    for hop in request.hops:
        visited.add(hop.service)
        calls[hop.service, hop.operation] += 1
        for name, value, place in (
            ("pod", hop.pod, hop.service),
            ("version", hop.version, hop.service),
            ("node", hop.node, ""),
            ("zone", hop.zone, ""),
            ("upstream host", hop.upstream, ""),
        ):
            if value:
                yield _feature(name, value, place)
        for flag in hop.flags:
            yield _feature("response flag", flag, hop.service, is_symptom=True)
    for (service, operation), count in calls.items():
        if service:
            place = f"{service} {operation}".strip()
            yield _feature("calls", _class_of(count, _TIMES, _OFTEN), place, is_symptom=True)
    for name in services:
        value = "present" if name in visited else "absent"
        yield _feature("hop", value, name, is_symptom=True)


def _class_of(number: int, classes: Sequence[tuple[int, str]], largest: str) -> str:
    return next((name for most, name in classes if number <= most), largest)
