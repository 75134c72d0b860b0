"""Populations of requests through a gateway and four services, some with a reason to be slow."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collector.query.reports.cohorts import Feature, Observation

MS = 1_000_000
SERVICES = ("orders", "stock", "payments", "ledger")
PODS, NODES, ZONES = 6, 12, 3
CONSUMERS = tuple(f"consumer-{number}" for number in range(14))
REVISIONS = ("7", "8")
REGIONS = ("West Europe", "North Europe", "East US")
CLIENTS = ("okhttp", "Mozilla", "curl", "python-requests")
PRODUCTS = ("starter", "partner", "internal")
OPERATIONS = ("get-order", "list-orders", "create-order", "cancel-order")
INSTANCES = tuple(f"gateway-{number}" for number in range(4))
SIZES = ("below 1 KiB", "1 to 64 KiB", "64 KiB to 1 MiB", "above 1 MiB")
UPSTREAMS = tuple(f"10.0.7.{number}" for number in range(5))
HOPS = tuple((service, f"{service} call") for service in SERVICES)

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass
class Population:
    """
    Requests as arrays: which pod of each service, which consumer and so on; their times in ms.

    `times` is the time on the critical path by phase and by service; `extra` are features of some
    requests beside those that every request has.
    """

    count: int
    random: np.random.Generator
    pods: dict[str, Ints]
    plain: dict[str, Ints]
    times: dict[tuple[str, ...], Floats]
    extra: list[tuple[Feature, Flags]]
    canaries: tuple[int, ...] = (PODS - 1,)

    @property
    def durations_ms(self) -> Floats:
        parts = [times for key, times in self.times.items() if key[0] == "phase"]
        total: Floats = np.sum(parts, axis=0)
        return total

    def delay(self, affected: Flags, service: str, ms: float = 400.0) -> None:
        """Make affected requests wait for *service*: about *ms*, some of them not at all."""
        hit = affected & (self.random.random(self.count) < 0.9)
        slower = np.where(hit, self.random.lognormal(np.log(ms), 0.35, self.count), 0.0)
        self.times[("call", *HOPS[SERVICES.index(service)])] += slower
        self.times[("phase", "app")] += slower

    def mark(self, feature: Feature, has: Flags) -> None:
        """Give a feature to some of the requests."""
        self.extra.append((feature, has))


PLAIN: dict[str, tuple[str, ...]] = {
    "consumer": CONSUMERS,
    "API revision": REVISIONS,
    "region": REGIONS,
    "client": CLIENTS,
    "product": PRODUCTS,
    "operation": OPERATIONS,
    "gateway instance": INSTANCES,
    "request size": SIZES,
    "upstream host": UPSTREAMS,
}


def make(count: int, seed: int) -> Population:
    """Return ordinary requests: every pod and consumer as fast as the others."""
    random = np.random.default_rng(seed)
    pods = {service: random.integers(0, PODS, count) for service in SERVICES}
    plain: dict[str, Ints] = {}
    for name, values in PLAIN.items():
        popularity = 1 / np.arange(1, len(values) + 1) ** 0.7
        plain[name] = random.choice(len(values), count, p=popularity / popularity.sum())
    times: dict[tuple[str, ...], Floats] = {}
    app = np.zeros(count)
    for hop in HOPS:
        own = random.lognormal(np.log(14), 0.5, count)
        times["call", *hop] = own
        app += own
    times["phase", "gateway"] = random.lognormal(np.log(4), 0.4, count)
    times["phase", "network"] = random.lognormal(np.log(3), 0.3, count)
    times["phase", "app"] = app
    population = Population(count, random, pods, plain, times, [])
    # What comes and goes without making a difference.
    for name in ("URX", "UF", "DC"):
        flag = Feature("response flag", name, "", is_symptom=True)
        population.mark(flag, random.random(count) < 0.02)
    population.mark(Feature("cache", "miss"), random.random(count) < 0.5)
    return population


def pod_name(service: str, pod: int) -> str:
    """Return the name of one pod of a service."""
    return f"{service}-{pod}"


def node_of(service: str, pod: int) -> int:
    """Return where a pod runs: pods of one service on nodes of their own, nodes shared by all."""
    return (SERVICES.index(service) * 5 + pod * 2) % NODES


def features_of(population: Population, at: int) -> frozenset[Feature]:
    """Return what one request has."""
    found = {Feature(name, values[population.plain[name][at]]) for name, values in PLAIN.items()}
    for service in SERVICES:
        pod = int(population.pods[service][at])
        node = node_of(service, pod)
        found.add(Feature("pod", pod_name(service, pod), service))
        found.add(Feature("version", "1.5" if pod in population.canaries else "1.4", service))
        found.add(Feature("node", f"node-{node}"))
        found.add(Feature("zone", f"zone-{node % ZONES}"))
    found.update(feature for feature, has in population.extra if has[at])
    return frozenset(found)


def observe(population: Population, rest_of: int = 16) -> list[Observation]:
    """Return a sample as background stitching draws it: the slow whole, of the rest one in some."""
    durations = population.durations_ms
    is_slow = durations > np.quantile(durations, 0.95)
    is_drawn = is_slow | (population.random.random(population.count) < 1 / rest_of)
    return [
        Observation(
            id=f"request-{at}",
            weight=1.0 if is_slow[at] else float(rest_of),
            duration_ns=round(durations[at] * MS),
            features=features_of(population, int(at)),
            times_ns={key: round(times[at] * MS) for key, times in population.times.items()},
        )
        for at in np.flatnonzero(is_drawn)
    ]


def split(sample: list[Observation]) -> tuple[list[Observation], list[Observation]]:
    """Return the slow requests and the rest, at the 95th percentile of what they stand for."""
    durations = np.array([each.duration_ns for each in sample], dtype=np.float64)
    weights = np.array([each.weight for each in sample])
    order = np.argsort(durations)
    at = np.searchsorted(np.cumsum(weights[order]), 0.95 * weights.sum())
    bound = durations[order][at]
    slow = [each for each in sample if each.duration_ns >= bound]
    return slow, [each for each in sample if each.duration_ns < bound]


Plant = Callable[[Population], tuple[str, str, str]]
