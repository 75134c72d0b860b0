"""
Senders that remember what was acknowledged, and the count of it in the store afterwards.

A batch is some traces of some spans over OTLP/HTTP and one Kong record for each. Ids tell their
batch, so one look at the tables tells what is lost and what is there twice, and what is remembered
is a number a batch. Bodies are made once and numbered by replacing bytes: to build them anew each
time costs the senders more than Hopline.
"""

import contextlib
import http.client
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.ingest import text

TRACES = 10
SPANS = 5
_ACCEPTED = 200
_PROTOBUF = {"content-type": "application/x-protobuf"}
_JSON = {"content-type": "application/json"}
# what stands in a template for the number of its batch and for the present
_NUMBER = 0xA7F3C95B1D
_NOW_NS = 1_111_111_111_000_000_000
_LASTS_NS = 1_000_000
# batch, how many of its ids are whole, how many are there more than once
_COUNTS = {
    "traces": "SELECT substring(TraceId, 1, 20), countIf(n >= {whole}), countIf(n > {whole}) FROM "
    "(SELECT TraceId, count() AS n FROM hopline.otel_traces GROUP BY 1) GROUP BY 1",
    "summaries": "SELECT substring(trace_id, 1, 20), countIf(n >= {whole}), countIf(n > {whole}) "
    "FROM (SELECT trace_id, sum(spans) AS n FROM hopline.trace_summary GROUP BY 1) GROUP BY 1",
    "records": "SELECT substring(record_id, 1, 20), count(), countIf(n > 1) FROM "
    "(SELECT record_id, count() AS n FROM hopline.gateway_record GROUP BY 1) GROUP BY 1",
}
# What comes again in other company is there twice, and every question counts it once.
_COUNTED = {
    "traces": "SELECT substring(TraceId, 1, 20), countIf(n >= {whole}), countIf(n > {whole}) FROM "
    "(SELECT TraceId, uniqExact(SpanId) AS n FROM hopline.otel_traces GROUP BY 1) GROUP BY 1",
    "summaries": "SELECT substring(trace_id, 1, 20), countIf(n >= {whole}), countIf(n > {whole}) "
    "FROM (SELECT trace_id, uniqMerge(span_ids) AS n FROM hopline.trace_summary GROUP BY 1) "
    "GROUP BY 1",
    "records": "SELECT substring(record_id, 1, 20), uniqExact(record_id), 0 "
    "FROM hopline.gateway_record GROUP BY 1",
}


@dataclass
class Outcome:
    """What became of one case. Counts are of traces and of records, together."""

    tried: int = 0
    acknowledged: int = 0
    refused: int = 0
    lost: int = 0
    doubled: int = 0
    queryable_s: float = 0.0

    def add(self, other: "Outcome") -> None:
        """Take the counts of another run of the same case; the slowest run counts."""
        self.tried += other.tried
        self.acknowledged += other.acknowledged
        self.refused += other.refused
        self.lost += other.lost
        self.doubled += other.doubled
        self.queryable_s = max(self.queryable_s, other.queryable_s)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a door said: the status, and `retry-after` as it stands there."""

    status: int
    retry_after: str | None


# path, body, headers; raises OSError where no answer comes
Post = Callable[[str, bytes, dict[str, str]], Answer]
# a client for a port, closed in the end; one for each thread
Client = Callable[[int], contextlib.AbstractContextManager[Post]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A body, and what remembers its batch when it is acknowledged; None for half a batch."""

    number: int
    path: str
    body: bytes
    headers: dict[str, str]
    acknowledged: set[int] | None


@contextlib.contextmanager
def by_http_client(port: int, offer: Mapping[str, str] | None = None) -> Iterator[Post]:
    """Post over one connection, with the headers of an *offer* of another protocol."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def post(path: str, body: bytes, headers: dict[str, str]) -> Answer:
        try:
            connection.request("POST", path, body, headers | dict(offer or {}))
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise OSError(str(exc)) from exc
        return Answer(answer.status, answer.headers["retry-after"])

    with contextlib.closing(connection):
        yield post


class Ledger:
    """
    Sends until told to stop, with *senders* threads, and knows what was acknowledged.

    *spans_per_s* is what they send together; as much as they can when it is not given. Each body is
    sent so many *times*, and counts once. With *is_batched_anew* it comes again with its halves
    the other way round, and half of it with half of the batch before.
    """

    def __init__(
        self,
        port: int,
        *,
        traces: int = TRACES,
        spans: int = SPANS,
        senders: int = 3,
        spans_per_s: float | None = None,
        times: int = 1,
        is_batched_anew: bool = False,
        client: Client = by_http_client,
    ):
        self._port = port
        self._traces = traces
        self._spans = spans
        self._times = times
        self._is_batched_anew = is_batched_anew
        self._client = client
        self._senders = senders
        self._gap_s = traces * spans / spans_per_s if spans_per_s else 0.0
        self._began, self._began_ns = time.monotonic(), time.time_ns()
        self._numbers = itertools.count(1)
        self._halt = threading.Event()
        halves = range(traces // 2), range(traces // 2, traces)
        self._span_halves = [_spans(half, spans) for half in halves]
        self._record_halves = [_records(half) for half in halves]
        self.traces: set[int] = set()
        self.records: set[int] = set()
        self.tried = 0
        self.refused = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Send while the block runs."""
        self._halt.clear()
        self._began = time.monotonic()
        threads = [threading.Thread(target=self._send) for _ in range(self._senders)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._halt.set()
            for thread in threads:
                thread.join()

    def deliver_next(self) -> Iterator[Delivery]:
        """Yield what is sent of the next batch, each body as often as it is sent."""
        number = next(self._numbers)
        first, second = self._number_halves(number)
        for _ in range(self._times):
            yield from self._deliver(number, first, second)
        if self._is_batched_anew:
            yield from self._deliver(number, second, first)
            _, before = self._number_halves(number - 1)
            yield from self._deliver(number, first, before, is_whole=False)

    def _deliver(
        self, number: int, *parts: tuple[bytes, bytes], is_whole: bool = True
    ) -> Iterator[Delivery]:
        spans = b"".join(spans for spans, _ in parts)  # messages of protobuf merge end to end
        records = b"[" + b",".join(records for _, records in parts) + b"]"
        traces, kept = (self.traces, self.records) if is_whole else (None, None)
        yield Delivery(number, "/v1/traces", spans, _PROTOBUF, traces)
        yield Delivery(number, "/v1/gateway/kong", records, _JSON, kept)

    def _number_halves(self, number: int) -> list[tuple[bytes, bytes]]:
        # a batch has the same times whenever it is made
        now_ns = self._began_ns + int(number * max(self._gap_s, 1e-5) * 1e9)
        return [
            (_number_spans(spans, number, now_ns), _number_records(records, number, now_ns))
            for spans, records in zip(self._span_halves, self._record_halves, strict=True)
        ]

    def _send(self) -> None:
        with self._client(self._port) as post:
            while not self._halt.is_set():
                for each in self.deliver_next():
                    self._send_one(post, each)
                due = self._began + each.number * self._gap_s
                self._halt.wait(max(due - time.monotonic(), 0.0))

    def _send_one(self, post: Post, each: Delivery) -> None:
        with self._lock:
            self.tried += self._traces
        try:
            answer = post(each.path, each.body, each.headers)
        except OSError:  # killed, or not up again yet
            self._halt.wait(0.05)
            return
        self.note(each, answer)
        if answer.status != _ACCEPTED:
            self._halt.wait(0.05)

    def note(self, each: Delivery, answer: Answer) -> None:
        """Remember what a door said to a body."""
        if answer.status == _ACCEPTED:
            if each.acknowledged is not None:
                each.acknowledged.add(each.number)
            return
        with self._lock:
            self.refused += self._traces
        assert answer.status in (429, 503), answer.status
        assert answer.retry_after

    def settle(self, data_dir: Path, queryable_s: float = 0.0) -> Outcome:
        """Look into the tables below *data_dir*, which no process has open."""
        found, requests = self._count(data_dir)
        lost = doubled = 0
        for acknowledged, tables in (
            (self.traces, ("traces", "summaries")),
            (self.records, ("records",)),
        ):
            lost += max(self._missing(acknowledged, found[table]) for table in tables)
            doubled += max(sum(twice for _, twice in found[table].values()) for table in tables)
        if self._is_batched_anew:
            doubled += max(requests - sum(whole for whole, _ in found["records"].values()), 0)
        acknowledged_count = (len(self.traces) + len(self.records)) * self._traces
        return Outcome(self.tried, acknowledged_count, self.refused, lost, doubled, queryable_s)

    def _count(self, data_dir: Path) -> tuple[dict[str, dict[int, tuple[int, int]]], int]:
        """Count what is there by batch, and how many requests `/apis` has."""
        questions = _COUNTED if self._is_batched_anew else _COUNTS
        whole = {name: sql.format(whole=self._spans) for name, sql in questions.items()}
        found = count(data_dir, whole)
        requests: int = found.pop("requests")
        by_batch = {
            name: {int(batch, 16): (whole, twice) for batch, whole, twice in rows}
            for name, rows in found.items()
        }
        return by_batch, requests

    def _missing(self, acknowledged: set[int], found: dict[int, tuple[int, int]]) -> int:
        return sum(max(self._traces - found.get(number, (0, 0))[0], 0) for number in acknowledged)


def wait_until_loaded(data_dir: Path, limit_s: float = 600.0) -> float:
    """Wait until the journal has nothing left to load; return how long that took."""
    begin = time.monotonic()
    while left := [
        path
        for kind in ("journal*/*/*.open", "journal*/*/*.seg")
        for path in data_dir.glob(kind)
        if path.parent.name in ("trace", "record", "log", "metric")
    ]:
        names = ", ".join(f"{path.parent.name}/{path.name}" for path in left[:3])
        assert time.monotonic() - begin < limit_s, f"the journal is not loaded: {names}"
        time.sleep(0.1)
    return time.monotonic() - begin


def _spans(traces: range, spans: int) -> bytes:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add(
        resource={"attributes": [text("service.name", "till"), text("k8s.pod.name", "till-0")]}
    )
    scope = group.scope_spans.add()
    for trace in traces:
        trace_id = f"{_NUMBER:020x}{trace:012x}"
        tail = _NUMBER.to_bytes(5) + trace.to_bytes(2)
        for number in range(spans):
            scope.spans.add(
                trace_id=bytes.fromhex(trace_id),
                span_id=bytes([number + 1]) + tail,
                parent_span_id=b"\1" + tail if number else b"",
                name=f"POST /till/{number}",
                kind=2,
                start_time_unix_nano=_NOW_NS,
                end_time_unix_nano=_NOW_NS + _LASTS_NS,
                attributes=[text("http.route", "/till/{id}"), text("note", trace_id * 2)],
            )
    return request.SerializeToString()


def _number_spans(template: bytes, number: int, now_ns: int) -> bytes:
    return (
        template.replace(_NUMBER.to_bytes(5), number.to_bytes(5))
        .replace(b"%010x" % _NUMBER, b"%010x" % number)
        .replace(_NOW_NS.to_bytes(8, "little"), now_ns.to_bytes(8, "little"))
        .replace((_NOW_NS + _LASTS_NS).to_bytes(8, "little"), _end(now_ns))
    )


def _end(now_ns: int) -> bytes:
    return (now_ns + _LASTS_NS).to_bytes(8, "little")


def _records(traces: range) -> bytes:
    return ",".join(json.dumps(_record(trace)) for trace in traces).encode()


def _record(trace: int) -> dict[str, Any]:
    trace_id = f"{_NUMBER:020x}{trace:012x}"
    return {
        "started_at": _NOW_NS // 1_000_000,
        "request": {
            "id": trace_id,
            "method": "POST",
            "uri": "/till/1",
            "url": "http://shop/till/1",
            "headers": {"traceparent": f"00-{trace_id}-01{_NUMBER:010x}{trace:04x}-01"},
        },
        "response": {"status": 200},
        "latencies": {"request": 20, "proxy": 18, "kong": 2},
        "service": {"name": "till"},
        "route": {"name": "till"},
    }


def _number_records(template: bytes, number: int, now_ns: int) -> bytes:
    return template.replace(b"%010x" % _NUMBER, b"%010x" % number).replace(
        b"%d" % (_NOW_NS // 1_000_000), b"%d" % (now_ns // 1_000_000)
    )


def count(data_dir: Path, questions: Mapping[str, str]) -> dict[str, Any]:
    """
    Return the rows of each question, and as `requests` how many requests are counted of all APIs.

    Asked in a process of its own: one engine lives in a process, and this one may need another.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.ledger", str(data_dir), json.dumps(questions)],
        capture_output=True,
        check=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _main(data_dir: str, questions: str) -> None:
    from collector.clock import SystemClock
    from collector.config import load_settings
    from collector.store import RequestFilter, open_store
    from collector.telemetry import Metrics

    settings = load_settings(data_dir=data_dir, store_memory_bytes=8 << 30, query_timeout_s=1200)
    store = open_store(settings.store(), SystemClock(), Metrics())
    with store.connections.reading() as client:
        found: dict[str, Any] = {
            name: client.query(sql).result_rows for name, sql in json.loads(questions).items()
        }
    day_ns = 86_400 * 10**9
    lately = RequestFilter(start_ns=time.time_ns() - day_ns, end_ns=time.time_ns() + day_ns)
    found["requests"] = round(sum(each.requests for each in store.get_group_stats(lately)))
    sys.stdout.write(json.dumps(found))
    store.close()


if __name__ == "__main__":
    _main(*sys.argv[1:])
