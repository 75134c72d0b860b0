"""Processes know of each other: one service to a data folder, and no child without its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.cases import killed
from tests.service import start_service

_LINUX = sys.platform == "linux"


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def wait_until_gone(pids: list[int], limit_s: float = 40.0) -> None:
    deadline = time.monotonic() + limit_s
    while any(Path(f"/proc/{pid}/cmdline").exists() and _command(pid) for pid in pids):
        assert time.monotonic() < deadline, f"of {pids} some still run"
        time.sleep(0.05)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()  # empty: it has ended
    except OSError:
        return b""


@pytest.mark.skipif(not _LINUX, reason="children end with their parent on Linux only")
def test_second_service_and_orphans(tmp_path: Path) -> None:
    """A second service on one folder is refused by name; a killed one leaves no child behind."""
    service = start_service(tmp_path)
    try:
        for role in ("all", "ingest", "store"):
            second = subprocess.run(
                [sys.executable, "-m", "collector", "serve", "--role", role],
                env=service.environment
                | {"HOPLINE_API_PORT": "0", "HOPLINE_INGEST_PORT": "0"}
                | {"HOPLINE_OTLP_GRPC_PORT": "0"},
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert second.returncode == 78
            holder = service.pids()[role]
            assert f"process {holder} runs role {role}" in second.stderr
        left = children(service.process.pid)
        assert len(left) == 2
        service.kill("all")
        service.process.wait()
        wait_until_gone(left)
    finally:
        service.stop()
    with start_service(tmp_path) as again:  # its children find the folder free
        assert again.get("/readyz")[0] == 200


@pytest.mark.skipif(not _LINUX, reason="children end with their parent on Linux only")
@pytest.mark.parametrize("delay_s", [0.15, 0.4, 1.0])
def test_supervisor_killed_in_its_first_second(tmp_path: Path, delay_s: float) -> None:
    """Children of a supervisor that is killed while they start end as well."""
    service = start_service(tmp_path, wait=False)
    deadline = time.monotonic() + 60
    while len(left := children(service.process.pid)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(delay_s)
    os.kill(service.process.pid, signal.SIGKILL)
    service.process.wait()
    wait_until_gone(left)


@pytest.mark.timeout(200)
def test_kills_of_both_processes_lose_nothing(tmp_path: Path) -> None:
    """The short form of the chaos cases: both processes killed again and again under load."""
    outcome = killed(tmp_path, roles=("ingest", "store"), kills=3)
    assert outcome.acknowledged
    assert (outcome.lost, outcome.doubled) == (0, 0)
