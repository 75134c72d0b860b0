"""
Requests per second and core of OTLP/gRPC requests as an Envoy sends them: five spans each.

A sender process keeps some calls under way over two connections, with bodies that were made before;
the figures are requests by the server's own CPU time: of the ingest process, which acknowledges
them, and of both processes until the journal is loaded.

    python -m tests.bench.small_requests
"""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc

from tests.bench.generate import unique_requests
from tests.bench.runs import Row, drain, server_cpu_s
from tests.service import start_service

SPANS_PER_REQUEST = 5
_REQUESTS = 30_000
_CONNECTIONS = 2
_CALLS_AT_ONCE = 32
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_GOAL = 6_000


def measure_small_requests(requests: int = _REQUESTS) -> Iterator[Row]:
    """Yield the rows of five-span requests over gRPC, on a service of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="hopline-bench-") as folder,
        start_service(Path(folder), flush_interval_ms="1000") as service,
    ):
        # the first requests pay for imports and growing buffers
        asyncio.run(_send(service.grpc_port, requests // 10, seed=1))
        drain(service)
        before = server_cpu_s(service)
        asyncio.run(_send(service.grpc_port, requests, seed=2))
        drain(service)
        used = {role: cpu - before[role] for role, cpu in server_cpu_s(service).items()}
    rate = requests / used["ingest"]
    what = f"OTLP/gRPC, {SPANS_PER_REQUEST} spans a request"
    yield Row(
        f"{what}, acknowledged, per CPU-second of the ingest process",
        f"{rate:,.0f} requests",
        f"≥ {_GOAL:,}",
        rate >= _GOAL,
    )
    yield Row(
        f"{what}, per server CPU-second, loading included",
        f"{requests / sum(used.values()):,.0f} requests "
        f"(ingest {used['ingest'] / requests * 1e6:.0f} µs, "
        f"store {used['store'] / requests * 1e6:.0f} µs a request)",
    )


async def _send(port: int, count: int, seed: int) -> None:
    """Send *count* unique requests; every one has to be acknowledged as a whole."""
    bodies = iter(unique_requests(count, SPANS_PER_REQUEST, seed))

    async def work(channel: grpc.aio.Channel) -> None:
        export = channel.unary_unary(_EXPORT, bytes, bytes)
        for body in bodies:
            answer = await export(body, timeout=30)
            assert answer == b"", answer

    async with AsyncExitStack() as open_channels:
        channels = [
            # channels with equal options share one connection
            await open_channels.enter_async_context(
                grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("hopline.connection", number)])
            )
            for number in range(_CONNECTIONS)
        ]
        await asyncio.gather(*(work(channels[n % _CONNECTIONS]) for n in range(_CALLS_AT_ONCE)))


if __name__ == "__main__":
    for row in measure_small_requests():
        reached = {True: "yes", False: "NO", None: ""}[row.reached]
        sys.stdout.write(f"| {row.what} | {row.figure} | {row.target} | {reached} |\n")
