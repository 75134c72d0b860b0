"""The causes that are planted: each makes some requests slow, and returns what should be blamed."""

from collections.abc import Callable

import numpy as np

from collector.query.reports.cohorts import Feature
from tests.cohorts.population import (
    HOPS,
    PLAIN,
    PODS,
    SERVICES,
    ZONES,
    Flags,
    Population,
    node_of,
    pod_name,
)

Blame = tuple[str, str, str]
"""Name, value and place of the feature; or `time`, service and operation."""


def one_pod(population: Population) -> Blame:
    """One pod of payments is slow."""
    pod = int(population.random.integers(0, PODS - 1))
    population.delay(population.pods["payments"] == pod, "payments")
    return "pod", pod_name("payments", pod), "payments"


def _on_node(population: Population, service: str, wanted: Callable[[int], bool]) -> Flags:
    on = np.array([wanted(node_of(service, pod)) for pod in range(PODS)])
    found: Flags = on[population.pods[service]]
    return found


def one_node(population: Population) -> Blame:
    """Whatever runs on one node is slow."""
    node = int(population.random.integers(0, 12))
    for service in SERVICES:
        population.delay(_on_node(population, service, lambda each: each == node), service)
    return "node", f"node-{node}", ""


def one_zone(population: Population) -> Blame:
    """Calls of payments and ledger into one zone are slow."""
    zone = int(population.random.integers(0, ZONES))
    for service in SERVICES:
        hit = _on_node(population, service, lambda each: each % ZONES == zone)
        population.delay(hit & (population.random.random(population.count) < 0.06), service)
    return "zone", f"zone-{zone}", ""


def one_version(population: Population) -> Blame:
    """The canary of stock is slow: its version runs on one pod, which is the same."""
    population.delay(population.pods["stock"] == PODS - 1, "stock")
    return "version", "1.5", "stock"


def version_on_two_pods(population: Population) -> Blame:
    """A version of stock is slow that two of six pods run: neither pod alone explains it."""
    population.canaries = (PODS - 2, PODS - 1)
    hit = population.pods["stock"] >= PODS - 2
    population.delay(hit & (population.random.random(population.count) < 0.2), "stock")
    return "version", "1.5", "stock"


def operation_of_one_consumer(population: Population) -> Blame:
    """An operation is slow that one consumer calls most: the consumer is not to blame."""
    operations, consumers = population.plain["operation"], population.plain["consumer"]
    often = (consumers == 3) & (population.random.random(population.count) < 0.7)
    operations[often] = 3
    population.delay(
        (operations == 3) & (population.random.random(population.count) < 0.3), "ledger"
    )
    return "operation", "cancel-order", ""


def _one_of(name: str, service: str, share: float = 0.5) -> Callable[[Population], Blame]:
    def plant(population: Population) -> Blame:
        values = PLAIN[name]
        value = int(population.random.integers(len(values) // 2, len(values)))
        hit = population.plain[name] == value
        population.delay(hit & (population.random.random(population.count) < share), service)
        return name, values[value], ""

    plant.__doc__ = f"Half of the requests of one {name} are slow."
    return plant


def cold_cache(population: Population) -> Blame:
    """A miss of the cache means a slow call of the ledger."""
    missed = population.random.random(population.count) < 0.08
    population.extra = [each for each in population.extra if each[0].name != "cache"]
    population.mark(Feature("cache", "miss"), missed)
    population.mark(Feature("cache", "hit"), ~missed)
    population.delay(missed, "ledger")
    return "cache", "miss", ""


def many_calls(population: Population) -> Blame:
    """Some requests call stock for every item on its own."""
    loops = population.random.random(population.count) < 0.06
    few = Feature("calls of stock call", "1", "stock", is_symptom=True)
    many = Feature("calls of stock call", "16 and more", "stock", is_symptom=True)
    population.mark(few, ~loops)
    population.mark(many, loops)
    population.delay(loops, "stock")
    return "calls of stock call", "16 and more", "stock"


def policy(population: Population) -> Blame:
    """A policy of the gateway that only some calls pass makes them wait."""
    passed = population.random.random(population.count) < 0.1
    population.mark(Feature("policy", "gateway:rate_limit"), passed)
    hit = passed & (population.random.random(population.count) < 0.7)
    slower = np.where(hit, population.random.lognormal(np.log(300), 0.3, population.count), 0.0)
    population.times["phase", "gateway"] += slower
    return "policy", "gateway:rate_limit", ""


def retries(population: Population) -> Blame:
    """One pod of orders answers late and is tried again: the retry shows, the pod is it."""
    pod = int(population.random.integers(0, PODS - 1))
    hit = population.pods["orders"] == pod
    population.delay(hit, "orders", 500)
    again = hit & (population.random.random(population.count) < 0.95)
    population.mark(Feature("retries", "1", is_symptom=True), again)
    population.mark(Feature("response flag", "UT", "orders", is_symptom=True), again)
    return "pod", pod_name("orders", pod), "orders"


def connection_pool(population: Population) -> Blame:
    """Payments waits for a connection, whoever asks: there is a place, and nothing else."""
    hit = population.random.random(population.count) < 0.06
    population.delay(hit, "payments")
    return ("time", *HOPS[SERVICES.index("payments")])


def hop_missing(population: Population) -> Blame:
    """Without the call of a side cache the ledger does the work."""
    without = population.random.random(population.count) < 0.07
    population.mark(Feature("hop", "absent", "side-cache", is_symptom=True), without)
    population.mark(Feature("hop", "present", "side-cache", is_symptom=True), ~without)
    population.delay(without, "ledger")
    return "hop", "absent", "side-cache"


KINDS: dict[str, Callable[[Population], Blame]] = {
    "one pod": one_pod,
    "one node": one_node,
    "one zone": one_zone,
    "a canary version": one_version,
    "a version on two pods": version_on_two_pods,
    "one API revision": _one_of("API revision", "orders", 0.12),
    "one consumer": _one_of("consumer", "orders"),
    "one region": _one_of("region", "orders", 0.25),
    "one client": _one_of("client", "orders", 0.3),
    "one product": _one_of("product", "orders", 0.2),
    "one operation": _one_of("operation", "ledger", 0.3),
    "an operation of one consumer": operation_of_one_consumer,
    "one gateway instance": _one_of("gateway instance", "orders", 0.25),
    "large requests": _one_of("request size", "payments", 0.3),
    "one upstream host": _one_of("upstream host", "stock", 0.4),
    "a cold cache": cold_cache,
    "many calls for one": many_calls,
    "a policy": policy,
    "a pod behind retries": retries,
    "a connection pool": connection_pool,
    "a missing hop": hop_missing,
}
