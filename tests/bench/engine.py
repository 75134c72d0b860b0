"""
The engine's own limit: segments made beforehand, inserted one after the other, nothing else.

Run as `python -m tests.bench.engine FOLDER SPANS`; prints JSON. The tables and views are Hopline's,
so the ratio to it shows what receiving, checking, masking and journaling cost.
"""

import json
import resource
import sys
import time
from pathlib import Path

from collector.clock import SystemClock
from collector.config import load_settings
from collector.journal import JournalFolder, Segment, add_checksum
from collector.model import Stream
from collector.store import open_store
from collector.telemetry import Metrics
from collector.wire.varint import encode_varint
from tests.bench.load import payloads

_SPANS_PER_REQUEST = 500
_RECEIVED_TAG = encode_varint(2001 << 3 | 1)
_REQUESTS_PER_SEGMENT = 180  # about 47 MiB, the default size of a segment


def measure(folder: Path, spans: int) -> dict[str, float]:
    """Return spans a second, by the clock and by the processor."""
    folder.mkdir(parents=True)
    store = open_store(load_settings(data_dir=folder).store(), SystemClock(), Metrics())
    store.migrate()
    journal = JournalFolder(folder)
    segments = []
    for number in range(max(1, spans // (_SPANS_PER_REQUEST * _REQUESTS_PER_SEGMENT))):
        path = folder / f"{number:020d}-00000000.seg"
        # rows without a time of reception would be past their time to live and vanish
        trailer = _RECEIVED_TAG + time.time_ns().to_bytes(8, "little")
        bodies = payloads(_SPANS_PER_REQUEST, number + 1, _REQUESTS_PER_SEGMENT)
        journal.write_messages(path, [add_checksum(body, trailer) for body in bodies])
        segments.append(Segment(path.stem, Stream.TRACE, path, path.stat().st_size))
    cpu_before, begin = _cpu_s(), time.perf_counter()
    for segment in segments:
        store.load(segment)
    seconds, cpu_s = time.perf_counter() - begin, _cpu_s() - cpu_before
    store.close()
    inserted = len(segments) * _SPANS_PER_REQUEST * _REQUESTS_PER_SEGMENT
    return {"spans_per_s": inserted / seconds, "spans_per_cpu_s": inserted / cpu_s}


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    json.dump(measure(Path(sys.argv[1]), int(sys.argv[2])), sys.stdout)
