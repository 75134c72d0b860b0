"""
The rate that goes on for as long as one likes: what is accepted and loaded, the journal standing.

Senders go as fast as they are let. The journal is small, so that it is full after a few seconds;
from then on no more is accepted than is loaded. The rate counts until the journal is empty again.

    python -m tests.bench.sustained [--seconds 900] [--tree OTHER_CHECKOUT ...]

Each other checkout is measured in the same way after this one, by its own code.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.machine import describe_machine
from tests.bench.runs import Row, drain, finish_senders, server_cpu_s, start_senders
from tests.service import start_service

_JOURNAL_BYTES = 192 << 20
_GOAL = 80e3
_PAUSE_S = 0.2


def measure_sustained(seconds: float, command: Sequence[str] = (), note: str = "") -> Iterator[Row]:
    """Yield the row of requests of 500 spans sent for so long, to a service of its own."""
    own = [sys.executable, "-m", "collector", "serve"]
    with (
        tempfile.TemporaryDirectory(prefix="hopline-bench-") as folder,
        start_service(
            Path(folder),
            command=[*command, *own],
            flush_interval_ms="1000",
            journal_max_bytes=str(_JOURNAL_BYTES),
        ) as service,
    ):
        before = server_cpu_s(service)
        senders = start_senders(
            service,
            2,
            connections=1,
            spans_per_request=500,
            seconds=seconds,
            pause_s=_PAUSE_S,
        )
        sizes = []
        while any(sender.poll() is None for sender in senders):
            if size := sum(_size(path) for path in service.journal_files()):
                sizes.append(size)
            time.sleep(0.5)
        ledgers = finish_senders(senders)
        sent = time.perf_counter()
        drain(service)
        spans = sum(ledger["spans"] for ledger in ledgers)
        rate = spans / (max(each["seconds"] for each in ledgers) + time.perf_counter() - sent)
        used = {role: cpu - before[role] for role, cpu in server_cpu_s(service).items()}
    third = max(len(sizes) // 3, 1)
    middle, end = (sum(some) / len(some) / 2**20 for some in (sizes[third:-third], sizes[-third:]))
    costs = ", ".join(f"{role} {cpu / spans * 1e6:.1f}" for role, cpu in sorted(used.items()))
    yield Row(
        f"500-span requests for {seconds:.0f} s, accepted and loaded{note}",
        f"{rate / 1e3:.0f} k spans/s ({costs} µs a span; journal {middle:.0f} MiB in the middle, "
        f"{end:.0f} at the end)",
        f"≥ {_GOAL / 1e3:.0f} k/s" if not note else "",
        rate >= _GOAL if not note else None,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # loaded meanwhile
        return 0


def main() -> None:
    """Print the rows, and the machine."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sustained")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--tree", type=Path, action="append", default=[])
    options = parser.parse_args()
    sys.stdout.write(f"{describe_machine()}\n")
    for tree in (None, *options.tree):
        place = ["env", "-C", str(tree)] if tree else []
        note = f" by {tree.name}" if tree else ""
        for row in measure_sustained(options.seconds, place, note):
            sys.stdout.write(f"{row.what}: {row.figure}  {row.target}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
