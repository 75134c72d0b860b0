"""
The rate that goes on for as long as one likes: what is accepted and loaded, the journal standing.

Senders go as fast as they are let. The journal is small, so that it is full after a few seconds;
from then on no more is accepted than is loaded. The rate counts until the journal is empty again.

    python -m tests.bench.sustained [--seconds 900] [--processes 1 2] [--tree OTHER_CHECKOUT ...]

Each number of ingest processes is measured by itself, and so is each other checkout after this one,
by its own code. The rows go into the README beside this, in the place of earlier ones of the same.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench.machine import describe_machine
from tests.bench.runs import Row, drain, finish_senders, server_cpu_s, start_senders
from tests.service import Service, start_service

_JOURNAL_BYTES = 192 << 20
_GOAL = 80e3
_PAUSE_S = 0.2
_README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- sustained: generated -->\n", "<!-- end of sustained -->"
_HEAD = "| what | measured | target | reached | load average before |\n|---|---|---|---|--:|\n"
_ROW = re.compile(r"^\| (.+?) \|.*\n", re.MULTILINE)


def measure_sustained(
    seconds: float, command: Sequence[str] = (), note: str = "", processes: int = 1
) -> Iterator[Row]:
    """Yield the row of requests of 500 spans sent for so long, to a service of its own."""
    own = [sys.executable, "-m", "collector", "serve"]
    # other checkouts may not know the setting
    several: dict[str, Any] = {"ingest_processes": str(processes)} if processes > 1 else {}
    with (
        tempfile.TemporaryDirectory(prefix="hopline-bench-") as folder,
        start_service(
            Path(folder),
            command=[*command, *own],
            flush_interval_ms="1000",
            journal_max_bytes=str(_JOURNAL_BYTES),
            **several,
        ) as service,
    ):
        before = server_cpu_s(service)
        senders = start_senders(
            service.http_port,
            2,
            # the system gives a connection to one process: a few for each
            connections=1 if processes == 1 else 2 * processes,
            spans_per_request=500,
            seconds=seconds,
            pause_s=_PAUSE_S,
        )
        sizes: list[int] = []
        watch = threading.Thread(target=_watch, args=(service, senders, sizes))
        watch.start()
        # read at once: the ledger of a quarter of an hour has no room in a pipe
        ledgers = finish_senders(senders)
        watch.join()
        sent = time.perf_counter()
        drain(service)
        spans = sum(ledger["spans"] for ledger in ledgers)
        rate = spans / (max(each["seconds"] for each in ledgers) + time.perf_counter() - sent)
        used: dict[str, float] = {}
        for role, cpu in server_cpu_s(service).items():
            kind = role.partition("-")[0]
            used[kind] = used.get(kind, 0.0) + cpu - before[role]
    third = max(len(sizes) // 3, 1)
    middle, end = (sum(some) / len(some) / 2**20 for some in (sizes[third:-third], sizes[-third:]))
    costs = ", ".join(f"{role} {cpu / spans * 1e6:.1f}" for role, cpu in sorted(used.items()))
    by = f" by {processes} ingest processes" if processes > 1 else ""
    yield Row(
        f"500-span requests for {seconds:.0f} s, accepted and loaded{by}{note}",
        f"{rate / 1e3:.0f} k spans/s ({costs} µs a span; journal {middle:.0f} MiB in the middle, "
        f"{end:.0f} at the end)",
        f"≥ {_GOAL / 1e3:.0f} k/s" if not note else "",
        rate >= _GOAL if not note else None,
    )


def _watch(service: Service, senders: Sequence[subprocess.Popen[bytes]], sizes: list[int]) -> None:
    """Note twice a second how much waits in the journal, until all *senders* have ended."""
    while any(sender.poll() is None for sender in senders):
        if size := sum(_size(path) for path in service.journal_files()):
            sizes.append(size)
        time.sleep(0.5)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # loaded meanwhile
        return 0


def _write(row: Row, load: float) -> None:
    """Put a row into the README, in the place of one of the same name."""
    before, _, rest = _README.read_text().partition(_BEGIN)
    table, _, after = rest.partition(_END)
    rows = {match[1]: match[0] for match in _ROW.finditer(table.partition("|--:|\n")[2])}
    reached = {True: "yes", False: "**no**", None: ""}[row.reached]
    rows[row.what] = f"| {row.what} | {row.figure} | {row.target} | {reached} | {load:.1f} |\n"
    note = f"Machine: {describe_machine()}.\n\n"
    text = "".join([before, _BEGIN, note, _HEAD, *rows.values(), _END, after])
    _README.write_text(text)


def main() -> None:
    """Print the rows, and the machine."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sustained")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--processes", type=int, nargs="+", default=[1])
    parser.add_argument("--tree", type=Path, action="append", default=[])
    options = parser.parse_args()
    sys.stdout.write(f"{describe_machine()}\n")
    for tree in (None, *options.tree):
        place = ["env", "-C", str(tree)] if tree else []
        note = f" by {tree.name}" if tree else ""
        for processes in options.processes:
            load = os.getloadavg()[0]
            for row in measure_sustained(options.seconds, place, note, processes):
                sys.stdout.write(f"{row.what}: {row.figure}  {row.target}\n")
                sys.stdout.flush()
                _write(row, load)


if __name__ == "__main__":
    main()
