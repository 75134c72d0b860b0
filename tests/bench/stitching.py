"""How long the rules take to make a timeline of a large trace."""

import random
import statistics
import time
from collections.abc import Iterator

from collector.model import Span
from tests.bench.runs import Row
from tests.unit.stitch.building import stitch

_START_NS = 1_790_000_000_000_000_000
_KINDS = ("Server", "Client", "Internal")
_TARGETS_MS = {30: 0.0, 1_000: 50.0, 10_000: 500.0}


def build_trace(spans: int, seed: int = 1) -> list[Span]:
    """Return one trace whose calls nest and follow each other at random, in shuffled order."""
    chance = random.Random(seed)
    made: list[Span] = []
    for number in range(spans):
        parent = made[chance.randrange(max(0, number - 50), number)] if number else None
        begin, end = (parent.start_ns, parent.end_ns) if parent else (0, 10_000_000_000)
        start_ns = begin + int((end - begin) * chance.random() * 0.5)
        made.append(
            Span(
                trace_id="7" * 32,
                span_id=f"{number + 1:016x}",
                parent_span_id=parent.span_id if parent else "",
                name=f"GET /item/{number % 40}",
                service=f"service-{number % 25}",
                start_ns=start_ns,
                end_ns=start_ns + max(1, int((end - start_ns) * (0.5 + chance.random() / 2))),
                kind=_KINDS[number % 3],
                attributes={"http.request.method": "GET", "http.response.status_code": "200"},
                resource={"service.name": f"service-{number % 25}"},
            )
        )
    chance.shuffle(made)
    for span in made:
        span.start_ns += _START_NS
        span.end_ns += _START_NS
    return made


def measure_stitching() -> Iterator[Row]:
    """Give a row per size of trace."""
    for size, limit_ms in _TARGETS_MS.items():
        spans = build_trace(size)
        times_ms = []
        for _ in range(7):
            begin = time.perf_counter()
            stitch([], spans, now_ns=_START_NS + 3_600_000_000_000)
            times_ms.append((time.perf_counter() - begin) * 1e3)
        median = statistics.median(times_ms)
        target = f"≤ {limit_ms:.0f} ms" if limit_ms else ""
        reached = median <= limit_ms if limit_ms else None
        yield Row(f"stitching a trace of {size:,} spans", f"{median:.1f} ms", target, reached)
