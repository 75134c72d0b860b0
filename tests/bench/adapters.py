"""
Records a second per adapter: decoded alone, and all the way into the journal.

Run with `python -m tests.bench.adapters`, also part of `make bench`. Bodies hold 250 records, every
one with ids of its own, of the adapter's first fixture case. Figures are per CPU-second of this
process, which other processes disturb less than the wall clock.
"""

import asyncio
import gc
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from collector.clock import SystemClock
from collector.config import load_settings
from collector.decode.gateways import Adapter, find_adapters
from collector.intake import build_intake
from collector.model import Envelope, Stream
from collector.telemetry import Metrics
from tests.bench.runs import Row
from tests.gateway_fixtures import read_cases

TARGET = 30_000
# 150 to 300 KB: bodies of more than 512 KiB are decoded aside, one after the other
_RECORDS = 250
_ROUNDS = 4
# enough at a time for the journal to commit some together
_BODIES_A_ROUND = 20
_BODIES = _BODIES_A_ROUND * (_ROUNDS + 1)


def bodies(adapter: Adapter) -> list[bytes]:
    """Return bodies of unique records, as the product would batch them."""
    case = next(each for each in read_cases(adapter) if each.name.startswith("plain"))
    (record,) = adapter.decode(case.body).records
    text = case.body.decode()
    if text.startswith("{"):
        text = json.dumps(json.loads(text))
    marks = {record.record_id, record.trace_id}
    marks = {mark for mark in marks if len(mark) > 8 and mark in text}
    made = []
    for body in range(_BODIES):
        lines = []
        for number in range(body * _RECORDS, (body + 1) * _RECORDS):
            line = text
            for mark in marks:
                line = line.replace(mark, f"{mark[:-8]}{number:08x}")
            lines.append(line if marks else line.replace(record.path, f"{record.path}/{number}"))
        made.append("\n".join(lines).encode())
    assert len(set(made)) == _BODIES, adapter.name  # what is sent again is not stored again
    return made


def decoding_rate(adapter: Adapter, made: list[bytes]) -> float:
    """Return records decoded per CPU-second, the best of a few rounds."""
    best = float("inf")
    for _ in range(2 * _ROUNDS):
        begin = time.process_time()
        for body in made[:_BODIES_A_ROUND]:
            assert len(adapter.decode(body).records) == _RECORDS
        best = min(best, time.process_time() - begin)
    return _RECORDS * _BODIES_A_ROUND / best


async def journaling_rate(adapter: Adapter, made: list[bytes], folder: Path) -> float:
    """
    Return records accepted (decoded, redacted, journaled, synced) per CPU-second.

    The best of a few rounds, of bodies that no other round has: a resend is not stored again.
    """
    settings = load_settings(data_dir=folder)
    best = float("inf")
    async with build_intake(settings, SystemClock(), Metrics()) as intake:
        # the first round is to warm up
        for at in range(0, len(made), _BODIES_A_ROUND):
            batch = [_wrap(adapter, body) for body in made[at : at + _BODIES_A_ROUND]]
            begin = time.process_time()
            receipts = await asyncio.gather(*map(intake.accept, batch))
            if at:
                best = min(best, time.process_time() - begin)
            assert all(receipt.accepted == _RECORDS for receipt in receipts)
    return _RECORDS * _BODIES_A_ROUND / best


def _wrap(adapter: Adapter, body: bytes) -> Envelope:
    first = adapter.decode(body.partition(b"\n")[0]).records[0]
    return Envelope(
        signal=Stream.RECORD,
        format="gateway",
        adapter=adapter.name,
        body=body,
        # fixtures have times of their own
        received_ns=first.start_ns + 10**9,
        door="bench",
    )


def measure_adapters() -> Iterator[Row]:
    """Give one row per adapter."""
    gc.set_threshold(50_000)  # as the ingest process does
    for adapter in find_adapters().values():
        made = bodies(adapter)
        decoded = decoding_rate(adapter, made)
        folder = Path(tempfile.mkdtemp(prefix="hopline-bench-"))
        try:
            journaled = asyncio.run(journaling_rate(adapter, made, folder))
        finally:
            shutil.rmtree(folder)
        yield Row(
            f"`{adapter.name}` records, per CPU-second",
            f"{decoded / 1e3:.0f} k decoded, {journaled / 1e3:.0f} k journaled",
            f"≥ {TARGET // 1000} k journaled",
            journaled >= TARGET,
        )


if __name__ == "__main__":
    for row in measure_adapters():
        sys.stdout.write(json.dumps(asdict(row)) + "\n")
        sys.stdout.flush()
