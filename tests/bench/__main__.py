"""
`make bench`: every figure of the README's bench table, measured in one run.

The server is the built service (`hopline serve`, embedded store, redaction on, default flush);
senders are other processes on the same machine, so wall rates are what two cores give to both. CPU
figures are the server's own: ingest and store process together, until the journal is empty.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.against import measure_against
from tests.bench.background import measure_background
from tests.bench.load import Pool
from tests.bench.machine import describe_machine
from tests.bench.protocols import measure_protocols
from tests.bench.questions import fill, measure_disk, measure_questions
from tests.bench.runs import Row, drain, finish_senders, quantile, server_cpu_s, start_senders
from tests.bench.small_requests import measure_small_requests
from tests.bench.stitching import measure_stitching
from tests.bench.sustained import measure_sustained
from tests.service import Service, start_service

README = Path(__file__).parent / "README.md"


@dataclass
class Full:
    """What the full-speed run showed, for the measurements that build on it."""

    spans_per_s: float = 0.0
    spans_per_cpu_s: float = 0.0


def measure_start(folder: Path) -> Iterator[Row]:
    """Cold start, idle memory and the command's own speed."""
    helps = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "collector", "--help"], stdout=subprocess.DEVNULL, check=True
        )
        helps.append(time.perf_counter() - begin)
    slowest_s = max(helps[1:])
    yield Row("`hopline --help`", f"{slowest_s:.2f} s", "≤ 0.3 s", slowest_s <= 0.3)

    body, _ = Pool(20, 5).take()
    begin = time.monotonic()
    service = start_service(folder / "cold", wait=False)
    with service:
        while True:
            try:
                status, _ = service.post("/v1/traces", body, "application/x-protobuf")
            except OSError:
                status = 0
            if status == 200:
                break
            time.sleep(0.02)
        first_s = time.monotonic() - begin
        service.wait_for("/readyz", lambda s, _: s == 200)
        ready_s = time.monotonic() - begin
        time.sleep(6)
        resident = service.resident_bytes()
    mib = {role: size / 2**20 for role, size in resident.items()}
    total = sum(mib.values())
    yield Row(
        "first durable acknowledgement, empty start", f"{first_s:.1f} s", "≤ 5 s", first_s <= 5
    )
    yield Row("ready to answer questions, empty start", f"{ready_s:.1f} s")
    parts = ", ".join(f"{role} {size:.0f}" for role, size in sorted(mib.items()))
    yield Row("resident when idle", f"{total:.0f} MiB ({parts})", "≤ 700 MiB", total <= 700)


def measure_ingest(service: Service, seconds: float, full: Full) -> Iterator[Row]:
    """Large and small requests at full speed, each until its journal is loaded."""
    for size, goal, connections in ((500, "", 2), (20, "≥ 40 k/s", 16)):
        before = server_cpu_s(service)
        senders = start_senders(
            service.http_port, 2, connections=connections, spans_per_request=size, seconds=seconds
        )
        ledgers = finish_senders(senders)
        spans = sum(ledger["spans"] for ledger in ledgers)
        rate = spans / max(ledger["seconds"] for ledger in ledgers)
        drain(service)
        used = {role: cpu - before[role] for role, cpu in server_cpu_s(service).items()}
        per_cpu = spans / sum(used.values())
        failures = sum(ledger["failures"] for ledger in ledgers)
        yield Row(
            f"{size}-span requests, acknowledged",
            f"{rate / 1e3:.0f} k spans/s ({failures} failures)",
            goal,
            rate >= 40e3 if goal else None,
        )
        yield Row(
            f"{size}-span requests, per server CPU-second, loading included",
            f"{per_cpu / 1e3:.0f} k spans (ingest {used['ingest'] / spans * 1e6:.1f} µs, "
            f"store {used['store'] / spans * 1e6:.1f} µs a span)",
        )
        if size == 500:
            full.spans_per_s, full.spans_per_cpu_s = rate, per_cpu


def measure_latency(service: Service, rate: float, seconds: float) -> Iterator[Row]:
    """Acknowledgement latency (open loop) and time to queryable at half of the full rate."""
    senders = start_senders(
        service.http_port,
        2,
        connections=2,
        spans_per_request=500,
        seconds=seconds,
        spans_per_second=rate / 8,
    )
    time.sleep(2)
    waits: list[float] = []
    pool = Pool(20, 77)
    while any(sender.poll() is None for sender in senders) and len(waits) < 200:
        body, _ = pool.take()
        trace_id = pool.trace_ids(body)[0]
        begin = time.perf_counter()
        service.post("/v1/traces", body, "application/x-protobuf")
        while service.get(f"/api/v1/requests/{trace_id}/spans")[0] != 200:
            time.sleep(0.02)
        waits.append(time.perf_counter() - begin)
    ledgers = finish_senders(senders)
    latencies = [ms for ledger in ledgers for ms in ledger["latencies_ms"]]
    p50, p99 = quantile(latencies, 0.5), quantile(latencies, 0.99)
    yield Row(
        f"acknowledgement at half load ({rate / 2e3:.0f} k spans/s, open loop)",
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms",
        "p99 ≤ 30 ms",
        p99 <= 30,
    )
    late = quantile(waits, 0.99)
    yield Row(
        "from sending to queryable at half load",
        f"p50 {statistics.median(waits):.2f} s, p99 {late:.2f} s ({len(waits)} probes)",
        "p99 ≤ 5 s",
        late <= 5,
    )


def measure_engine(folder: Path, per_cpu: float, spans: int) -> Iterator[Row]:
    """The engine's own limit: the same bytes, inserted in a bare loop in a process of its own."""
    answer = subprocess.run(
        [sys.executable, "-m", "tests.bench.engine", str(folder / "engine"), str(spans)],
        stdout=subprocess.PIPE,
        check=True,
    )
    limit = json.loads(answer.stdout)
    ratio = per_cpu / limit["spans_per_cpu_s"]
    yield Row(
        "the engine's own limit, bare INSERT loop over the same tables",
        f"{limit['spans_per_cpu_s'] / 1e3:.0f} k spans per CPU-second",
    )
    yield Row("Hopline against that limit", f"{ratio:.2f}", "≥ 0.65", ratio >= 0.65)


def measure_aside(module: str) -> Iterator[Row]:
    """Run a measurement in a process of its own: what others left in memory slows it by a sixth."""
    command = [sys.executable, "-m", module]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield Row(**json.loads(line))
    assert process.returncode == 0, module


def write_table(rows: list[Row], command: str, mark: str = "figures") -> None:
    """Print the table and put it into the README beside this file, between the marks."""
    begin, end = f"<!-- {mark}: generated -->\n", "<!-- end -->"
    lines = ["| what | measured | target | reached |", "|---|---|---|---|"]
    marks = {True: "yes", False: "**no**", None: ""}
    lines += [f"| {r.what} | {r.figure} | {r.target} | {marks[r.reached]} |" for r in rows]
    text = README.read_text()
    head, rest = text.split(begin, 1)
    tail = rest.split(end, 1)[1]
    note = f"Machine: {describe_machine()}. Command: `{command}`.\n\n"
    README.write_text(head + begin + note + "\n".join(lines) + "\n" + end + tail)
    sys.stdout.write("\n".join(lines) + "\n")


def measure_day(folder: Path, spans: int) -> Iterator[Row]:
    """Fill a store with a day of that many spans, a record for each third trace, and ask it."""
    with start_service(folder / "day", flush_interval_ms="1000") as service:
        row, traces = fill(service, spans, keep_every=3)
        yield row
    yield from measure_disk(service.data_dir / "chdb")
    with start_service(folder / "day", flush_interval_ms="1000") as service:
        yield from measure_questions(service, traces)


def main() -> int:
    """Run the measurements; exit status 1 when a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--spans", type=int, default=10_000_000, help="spans in the store")
    parser.add_argument("--seconds", type=float, default=20, help="length of each load")
    parser.add_argument(
        "--sustained-seconds", type=float, default=60, help="length of the load that is sustained"
    )
    parser.add_argument(
        "--day", type=int, metavar="SPANS", help="only the questions over a day of so many spans"
    )
    parser.add_argument("--keep", type=Path, help="folder to work in and to keep")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="hopline-bench-"))
    rows: list[Row] = []
    full = Full()

    def add(new: Iterator[Row]) -> None:
        for row in new:
            rows.append(row)
            sys.stderr.write(f"{row.what}: {row.figure}  {row.target}\n")

    given = " ".join(sys.argv[1:])
    try:
        if options.day:
            add(measure_day(folder, options.day))
            write_table(rows, f"python -m tests.bench {given}", "day")
            return int(any(row.reached is False for row in rows))
        add(measure_start(folder))
        with start_service(folder / "main", flush_interval_ms="1000") as service:
            add(measure_ingest(service, options.seconds, full))
            add(measure_latency(service, full.spans_per_s, options.seconds))
            row, traces = fill(service, options.spans)
            add(iter([row]))
        add(measure_disk(service.data_dir / "chdb"))
        with start_service(folder / "main", flush_interval_ms="1000") as service:
            add(measure_questions(service, traces))
        add(measure_sustained(options.sustained_seconds))
        add(measure_engine(folder, full.spans_per_cpu_s, 2_000_000))
        add(measure_against())
        add(measure_small_requests())
        add(measure_protocols())
        add(measure_aside("tests.bench.adapters"))
        add(measure_aside("tests.bench.records"))
        add(measure_stitching())
        add(measure_background())
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    write_table(rows, f"python -m tests.bench {given}" if given else "make bench")
    return int(any(row.reached is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
