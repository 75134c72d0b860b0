"""
Gateway records in the store: what one costs to load, and what it takes on the disk when merged.

Run with `python -m tests.bench.records`, also part of `make bench`. The records are those of a
day's API Management log, each with ids of its own. Figures are per CPU-second of a process that
does nothing else.
"""

import json
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from collector.clock import SystemClock
from collector.config import load_settings
from collector.decode.gateways import find_adapters
from collector.decode.records.codec import encode_records
from collector.journal import JournalFolder, Segment, add_checksum
from collector.model import Stream
from collector.store import Store, open_store
from collector.store.disk import RECORDS
from collector.telemetry import Metrics
from collector.wire.varint import encode_varint
from tests.bench.questions import make_row
from tests.bench.runs import Row

_SEGMENTS = 10
_RECORDS = 10_000
_DAY_NS = 86_400 * 10**9
_RECEIVED_TAG = encode_varint(2001 << 3 | 1)


def measure_records() -> Iterator[Row]:
    """Load some days' worth of records, segment by segment, and weigh them."""
    folder = Path(tempfile.mkdtemp())
    try:
        store = open_store(load_settings(data_dir=folder).store(), SystemClock(), Metrics())
        store.migrate()
        segments = list(_segments(folder))
        before_s = _cpu_s()
        for segment in segments:
            store.load(segment)
        cpu_s = _cpu_s() - before_s
        size = _weigh(store)
        store.close()
    finally:
        shutil.rmtree(folder)
    count = _SEGMENTS * _RECORDS
    yield Row(
        "gateway records, loaded and on disk",
        f"{cpu_s / count * 1e6:.0f} µs and {size / count:.0f} bytes a record",
    )


def _segments(folder: Path) -> Iterator[Segment]:
    journal, chance = JournalFolder(folder), random.Random(12)
    decode = find_adapters()["azure-apim"].decode
    begin_ns = time.time_ns() - _DAY_NS
    for number in range(_SEGMENTS):
        start_ns = begin_ns + number * _DAY_NS // _SEGMENTS
        rows = [
            make_row(chance, f"{chance.getrandbits(128):032x}", start_ns + each * 10**6)
            for each in range(_RECORDS)
        ]
        message = encode_records(decode(json.dumps(rows).encode()).records)
        trailer = _RECEIVED_TAG + time.time_ns().to_bytes(8, "little")
        path = folder / f"{number:020d}-00000000.seg"
        journal.write_messages(path, [add_checksum(message, trailer)])
        yield Segment(path.stem, Stream.RECORD, path, path.stat().st_size)


def _weigh(store: Store) -> int:
    with store.connections.writing() as client:
        for table in ("gateway_record", "id_index"):
            client.command(f"OPTIMIZE TABLE {store.settings.database}.{table} FINAL")
    return sum(each.bytes for each in store.get_disk_days() if each.kind == RECORDS)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    for row in measure_records():
        sys.stdout.write(json.dumps(asdict(row)) + "\n")
