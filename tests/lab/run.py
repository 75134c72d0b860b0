"""
Runs scenarios: starts Hopline, meshes and gateways, sends requests, asks for answers.
"""

import asyncio
import secrets
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from collector.demo.envoy_config import Collectors
from collector.demo.mesh import Mesh
from tests.lab.forwarder import DistortingForwarder
from tests.lab.gateway import SENT_TRACEPARENT, LabGateway
from tests.lab.meshes import MESHES, build_topology, path_of
from tests.lab.network import SlowNetwork
from tests.lab.scenario import INJECTED_MS, Scenario
from tests.lab.score import Document, Score, Sent, judge
from tests.lab.sink import RecordSink
from tests.service import Service, free_ports, start_service

_ASKED_AT_ONCE = 4
_PATIENCE_S = 6.0  # without any answer getting better
_LIMIT_S = 180.0
_TRIES = 6  # of a request that the machine disturbs
_SWEEP_PAUSE_S = 0.5


@dataclass(slots=True)
class Results:
    """What a run found out. `disturbed` counts requests by scenario whose truth is not known."""

    scores: list[Score] = field(default_factory=list)
    answers: dict[str, Document] = field(default_factory=dict)
    disturbed: dict[str, int] = field(default_factory=dict)


async def run(
    scenarios: Sequence[Scenario], requests: int, folder: Path, say: Callable[[str], None]
) -> Results:
    """
    Send each scenario's requests and score what Hopline says of them.

    Hopline, proxies and applications write their data and logs into *folder*. It is asked once
    everything was sent, and again for what is wrong as long as something gets better.
    """
    results = Results()
    begun = time.monotonic()
    [zipkin_port] = free_ports(1)
    service = await asyncio.to_thread(
        start_service, folder, zipkin_port=str(zipkin_port), flush_interval_ms="1000"
    )
    try:
        sent: list[Sent] = []
        for mesh in MESHES:
            group = [scenario for scenario in scenarios if scenario.mesh == mesh]
            if group:
                say(f"{len(group)} kinds in the mesh {mesh}, {requests} requests each")
                lab = _Lab(mesh, group, service, zipkin_port, folder / mesh)
                sent += await lab.send_all(requests, results.disturbed)
        await _wait_until_loaded(service)
        say(f"asking for {len(sent)} timelines, {time.monotonic() - begun:.0f} s after the start")
        async with aiohttp.ClientSession() as client:
            asker = _Asker(client, service.api_url)
            results.answers = await asker.ask_until_settled(sent)
    finally:
        await asyncio.to_thread(service.stop)
    results.scores = [judge(one, results.answers.get(one.id)) for one in sent]
    return results


async def _wait_until_loaded(service: Service) -> None:
    """Wait until what arrived is in the store, as far as it gets there in time."""
    deadline = time.monotonic() + _LIMIT_S
    while service.journal_files() and time.monotonic() < deadline:
        await asyncio.sleep(_SWEEP_PAUSE_S)


class _Lab:
    """One mesh with the gateways in front of it."""

    def __init__(
        self,
        name: str,
        scenarios: Sequence[Scenario],
        service: Service,
        zipkin_port: int,
        folder: Path,
    ) -> None:
        self._name = name
        self._scenarios = scenarios
        self._service = service
        self._zipkin_port = zipkin_port
        self._folder = folder
        self._urls: dict[str, str] = {}
        self._client: aiohttp.ClientSession | None = None

    async def send_all(self, requests: int, disturbed: dict[str, int]) -> list[Sent]:
        """Start everything, send, stop everything."""
        async with AsyncExitStack() as stack:
            await self._start(stack)
            for scenario in self._scenarios:  # opens connections, fills caches, uses up rates
                await self._send(scenario)
            shared = [s for s in self._scenarios if not s.is_alone for _ in range(s.weight)]
            together = [s for s in shared for _ in range(requests)]
            alone = [s for s in self._scenarios if s.is_alone for _ in range(requests)]
            gate = asyncio.Semaphore(MESHES[self._name].at_once)

            async def send_one(scenario: Scenario) -> Sent | None:
                async with gate:
                    return await self._send_until_known(scenario, disturbed)

            # Every kind in turn, so that no kind meets the machine's bad moments alone.
            turns = [together[i::requests] for i in range(requests)]
            found = await asyncio.gather(*(send_one(s) for turn in turns for s in turn))
            found += [await self._send_until_known(scenario, disturbed) for scenario in alone]
        return [one for one in found if one is not None]

    async def _start(self, stack: AsyncExitStack) -> None:
        collectors = Collectors(self._service.grpc_port, self._service.http_port, self._zipkin_port)
        distortions = MESHES[self._name].distortions
        if distortions:
            forwarder = DistortingForwarder(self._service.grpc_port, distortions)
            stack.callback(forwarder.stop)
            collectors = Collectors(forwarder.port, self._service.http_port, self._zipkin_port)
        mesh = Mesh(build_topology(self._name, self._scenarios), collectors, self._folder)
        await asyncio.to_thread(mesh.start)
        stack.push_async_callback(asyncio.to_thread, mesh.stop)
        sink = _start_sink(self._service)
        stack.push_async_callback(sink.stop)
        inner_policies = {scenario.name: scenario.policy for scenario in self._scenarios}
        inner = LabGateway("apim", inner_policies, sink, mesh.gateway_url)
        self._urls["inner"] = await inner.start()
        stack.push_async_callback(inner.stop)
        network = SlowNetwork(mesh.ports.gateway, INJECTED_MS)
        inner.slow_backend = await network.start()
        stack.callback(network.stop)
        outer_policies = {s.name: s.outer for s in self._scenarios if s.outer is not None}
        outer = LabGateway("apim-external", outer_policies, sink, self._urls["inner"])
        self._urls["outer"] = await outer.start()
        stack.push_async_callback(outer.stop)
        self._client = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )

    async def _send_until_known(self, scenario: Scenario, disturbed: dict[str, int]) -> Sent | None:
        """Send until the machine did not add to what was injected; None when it always did."""
        for _ in range(_TRIES):
            sent = await self._send(scenario)
            if sent.status == scenario.status and sent.duration_ms <= scenario.limit_ms:
                return sent
            disturbed[scenario.name] = disturbed.get(scenario.name, 0) + 1
        return None

    async def _send(self, scenario: Scenario) -> Sent:
        """Send one request, and its twin if it has one."""
        trace_id = secrets.token_hex(16)
        headers = {"User-Agent": "lab/1"}
        if scenario.policy.carries == "client-request-id":
            headers["x-request-id"] = str(uuid.uuid4())
        elif scenario.is_traced:
            headers["traceparent"] = f"00-{trace_id}-{secrets.token_hex(8)}-01"
        if scenario.twin == "before":
            await self._send_one(scenario, headers, trace_id)
        if scenario.twin == "beside":
            both = (self._send_one(scenario, headers, trace_id) for _ in range(2))
            return (await asyncio.gather(*both))[0]
        sent = await self._send_one(scenario, headers, trace_id)
        if scenario.twin == "after":
            await self._send_one(scenario, headers, trace_id)
        return sent

    async def _send_one(
        self, scenario: Scenario, headers: Mapping[str, str], trace_id: str
    ) -> Sent:
        # A letter first: sixteen digits may look like a card, which would be masked.
        marker = f"r{secrets.token_hex(8)}"
        base = self._urls["outer" if scenario.outer else "inner"]
        timeout = aiohttp.ClientTimeout(total=scenario.patience_s)
        assert self._client is not None
        started = time.perf_counter()
        status, answered = 0, {}
        try:
            async with self._client.get(
                base + path_of(scenario, marker), headers=headers, timeout=timeout
            ) as answer:
                await answer.read()
                status, answered = answer.status, dict(answer.headers)
        except TimeoutError:
            pass
        duration_ms = (time.perf_counter() - started) * 1000
        return Sent(scenario, marker, _id_of(scenario, answered, trace_id), status, duration_ms)


def _id_of(scenario: Scenario, answered: dict[str, str], trace_id: str) -> str:
    """Return what the caller would look for: the gateway's id, or the trace if it logs nothing."""
    if scenario.policy.record == "never":
        sent = answered.get(SENT_TRACEPARENT, "")
        return sent.split("-")[1] if sent else trace_id
    name = "apim-external" if scenario.outer else "apim"
    return answered.get(f"{name}-request-id", trace_id)


class _Asker:
    """Asks Hopline for timelines."""

    def __init__(self, client: aiohttp.ClientSession, api_url: str) -> None:
        self._client = client
        self._api_url = api_url

    async def ask_until_settled(self, sent: Sequence[Sent]) -> dict[str, Document]:
        """
        Return the timelines by id, without those that Hopline does not know.

        Asks for wrong ones again until none is left, or none gets better for a while.
        """
        known: dict[str, Document] = {}
        begun = improved_at = time.monotonic()
        waiting, fewest = list(sent), 1 << 60
        while waiting and time.monotonic() - begun < _LIMIT_S:
            known |= await self._ask_all(waiting)
            scores = [judge(one, known.get(one.id)) for one in waiting]
            waiting = [score.sent for score in scores if not score.is_right]
            problems = sum(len(score.said) for score in scores)
            if problems < fewest:
                fewest, improved_at = problems, time.monotonic()
            if time.monotonic() - improved_at > _PATIENCE_S:
                break
            await asyncio.sleep(_SWEEP_PAUSE_S)
        return known

    async def _ask_all(self, sent: Sequence[Sent]) -> dict[str, Document]:
        gate = asyncio.Semaphore(_ASKED_AT_ONCE)

        async def ask(one: Sent) -> tuple[str, Any]:
            async with (
                gate,
                self._client.get(f"{self._api_url}/api/v1/requests/{one.id}") as answer,
            ):
                if answer.status not in (200, 404, 503, 504):
                    raise RuntimeError(f"{one.id}: {answer.status} {await answer.text()}")
                return one.id, await answer.json() if answer.status == 200 else None

        answers = await asyncio.gather(*(ask(one) for one in sent))
        return {id_: document for id_, document in answers if document is not None}


def _start_sink(service: Service) -> RecordSink:
    sink = RecordSink(service.ingest_url)
    sink.start()
    return sink
