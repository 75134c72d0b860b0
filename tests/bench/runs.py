"""What the measurements share: rows of the table, senders, waiting for the journal to be loaded."""

import itertools
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from tests.service import Service

_seeds = itertools.count(1)


@dataclass
class Row:
    """One line of the table. `reached` is None for a figure without a target."""

    what: str
    figure: str
    target: str = ""
    reached: bool | None = None


def quantile(values: list[float], share: float) -> float:
    """Return the smallest value that at least *share* of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def start_senders(
    port: int, count: int, *, connections: int = 1, **options: Any
) -> list[subprocess.Popen[bytes]]:
    """
    Start sender processes with some connections each to the OTLP/HTTP *port*.

    No two of a run get the same seed: with the ids of another load again, traces would reach from
    one to the other.
    """
    return [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.bench.load",
                json.dumps(
                    {
                        "port": port,
                        "seed": 1000 * next(_seeds),
                        "connections": connections,
                        **options,
                    }
                ),
            ],
            stdout=subprocess.PIPE,
        )
        for _ in range(count)
    ]


def finish_senders(senders: list[subprocess.Popen[bytes]]) -> list[dict[str, Any]]:
    """Wait for the senders and return their ledgers."""
    return [json.loads(sender.communicate()[0]) for sender in senders]


def drain(service: Service, limit_s: float = 300) -> None:
    """Wait until every acknowledged record is loaded."""
    deadline = time.monotonic() + limit_s
    while service.journal_files():
        assert time.monotonic() < deadline, "the journal was not loaded in time"
        time.sleep(0.05)


def server_cpu_s(service: Service) -> dict[str, float]:
    """Return the CPU seconds of the working processes so far."""
    return {k: v for k, v in service.cpu_seconds().items() if k != "all"}
