"""
Hopline beside an OpenTelemetry Collector with its ClickHouse exporter, in one run.

The same bytes, over the same number of connections, into the same engine over HTTP. What counts is
the CPU time of the process that receives, of what loads, and of the engine, until every span can be
counted there. The collector is built from published Go modules; its batches are as large as its
exporter's documentation advises. It neither syncs, masks nor indexes by trace.

    python -m tests.bench.against
"""

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.runs import Row, drain, finish_senders, server_cpu_s, start_senders
from tests.packaging.tools import go_module, kept
from tests.service import free_ports, process_cpu_seconds, start_service
from tests.stored import clickhouse_server

_SOURCES = Path(__file__).parent / "collector"
# Spans a request, how many spans are sent, and how many times as fast Hopline should be.
_LOADS = ((500, 2_000_000, 2.0), (20, 600_000, 1.6))
_CONNECTIONS = 4
_CONFIG = """\
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}
processors:
  batch: {{timeout: 5s, send_batch_size: 100000}}
exporters:
  clickhouse:
    endpoint: {engine}
    database: otel
    create_schema: true
    ttl: 168h
    timeout: 60s
    retry_on_failure: {{enabled: true}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [clickhouse]}}
"""


def measure_against() -> Iterator[Row]:
    """Yield a row for each size of request; none where there is no Go to build the collector."""
    if not shutil.which("go"):
        return
    collector = kept("bench-collector", *go_module(_SOURCES, "collector")) / "collector"
    for size, spans, goal in _LOADS:
        theirs, their_parts = _measure_collector(collector, size, spans)
        ours, our_parts = _measure_hopline(size, spans)
        ratio = ours / theirs
        yield Row(
            f"{size}-span requests, engine over HTTP, against a collector's ClickHouse exporter",
            f"{ratio:.2f} × ({ours / 1e3:.0f} k spans per CPU-second: {our_parts}; "
            f"collector {theirs / 1e3:.0f} k: {their_parts})",
            f"≥ {goal} ×",
            ratio >= goal,
        )


def _measure_hopline(size: int, spans: int) -> tuple[float, str]:
    with (
        _engine() as (url, engine_pid),
        tempfile.TemporaryDirectory(prefix="hopline-bench-") as folder,
        start_service(Path(folder), flush_interval_ms="1000", clickhouse_url=url) as service,
    ):
        _send(service.http_port, size, spans // 10)
        drain(service)
        before = server_cpu_s(service) | {"engine": process_cpu_seconds(engine_pid)}
        sent = _send(service.http_port, size, spans)
        drain(service)
        after = server_cpu_s(service) | {"engine": process_cpu_seconds(engine_pid)}
    return _shares(sent, before, after)


def _measure_collector(collector: Path, size: int, spans: int) -> tuple[float, str]:
    with (
        _engine() as (url, engine_pid),
        tempfile.TemporaryDirectory(prefix="hopline-bench-") as folder,
        _running(collector, url, Path(folder)) as (port, pid),
    ):
        loaded = _send(port, size, spans // 10)
        _await(url, loaded)
        before = {"collector": process_cpu_seconds(pid), "engine": process_cpu_seconds(engine_pid)}
        sent = _send(port, size, spans)
        _await(url, loaded + sent)
        after = {"collector": process_cpu_seconds(pid), "engine": process_cpu_seconds(engine_pid)}
    return _shares(sent, before, after)


def _shares(spans: int, before: dict[str, float], after: dict[str, float]) -> tuple[float, str]:
    """Return spans per CPU-second and each process's microseconds a span."""
    used = {name: after[name] - before[name] for name in sorted(before)}
    parts = ", ".join(f"{name} {cpu / spans * 1e6:.1f}" for name, cpu in used.items())
    return spans / sum(used.values()), f"{parts} µs a span"


def _send(port: int, size: int, spans: int) -> int:
    """Send at least so many spans as fast as they are taken; return how many were acknowledged."""
    senders = start_senders(
        port,
        1,
        connections=_CONNECTIONS,
        spans_per_request=size,
        total_spans=spans // _CONNECTIONS,
        pause_s=0.1,
    )
    (ledger,) = finish_senders(senders)
    return int(ledger["spans"])


@contextmanager
def _engine() -> Iterator[tuple[str, int]]:
    """Run an engine of its own; the value is its URL and its process."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    with tempfile.TemporaryDirectory(prefix="hopline-bench-") as folder:
        known = set(children.read_text().split())
        with clickhouse_server(Path(folder)) as url:
            (pid,) = set(children.read_text().split()) - known
            yield url, int(pid)


@contextmanager
def _running(collector: Path, engine: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Run the collector until the block is left; the value is its port and its process."""
    (port,) = free_ports(1)
    config = _CONFIG.format(port=port, engine=f"{engine}?compress=none")
    log = folder / "collector.log"
    with log.open("wb") as output:
        command = [str(collector), "--config", f"yaml:{config}"]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while not _listens(port):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(60)


def _listens(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def _await(engine: str, spans: int, limit_s: float = 300) -> None:
    """Wait until so many spans can be counted."""
    address = engine.rpartition("@")[2]
    deadline = time.monotonic() + limit_s
    count = -1
    while count != spans:
        assert time.monotonic() < deadline, f"{count} of {spans} spans"
        time.sleep(0.5)
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request("POST", "/", "SELECT count() FROM otel.otel_traces")
        answer = connection.getresponse().read()
        connection.close()
        count = int(answer)


if __name__ == "__main__":
    for row in measure_against():
        sys.stdout.write(f"{row.what}: {row.figure}  {row.target}\n")
