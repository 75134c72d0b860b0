"""Kill -9 while the engine loads: every row once, in the tables and in what views add up."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from collector.decode.records.codec import encode_records
from collector.model import Id, Stream
from collector.store import Store
from tests.stored import (
    Loading,
    encode_spans,
    make_record,
    make_span,
    opened,
    query_rows,
    store_settings,
    trace_id,
)

SEGMENTS = 14
TRACES = 60
SPANS = 8
ROOT = Path(__file__).parents[2]


def _write_segments(folder: Path) -> None:
    """Write the spans of each trace into two segments, and a segment of records beside them."""
    writer = Loading(None, folder)  # type: ignore[arg-type]  # it only writes here
    for number in range(SEGMENTS):
        first = number // 2 * TRACES
        spans = [
            make_span(
                span + SPANS * (number % 2),
                trace=first + trace,
                status="Error" if span == 0 else "Unset",
                attributes={"guid:x-request-id": f"request {first + trace}"},
            )
            for trace in range(TRACES)
            for span in range(SPANS)
        ]
        id_ = f"{number:020d}-00000000"
        writer.make(Stream.TRACE, encode_spans(spans), encode_spans([]), id=id_)
    records = [
        make_record(number, ids=(Id("x_request_id", f"request {number}"),))
        for number in range(SEGMENTS // 2 * TRACES)
    ]
    writer.make(Stream.RECORD, encode_records(records), id=f"{SEGMENTS:020d}-00000000")


def _load_until_killed(folder: Path, segments: Path, delay_s: float) -> bool:
    """Start the loading process, kill it *delay_s* into its first load, tell if it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.loading_process", "--data", folder, "--segments", segments],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=dict(os.environ),
    )
    assert process.stdout
    process.stdout.readline()
    deadline = time.monotonic() + delay_s
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    return process.wait() == -signal.SIGKILL


def _numbers(store: Store) -> dict[str, int]:
    """Return what every table holds, merged or not."""
    asked = {
        "spans": "SELECT count() FROM hopline.otel_traces",
        "distinct spans": "SELECT uniqExact(TraceId, SpanId) FROM hopline.otel_traces",
        "summed spans": "SELECT sum(spans) FROM hopline.trace_summary",
        "summed errors": "SELECT sum(errors) FROM hopline.trace_summary",
        "traces": "SELECT uniqExact(TraceId) FROM hopline.otel_traces_trace_id_ts",
        "keys": "SELECT uniqExact(key, trace_id, record_id) FROM hopline.id_index",
        "records": "SELECT count() FROM hopline.gateway_record",
        "source rows": "SELECT sum(rows) FROM hopline.source_stat",
    }
    return {name: int(query_rows(store, sql)[0][0]) for name, sql in asked.items()}


def test_kill_9_while_loading_leaves_every_row_once(tmp_path: Path) -> None:
    """However often the process dies in a load, loading again completes it and doubles nothing."""
    segments, data = tmp_path / "segments", tmp_path / "data"
    segments.mkdir()
    _write_segments(segments)
    moments = random.Random(20)
    kills = 0
    while kills < 4 and _load_until_killed(data, segments, moments.uniform(0.02, 0.9)):
        kills += 1
    while any(segments.iterdir()):
        _load_until_killed(data, segments, 60.0)
    assert kills >= 2
    spans = SEGMENTS * TRACES * SPANS
    traces = SEGMENTS // 2 * TRACES
    with opened(store_settings(data)) as store:
        assert _numbers(store) == {
            "spans": spans,
            "distinct spans": spans,
            "summed spans": spans,
            "summed errors": SEGMENTS * TRACES,
            "traces": traces,
            "keys": traces * 3,
            "records": traces,
            "source rows": spans + traces,
        }
        (summary,) = store.get_trace_summaries([trace_id(5)])
        assert (summary.spans, summary.errors) == (2 * SPANS, 2)
