"""
Causes that are a proxy's, planted into real Envoys and asked for at a running Hopline.

    python -m tests.cohorts.envoys

Each kind and seed has a mesh of its own: a gateway and its records in front, sidecars and small
instrumented services behind. All of them send to one Hopline, which is asked `/api/v1/slow`.
"""

import asyncio
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import aiohttp

from collector.demo.envoy_config import Collectors
from collector.demo.mesh import Mesh
from collector.demo.topology import (
    Call,
    Endpoint,
    Fault,
    Gateway,
    Route,
    Service,
    Topology,
    Work,
)
from tests import service as running
from tests.cohorts.__main__ import README, THROUGH_ENVOYS
from tests.lab.gateway import LabGateway
from tests.lab.scenario import Policy
from tests.lab.sink import RecordSink

REQUESTS = 200
SEEDS = range(1, 6)
_AT_ONCE = 6
_PODS = 4
_LIMIT_S = 300.0
_CALLEES = ("stock", "prices", "ledger")

Found = tuple[str, str, str]
"""Name, value and place of a difference; "" stands for any."""


@dataclass(frozen=True)
class Plant:
    """A mesh with one fault, what is asked, and the names under which the fault may come first."""

    services: tuple[Service, ...]
    asked: dict[str, str]
    blamed: tuple[Found, ...]


def _plant(
    sick: str, pods: Sequence[Service], route: Route, asked: dict[str, str], *blamed: Found
) -> Plant:
    """Build a shop whose front calls three services, one of them of these pods by this route."""
    calls = (Call(name) for name in _CALLEES)
    front = Service("shop-front", routes=(route,), endpoints=(Endpoint(steps=(Work(1), *calls)),))
    others = (_pod(name) for name in _CALLEES if name != sick)
    return Plant((front, *pods, *others), asked, blamed)


def _pod(name: str, number: int = 0, work_ms: float = 2.0) -> Service:
    pod_name, replica_of = (f"{name}-{number}", name) if number else (name, "")
    return Service(pod_name, replica_of=replica_of, endpoints=(Endpoint(steps=(Work(work_ms),)),))


def _slower_than(delay_ms: int) -> dict[str, str]:
    return {"slower_than_ms": str(delay_ms * 4 // 5)}


def slow_endpoint(chance: random.Random) -> Plant:
    """One of the four endpoints that a proxy spreads calls over is slow."""
    sick, at, delay_ms = chance.choice(_CALLEES), chance.randrange(_PODS), _delay_ms(chance)
    pods = [_pod(sick, number, delay_ms if number == at else 2) for number in range(_PODS)]
    return _plant(sick, pods, Route(sick), _slower_than(delay_ms), ("pod", pods[at].pod, sick))


def delay_filter(chance: random.Random) -> Plant:
    """The caller's proxy delays a fifth of the calls of one service (a fault filter)."""
    sick, delay_ms = chance.choice(_CALLEES), _delay_ms(chance)
    route = Route(sick, fault=Fault(delay_ms=delay_ms, delay_percent=20))
    return _plant(sick, [_pod(sick)], route, _slower_than(delay_ms), ("response flag", "DI", ""))


def route_timeout(chance: random.Random) -> Plant:
    """A route's timeout ends the calls that one of four endpoints does not answer in time."""
    sick, at = chance.choice(_CALLEES), chance.randrange(_PODS)
    pods = [_pod(sick, number, 1500 if number == at else 2) for number in range(_PODS)]
    route = Route(sick, timeout_ms=chance.randrange(400, 700))
    return _plant(sick, pods, route, {"select": "failed"}, ("pod", pods[at].pod, sick))


def pool_overflow(chance: random.Random) -> Plant:
    """The pool to one service has one connection, and room for one request that waits for it."""
    sick = chance.choice(_CALLEES)
    route = Route(sick, max_connections=1, max_pending=1)
    pods = [_pod(sick, work_ms=chance.randrange(5, 15))]
    return _plant(sick, pods, route, {"select": "failed"}, ("response flag", "UO", ""))


def tried_again(chance: random.Random) -> Plant:
    """The proxy of one of four endpoints breaks off late, and the caller's proxy tries again."""
    sick, at, delay_ms = chance.choice(_CALLEES), chance.randrange(_PODS), _delay_ms(chance)
    pods = [_pod(sick, number) for number in range(_PODS)]
    pods[at] = replace(pods[at], inbound_fault=Fault(delay_ms=delay_ms, abort_status=503))
    blamed = [("retries", "", ""), ("response flag", "FI", ""), ("response flag", "DI", "")]
    return _plant(sick, pods, Route(sick, retries=3), _slower_than(delay_ms), *blamed)


def _delay_ms(chance: random.Random) -> int:
    return chance.randrange(250, 500)


KINDS: dict[str, Callable[[random.Random], Plant]] = {
    "one slow endpoint": slow_endpoint,
    "a delay filter": delay_filter,
    "a route's timeout": route_timeout,
    "a connection pool": pool_overflow,
    "tries broken off": tried_again,
}


@dataclass(frozen=True)
class Outcome:
    """What came first, and whether the planted cause is among its names."""

    kind: str
    seed: int
    first: str
    is_right: bool


async def run(kinds: Iterable[str], seeds: Iterable[int], folder: Path) -> list[Outcome]:
    """Plant each kind with each seed, one after the other, and ask for all of them."""
    runs = [
        (kind, seed, KINDS[kind](random.Random(f"{kind} {seed}")))
        for kind in kinds
        for seed in seeds
    ]
    service = await asyncio.to_thread(
        running.start_service, folder, wait=False, background_cpu_percent="100"
    )
    try:
        await asyncio.to_thread(
            service.wait_for, "/readyz", lambda status, _: status == 200, _LIMIT_S
        )
        asked: list[asyncio.Task[Outcome]] = []
        for each in runs:
            await _send(service, _name(*each[:2]), each[2], folder / _name(*each[:2]))
            if asked:  # a request is stitched some time after it, while others are sent
                await asked[-1]
            asked.append(asyncio.create_task(asyncio.to_thread(_ask, service, *each)))
        return await asyncio.gather(*asked)
    finally:
        await asyncio.to_thread(service.stop)


def _name(kind: str, seed: int) -> str:
    return f"{kind.replace(' ', '-').replace(chr(39), '')}-{seed}"


async def _send(service: running.Service, name: str, plant: Plant, folder: Path) -> None:
    topology = Topology(
        name, plant.services, Gateway((Route("shop-front"),)), access_logs=("otlp",)
    )
    mesh = Mesh(topology, Collectors(service.grpc_port, service.http_port), folder)
    await asyncio.to_thread(mesh.start)
    sink = RecordSink(service.ingest_url)
    sink.start()
    gateway = LabGateway("apim", {name: Policy(), "warm-up": Policy()}, sink, mesh.gateway_url)
    try:
        url = await gateway.start()
        gate = asyncio.Semaphore(_AT_ONCE)
        async with aiohttp.ClientSession() as client:

            async def ask(path: str) -> None:
                async with gate, client.get(f"{url}/{path}") as answer:
                    await answer.read()

            await asyncio.gather(*(ask(f"warm-up/{number}") for number in range(20)))
            await asyncio.gather(*(ask(f"{name}/{number}") for number in range(REQUESTS)))
    finally:
        await gateway.stop()
        await sink.stop()
        await asyncio.to_thread(mesh.stop)


def _ask(service: running.Service, kind: str, seed: int, plant: Plant) -> Outcome:
    filters = {"operation": _name(kind, seed), "start": "-1h"}
    service.wait_for(
        f"/api/v1/edges?{urlencode(filters)}",
        lambda status, known: status == 200 and known["basis"]["requests"] >= 0.95 * REQUESTS,
        _LIMIT_S,
    )
    slow = f"/api/v1/slow?{urlencode(filters | plant.asked)}"
    answer = service.wait_for(slow, lambda status, _: status == 200, _LIMIT_S)
    differences = answer["differences"]
    if not differences:
        return Outcome(kind, seed, f"nothing ({answer['note']})", is_right=False)
    names = [(each["name"], each["value"], each["service"]) for each in _same(differences[0])]
    is_right = any(_fits(blamed, name) for blamed in plant.blamed for name in names)
    outcome = Outcome(kind, seed, " ".join(names[0]).strip(), is_right)
    print(outcome)
    return outcome


def _same(difference: dict[str, object]) -> list[dict[str, str]]:
    return [difference["feature"], *difference["also"]]  # type: ignore[misc, list-item]  # JSON


def _fits(blamed: Found, found: Found) -> bool:
    return all(wanted in ("", known) for wanted, known in zip(blamed, found, strict=True))


def main() -> int:
    """Run every kind with every seed and write its table; return 1 when one is wrong."""
    with TemporaryDirectory(prefix="hopline-cohorts-") as folder:
        outcomes = asyncio.run(run(KINDS, SEEDS, Path(folder)))
    lines = []
    for kind, plant in KINDS.items():
        of_kind = [each for each in outcomes if each.kind == kind]
        right = sum(each.is_right for each in of_kind)
        others = sorted({each.first for each in of_kind if not each.is_right})
        said = f"; else {', '.join(others)}" if others else ""
        story = (plant.__doc__ or "").strip()
        lines.append(f"| {kind} | {story} | {right} of {len(of_kind)}{said} |")
    table = "\n".join(lines)
    before, _, _ = README.read_text().partition(THROUGH_ENVOYS)
    README.write_text(
        f"{before}{THROUGH_ENVOYS}\nWritten by `python -m tests.cohorts.envoys`: of each kind and "
        f"seed {REQUESTS} requests through a gateway, an ingress, a front and three services with "
        "their sidecars; spans and access logs are the Envoys' own, and `/api/v1/slow` of a "
        "running Hopline is asked (for the failed ones where the fault fails requests). It takes a "
        "quarter of an hour, so that no test runs it.\n\n"
        f"| planted | what it does | right cause first |\n|---|---|---|\n{table}\n"
    )
    print(table)
    return int(not all(each.is_right for each in outcomes))


if __name__ == "__main__":
    sys.exit(main())
