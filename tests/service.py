"""The built service as a subprocess, for acceptance tests and measurements."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_START_LIMIT_S = 60.0
_SERVE = (sys.executable, "-m", "collector", "serve")


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that were free a moment ago, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass
class Service:
    """
    A running `hopline serve`.

    `process` is the supervisor; its children are found by `pids`.
    """

    process: subprocess.Popen[bytes]
    data_dir: Path
    log: Path
    grpc_port: int
    http_port: int
    api_port: int
    ready_after_s: float
    environment: dict[str, str]

    @property
    def ingest_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    def pids(self) -> dict[str, int]:
        """Return the process ids by role; the supervisor is `all`."""
        found = {"all": self.process.pid}
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in children.read_text().split():
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"--role" in command:
                found[command[command.index(b"--role") + 1].decode()] = int(pid)
        return found

    def cpu_seconds(self) -> dict[str, float]:
        """Return user and system time so far by role."""
        return {role: process_cpu_seconds(pid) for role, pid in self.pids().items()}

    def resident_bytes(self) -> dict[str, int]:
        """Return the resident memory by role."""
        return {role: _resident_bytes(pid) for role, pid in self.pids().items()}

    def kill(self, role: str) -> None:
        """End one process as a crash does."""
        os.kill(self.pids()[role], signal.SIGKILL)

    def get(self, path: str, *, accept: str = "application/json") -> tuple[int, Any]:
        """Ask the query API; JSON answers come parsed."""
        return self._ask(urllib.request.Request(self.api_url + path, headers={"Accept": accept}))

    def post(
        self, path: str, body: bytes, content_type: str = "application/json", **headers: str
    ) -> tuple[int, Any]:
        """Send to the ingest port."""
        all_headers = {"Content-Type": content_type, **headers}
        url = self.ingest_url + path
        return self._ask(urllib.request.Request(url, body, all_headers, method="POST"))

    def wait_for(
        self, path: str, is_good: Callable[[int, Any], bool], limit_s: float = 30.0
    ) -> Any:
        """Ask the query API until the answer is good; the last answer is in the failure."""
        deadline = time.monotonic() + limit_s
        while True:
            try:
                status, answer = self.get(path)
            except OSError as error:  # between a crash and the next start nobody listens
                status, answer = 0, error
            if status and is_good(status, answer):
                return answer
            assert time.monotonic() < deadline, f"{path}: {status} {str(answer)[:2000]}"
            time.sleep(0.1)

    def journal_files(self) -> list[Path]:
        """Return the segments that are not loaded yet."""
        kinds = ("journal*/*/*.open", "journal*/*/*.seg")
        return [path for kind in kinds for path in self.data_dir.glob(kind)]

    def stop(self) -> int:
        """Stop as an operator does; return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    @staticmethod
    def _ask(request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                status, body = response.status, response.read()
                kind = response.headers.get("Content-Type", "")
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
            kind = error.headers.get("Content-Type", "")
        is_json = kind.startswith("application/json")
        return status, json.loads(body) if is_json and body else body

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.stop()


def start_service(
    folder: Path, *, wait: bool = True, command: Sequence[str] = _SERVE, **settings: str
) -> Service:
    """
    Start `hopline serve` on free ports with its data below *folder*.

    *command* is another one than this environment's. *settings* are HOPLINE_ variables in lower
    case, without the prefix. The service's output goes to `hopline.log` in *folder*, whose end is
    shown when it does not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    grpc_port, http_port, api_port = free_ports(3)
    chosen = {
        "data_dir": str(folder / "data"),
        "otlp_grpc_port": str(grpc_port),
        "ingest_port": str(http_port),
        "api_port": str(api_port),
        "flush_interval_ms": "200",
        **settings,
    }
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOPLINE_")}
    environment |= {f"HOPLINE_{name.upper()}": value for name, value in chosen.items()}
    log = folder / "hopline.log"
    begin = time.monotonic()
    with _ready_pipe() as (read_fd, write_fd), log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=environment | {"HOPLINE_READY_FD": str(write_fd)},
            pass_fds=(write_fd,),
            stdout=output,
            stderr=output,
        )
        if wait:
            _await_ready(process, read_fd, log)
    return Service(
        process,
        Path(chosen["data_dir"]),
        log,
        int(chosen["otlp_grpc_port"]),
        int(chosen["ingest_port"]),
        int(chosen["api_port"]),
        time.monotonic() - begin,
        environment,
    )


@contextmanager
def _ready_pipe() -> Iterator[tuple[int, int]]:
    read_fd, write_fd = os.pipe()
    try:
        yield read_fd, write_fd
    finally:
        os.close(read_fd)
        os.close(write_fd)


def _await_ready(process: subprocess.Popen[bytes], read_fd: int, log: Path) -> None:
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        if select.select([read_fd], [], [], 0.05)[0]:
            return
    process.kill()
    raise AssertionError(f"hopline did not start:\n{log.read_text()[-4000:]}")


def process_cpu_seconds(pid: int) -> float:
    """Return a process's user and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
