"""The ingest process alone as a subprocess: for tests that kill it, limit it or weigh it."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.service import free_ports


@dataclass(frozen=True)
class IngestProcess:
    """A running ingest process."""

    process: subprocess.Popen[str]
    folder: Path
    http_port: int
    grpc_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def resident_mib(self) -> float:
        """Return what it holds now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def peak_mib(self) -> float:
        """Return the most it ever held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@contextmanager
def run_ingest_process(folder: Path, **settings: str) -> Iterator[IngestProcess]:
    """Start it, wait until its doors are open, end it afterwards."""
    http_port, grpc_port = free_ports(2)
    environment = {
        **os.environ,
        "HOPLINE_DATA_DIR": str(folder),
        "HOPLINE_INGEST_PORT": str(http_port),
        "HOPLINE_OTLP_GRPC_PORT": str(grpc_port),
        **{f"HOPLINE_{name.upper()}": value for name, value in settings.items()},
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ingest_process"],
        env=environment,
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield IngestProcess(process, folder, http_port, grpc_port)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


async def _main() -> None:
    from collector.app import run_ingest
    from collector.config import load_settings

    limit = int(os.environ.get("TEST_FILE_SIZE_LIMIT", "0"))
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_ingest(load_settings(), stop, lambda: print("ready", flush=True))


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main())
