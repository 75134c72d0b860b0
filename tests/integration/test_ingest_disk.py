"""A disk that is full, in the ways that a disk is full."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from collector.clock import SystemClock
from collector.journal import find_sealed, read_messages, release
from collector.model import Stream
from tests.ingest import make_request, make_span
from tests.ingest_process import IngestProcess, run_ingest_process
from tests.otlp_senders import GrpcSender, HttpSender


def body(number: int, size: int = 20_000) -> bytes:
    now_ns = SystemClock().now_ns()
    span = make_span(
        number, name="x" * size, start_time_unix_nano=now_ns - 1000, end_time_unix_nano=now_ns
    )
    return make_request(span)


def stored_count(journal: Path) -> int:
    segments = find_sealed(journal, Stream.TRACE)
    return sum(1 for segment in segments for _ in read_messages(segment.path))


async def send_until_refused(ingest: IngestProcess, limit: int = 500) -> int:
    """Send until the first refusal, which must be retryable; return how many were taken."""
    for number in range(limit):
        answer = await HttpSender().send(ingest, body(number))
        if answer.code != "OK":
            assert (answer.code, answer.http_status) == ("UNAVAILABLE", 503)
            assert answer.retry_s
            return number
    raise AssertionError("never refused")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB. Needs the right to mount; the file size test needs none."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_full_disk_refuses_and_recovers(small_disk: Path) -> None:
    """On a full disk senders are told to retry; once there is room again, all goes on."""
    with run_ingest_process(small_disk, flush_interval_ms="100", min_free_bytes="0") as ingest:
        taken = await send_until_refused(ingest)
        assert taken > 10
        answer = await GrpcSender().send(ingest, body(9000))
        assert (answer.code, answer.retry_s) == ("UNAVAILABLE", 5)
        assert "disk" in answer.message
        async with asyncio.timeout(30):
            while stored_count(ingest.journal) < taken:
                await asyncio.sleep(0.05)
        assert stored_count(ingest.journal) == taken
        for segment in find_sealed(ingest.journal):
            release(segment)
        assert (await HttpSender().send(ingest, body(9001))).code == "OK"
        assert ingest.stop() == 0
    assert stored_count(small_disk / "journal") == 1


async def test_floor_of_free_space(small_disk: Path) -> None:
    """Below the floor requests are refused with a hint, and it is the disk that says so."""
    with run_ingest_process(
        small_disk, flush_interval_ms="100", min_free_bytes=str(500_000)
    ) as ingest:
        taken = await send_until_refused(ingest)
        free = os.statvfs(small_disk)
        assert free.f_bavail * free.f_frsize > 450_000
        answer = await GrpcSender().send(ingest, body(9000))
        assert (answer.code, answer.retry_s) == ("UNAVAILABLE", 5)
        assert "of the disk are free" in answer.message
        async with httpx.AsyncClient() as client:
            ready = await client.get(f"{ingest.url}/readyz")
        assert ready.status_code == 503
        assert "of the disk are free" in ready.text
        async with asyncio.timeout(30):
            while stored_count(ingest.journal) < taken:
                await asyncio.sleep(0.05)
        for segment in find_sealed(ingest.journal):
            release(segment)
        async with asyncio.timeout(30):
            while (await HttpSender().send(ingest, body(9001))).code != "OK":
                await asyncio.sleep(0.05)
        assert ingest.stop() == 0


async def test_write_that_stops_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a write is cut short, the half message is cut away and the others of the file stay."""
    monkeypatch.setenv("TEST_FILE_SIZE_LIMIT", "100000")
    with run_ingest_process(tmp_path, flush_interval_ms="600000") as ingest:
        taken = await send_until_refused(ingest)
        assert taken == 4
        assert stored_count(ingest.journal) == taken
        assert (await HttpSender().send(ingest, body(9001))).code == "OK"
        assert ingest.stop() == 0
    assert stored_count(tmp_path / "journal") == taken + 1


async def test_full_quota_refuses_until_the_store_has_released(tmp_path: Path) -> None:
    """The quota holds whatever is sealed; what the store process deletes makes room."""
    with run_ingest_process(
        tmp_path, flush_interval_ms="100", journal_max_bytes="300000"
    ) as ingest:
        taken = await send_until_refused(ingest)
        assert taken == 300_000 // 20_200
        async with asyncio.timeout(30):
            while stored_count(ingest.journal) < taken:
                await asyncio.sleep(0.05)
        for segment in find_sealed(ingest.journal):
            release(segment)
        async with asyncio.timeout(30):
            while (await HttpSender().send(ingest, body(9001))).code != "OK":
                await asyncio.sleep(0.05)
