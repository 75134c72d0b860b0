"""Killed in the middle of a load, the ingest process loses nothing that it acknowledged."""

import asyncio
import itertools
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.clock import SystemClock
from collector.config import load_settings
from collector.journal import Journal, find_sealed, read_messages
from collector.model import Stream
from collector.telemetry import Metrics
from tests.bench.generate import unique_requests
from tests.ingest import journaled_items, make_request, make_span
from tests.ingest_process import IngestProcess, run_ingest_process
from tests.otlp_senders import GrpcSender

_ROUNDS = 3
_SENDERS = 8
_ACKNOWLEDGED_BEFORE_KILL = 150


def span_ids(body: bytes) -> set[bytes]:
    return {
        span.span_id
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    }


async def send_until_killed(ingest: IngestProcess, bodies: list[bytes]) -> list[bytes]:
    """Send over many connections, kill in the middle, return what was acknowledged."""
    acknowledged: list[bytes] = []
    remaining = iter(bodies)

    async def send() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", ingest.http_port)
        try:
            for body in remaining:
                writer.write(
                    b"POST /v1/traces HTTP/1.1\r\nhost: x\r\n"
                    b"content-type: application/x-protobuf\r\ncontent-length: %d\r\n\r\n"
                    % len(body)
                )
                writer.write(body)
                answer = await reader.readuntil(b"\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 200 ")
                acknowledged.append(body)
                if len(acknowledged) == _ACKNOWLEDGED_BEFORE_KILL:
                    ingest.kill()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the process is gone
        finally:
            writer.close()

    await asyncio.gather(*(send() for _ in range(_SENDERS)))
    return acknowledged


def recover(folder: Path) -> None:
    """Open the journal as the next process does."""
    Journal(load_settings(data_dir=folder).journal(), SystemClock(), Metrics()).open()


async def test_kill_9_under_load_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Over several kills, each span of each acknowledged request is in the journal, whole."""
    ledger: set[bytes] = set()
    sent: set[bytes] = set()
    for round_number in range(_ROUNDS):
        bodies = unique_requests(600, 50, seed=round_number)
        with run_ingest_process(tmp_path, flush_interval_ms="200") as ingest:
            acknowledged = await send_until_killed(ingest, bodies)
        assert _ACKNOWLEDGED_BEFORE_KILL <= len(acknowledged) < len(bodies)
        ledger |= set(itertools.chain.from_iterable(map(span_ids, acknowledged)))
        sent |= set(itertools.chain.from_iterable(map(span_ids, bodies)))
    recover(tmp_path)
    assert not list((tmp_path / "journal" / "trace").glob("*.open"))
    stored = [span.span_id for span in journaled_items(tmp_path / "journal", Stream.TRACE)]
    assert ledger <= set(stored)
    assert set(stored) <= sent
    assert len(stored) == len(set(stored))


async def test_process_takes_over_what_the_killed_one_left(tmp_path: Path) -> None:
    """The next process seals the abandoned segment at its start, before any request."""
    with run_ingest_process(tmp_path, flush_interval_ms="600000") as ingest:
        bodies = unique_requests(200, 20, seed=9)
        await send_until_killed(ingest, bodies)
    assert not find_sealed(tmp_path / "journal")
    with run_ingest_process(tmp_path) as ingest:
        (segment,) = find_sealed(tmp_path / "journal")
        assert len(list(read_messages(segment.path))) >= _ACKNOWLEDGED_BEFORE_KILL
        assert ingest.stop() == 0


async def test_sigterm_drains(tmp_path: Path) -> None:
    """A process that is asked to end seals its segments and exits with 0."""
    with run_ingest_process(tmp_path, flush_interval_ms="600000") as ingest:
        sender = GrpcSender()
        answer = await sender.send(ingest, make_request(make_span(1, **_now())))
        assert answer.code == "OK"
        assert ingest.stop() == 0
    assert len(find_sealed(tmp_path / "journal")) == 1
    assert (tmp_path / "status" / "ingest.json").exists()


def _now() -> dict[str, int]:
    now_ns = SystemClock().now_ns()
    return {"start_time_unix_nano": now_ns - 1000, "end_time_unix_nano": now_ns}
