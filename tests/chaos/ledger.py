"""
Senders that remember what was acknowledged, and the count of it in the store afterwards.

A batch is some traces of five spans over OTLP/HTTP and one Kong record for each. Ids tell their
batch, so one look at the tables tells what is lost and what is there twice.
"""

import contextlib
import http.client
import itertools
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.ingest import text

SPANS = 5
_PROTOBUF = {"content-type": "application/x-protobuf"}
_JSON = {"content-type": "application/json"}


@dataclass
class Outcome:
    """What became of one case. Counts are of traces and of records, together."""

    tried: int = 0
    acknowledged: int = 0
    refused: int = 0
    lost: int = 0
    doubled: int = 0
    queryable_s: float = 0.0
    notes: list[str] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Take the counts of another run of the same case; the slowest run counts."""
        self.tried += other.tried
        self.acknowledged += other.acknowledged
        self.refused += other.refused
        self.lost += other.lost
        self.doubled += other.doubled
        self.queryable_s = max(self.queryable_s, other.queryable_s)
        self.notes += other.notes


class Ledger:
    """Sends until told to stop, with *senders* threads, and knows what was acknowledged."""

    def __init__(self, port: int, *, traces: int = 10, senders: int = 3, pause_s: float = 0.0):
        self._port = port
        self._traces = traces
        self._senders = senders
        self._pause_s = pause_s
        self._numbers = itertools.count(1)
        self._halt = threading.Event()
        self.traces: set[str] = set()
        self.records: set[str] = set()
        self.tried = 0
        self.refused = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Send while the block runs."""
        self._halt.clear()
        threads = [threading.Thread(target=self._send) for _ in range(self._senders)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._halt.set()
            for thread in threads:
                thread.join()

    def _send(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._halt.is_set():
            number = next(self._numbers)
            ids = [f"{number:020x}{n:012x}" for n in range(self._traces)]
            is_taken = self._post(connection, "/v1/traces", _spans(ids), _PROTOBUF)
            with self._lock:
                self.tried += len(ids)
                self.traces.update(ids if is_taken else ())
            is_taken = self._post(connection, "/v1/gateway/kong", _records(ids), _JSON)
            with self._lock:
                self.tried += len(ids)
                self.records.update(ids if is_taken else ())
            self._halt.wait(self._pause_s)
        connection.close()

    def _post(
        self, connection: http.client.HTTPConnection, path: str, body: bytes, kind: dict[str, str]
    ) -> bool:
        try:
            connection.request("POST", path, body, kind)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):  # killed, or not up again yet
            connection.close()
            self._halt.wait(0.05)
            return False
        if answer.status != 200:
            with self._lock:
                self.refused += self._traces
            assert answer.status in (429, 503), answer.status
            assert answer.headers["retry-after"]
            self._halt.wait(0.05)
        return answer.status == 200

    def settle(self, data_dir: Path, queryable_s: float = 0.0) -> Outcome:
        """Look into the tables below *data_dir*, which no process has open."""
        found = _count(data_dir)
        traces, records = found["traces"], found["records"]
        lost = [t for t in self.traces if traces.get(t, 0) < SPANS]
        lost += [r for r in self.records if records.get(r, 0) < 1]
        doubled = [t for t, spans in traces.items() if spans > SPANS]
        doubled += [r for r, count in records.items() if count > 1]
        doubled += [t for t, spans in found["summaries"].items() if spans > SPANS]
        lost += [t for t in self.traces if found["summaries"].get(t, 0) < SPANS]
        acknowledged = len(self.traces) + len(self.records)
        return Outcome(
            self.tried, acknowledged, self.refused, len(set(lost)), len(set(doubled)), queryable_s
        )


def wait_until_loaded(data_dir: Path, limit_s: float = 600.0) -> float:
    """Wait until the journal has nothing left to load; return how long that took."""
    begin = time.monotonic()
    while any(
        path.parent.name in ("trace", "record", "log", "metric")
        for kind in ("*/*.open", "*/*.seg")
        for path in (data_dir / "journal").glob(kind)
    ):
        assert time.monotonic() - begin < limit_s, "the journal is not loaded"
        time.sleep(0.1)
    return time.monotonic() - begin


def _spans(ids: list[str]) -> bytes:
    now_ns = time.time_ns()
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add(
        resource={"attributes": [text("service.name", "till"), text("k8s.pod.name", "till-0")]}
    )
    scope = group.scope_spans.add()
    for trace_id in ids:
        tail = bytes.fromhex(trace_id[10:20] + trace_id[28:])
        for number in range(SPANS):
            scope.spans.add(
                trace_id=bytes.fromhex(trace_id),
                span_id=bytes([number + 1]) + tail,
                parent_span_id=b"\1" + tail if number else b"",
                name=f"POST /till/{number}",
                kind=2,
                start_time_unix_nano=now_ns + number,
                end_time_unix_nano=now_ns + 1_000_000,
                attributes=[text("http.route", "/till/{id}"), text("note", trace_id * 4)],
            )
    return request.SerializeToString()


def _records(ids: list[str]) -> bytes:
    return json.dumps(
        [
            {
                "started_at": time.time_ns() // 1_000_000,
                "request": {
                    "id": trace_id,
                    "method": "POST",
                    "uri": "/till/1",
                    "url": "http://shop/till/1",
                    "headers": {"traceparent": f"00-{trace_id}-{trace_id[:16]}-01"},
                },
                "response": {"status": 200},
                "latencies": {"request": 20, "proxy": 18, "kong": 2},
                "service": {"name": "till"},
                "route": {"name": "till"},
            }
            for trace_id in ids
        ]
    ).encode()


def _count(data_dir: Path) -> dict[str, Counter[str]]:
    """Ask a process of its own: one engine lives in a process, and this one may need another."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.ledger", str(data_dir)],
        capture_output=True,
        check=True,
        text=True,
    )
    return {name: Counter(counts) for name, counts in json.loads(done.stdout).items()}


def _main(data_dir: str) -> None:
    from collector.clock import SystemClock
    from collector.config import load_settings
    from collector.store import open_store
    from collector.telemetry import Metrics

    store = open_store(load_settings(data_dir=data_dir).store(), SystemClock(), Metrics())
    counts = {
        "traces": "SELECT TraceId, count() FROM hopline.otel_traces GROUP BY 1",
        "records": "SELECT record_id, count() FROM hopline.gateway_record GROUP BY 1",
        "summaries": "SELECT trace_id, sum(spans) FROM hopline.trace_summary GROUP BY 1",
    }
    with store.connections.reading() as client:
        found = {
            name: {row[0]: row[1] for row in client.query(sql).result_rows}
            for name, sql in counts.items()
        }
    sys.stdout.write(json.dumps(found))
    store.close()


if __name__ == "__main__":
    _main(sys.argv[1])
