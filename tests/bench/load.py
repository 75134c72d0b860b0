"""
Senders for the measurements: they make unique requests cheaply and keep a ledger of latencies.

A sender shares the machine with the server, so it must cost little: it takes a handful of real
OTLP requests as patterns and gives each copy fresh ids, times and request ids by writing into the
bytes. Ids are changed by XOR with random masks, which keeps parents pointing at their spans.
"""

import http.client
import json
import re
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.bench.generate import unique_requests

# request ids, and the ids at the end of paths
_UNIQUE_TEXT = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=/)[0-9a-f]{8}\b")
_DISORDER_S = 60
_DIGITS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def _positions(data: bytes, needles: set[bytes]) -> np.ndarray:
    found = []
    for needle in needles:
        at = data.find(needle)
        while at >= 0:
            found.append(at)
            at = data.find(needle, at + 1)
    return np.array(sorted(found), dtype=np.int64)


class Pattern:
    """One request whose copies are all different from each other."""

    def __init__(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        spans = [s for r in request.resource_spans for c in r.scope_spans for s in c.spans]
        self.spans = len(spans)
        self._bytes = np.frombuffer(body, dtype=np.uint8)
        traces = {s.trace_id for s in spans}
        self._traces = self._index(body, traces, 16)
        self._first = np.array([body.find(trace) for trace in traces])[:, None] + np.arange(16)
        self._ids = self._index(body, {s.span_id for s in spans}, 8)
        self._start_ns = min(s.start_time_unix_nano for s in spans)
        times = {s.start_time_unix_nano for s in spans} | {s.end_time_unix_nano for s in spans}
        self._times = self._index(body, {t.to_bytes(8, "little") for t in times}, 8)
        self._digits, self._sources = self._index_texts(body)
        self._texts = int(self._sources.max(initial=0)) // 36 + 1

    @staticmethod
    def _index_texts(body: bytes) -> tuple[np.ndarray, np.ndarray]:
        """Return where the digits of unique texts lie, and which random digit each takes."""
        digits, sources = [], []
        numbers: dict[bytes, int] = {}
        for match in _UNIQUE_TEXT.finditer(body):
            number = numbers.setdefault(match[0], len(numbers))
            for offset, letter in enumerate(match[0]):
                # the first digit of the third group is the version, which Envoy rewrites
                if letter != ord("-") and offset != 14:
                    digits.append(match.start() + offset)
                    sources.append(number * 36 + offset)
        return np.array(digits, dtype=np.int64), np.array(sources, dtype=np.int64)

    @staticmethod
    def _index(body: bytes, needles: set[bytes], width: int) -> np.ndarray:
        return _positions(body, needles)[:, None] + np.arange(width)

    def copy(self, random: np.random.Generator, start_ns: int) -> bytes:
        """Return the request with new ids, moved to *start_ns*."""
        data = self._bytes.copy()
        data[self._traces] ^= random.integers(0, 256, 16, dtype=np.uint8)
        data[self._ids] ^= random.integers(0, 256, 8, dtype=np.uint8)
        times = np.ascontiguousarray(data[self._times]).view("<u8")
        times += np.uint64(start_ns - self._start_ns)
        data[self._times] = times.view(np.uint8)
        if self._digits.size:
            picks = random.integers(0, 16, self._texts * 36, dtype=np.uint8)
            data[self._digits] = _DIGITS[picks[self._sources]]
        return data.tobytes()

    def trace_ids(self, copy: bytes) -> list[str]:
        """Return the trace ids of a copy, in hex."""
        return [row.tobytes().hex() for row in np.frombuffer(copy, np.uint8)[self._first]]


# No partial success, or one that says nothing.
_ALL_TAKEN = (b"", b"\x0a\x00")


class Pool:
    """An endless supply of unique requests of about the same size."""

    def __init__(self, spans_per_request: int, seed: int, patterns: int = 24) -> None:
        bodies = unique_requests(patterns, spans_per_request, seed)
        self.patterns = [Pattern(body) for body in bodies]
        # a stream of its own: the patterns' ids come from default_rng(seed)
        self._random = np.random.default_rng((seed, 1))
        self._next = 0

    def take(self, start_ns: int | None = None) -> tuple[bytes, int]:
        """Return one request and its number of spans."""
        pattern = self.patterns[self._next % len(self.patterns)]
        self._next += 1
        moment = time.time_ns() - 2_000_000_000 if start_ns is None else start_ns
        return pattern.copy(self._random, moment), pattern.spans

    def trace_ids(self, body: bytes) -> list[str]:
        """Return the trace ids of the request that was taken last."""
        return self.patterns[(self._next - 1) % len(self.patterns)].trace_ids(body)


@dataclass
class Ledger:
    """What a sender did: spans acknowledged, seconds, and each acknowledgement's latency."""

    spans: int
    requests: int
    seconds: float
    latencies_ms: list[float]
    failures: int
    traces: list[tuple[str, int]]  # id and start of some traces, for asking about them later


def send(
    port: int,
    *,
    spans_per_request: int,
    seed: int,
    seconds: float = 0,
    total_spans: int = 0,
    spans_per_second: float = 0,
    spread_s: int = 0,
    keep_every: int = 0,
    pause_s: float = 0,
) -> Ledger:
    """
    Send over one kept-alive HTTP connection until the time or the spans are used up.

    With *spans_per_second* the schedule is fixed beforehand (open loop) and latency counts from the
    planned moment, so a stall is not hidden. With *spread_s* the spans' times go through that past
    once, nearly in order, as traffic does; of each *keep_every*th request the trace ids are kept.
    A request that is refused is followed by a pause of *pause_s*.
    """
    pool = Pool(spans_per_request, seed)
    random = np.random.default_rng(seed + 1)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    assert connection.sock is not None
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    headers = {"Content-Type": "application/x-protobuf"}
    ledger = Ledger(0, 0, 0.0, [], 0, [])
    begin = time.perf_counter()
    planned = begin
    while (not seconds or planned - begin < seconds) and (
        not total_spans or ledger.spans < total_spans
    ):
        past_s = 2.0
        if spread_s:
            past_s += (1 - ledger.spans / total_spans) * spread_s + random.random() * _DISORDER_S
        start_ns = time.time_ns() - int(past_s * 1e9)
        body, spans = pool.take(start_ns)
        if keep_every and ledger.requests % keep_every == 0:
            ledger.traces += [(trace, start_ns) for trace in pool.trace_ids(body)]
        if spans_per_second:
            planned += spans / spans_per_second
            time.sleep(max(0.0, planned - time.perf_counter()))
        else:
            planned = time.perf_counter()
        connection.request("POST", "/v1/traces", body, headers)
        response = connection.getresponse()
        answer = response.read()
        ledger.latencies_ms.append((time.perf_counter() - planned) * 1e3)
        ledger.requests += 1
        if response.status == 200 and answer in _ALL_TAKEN:
            ledger.spans += spans
        else:
            ledger.failures += 1
            time.sleep(pause_s)
    ledger.seconds = time.perf_counter() - begin
    return ledger


def payloads(spans_per_request: int, seed: int, count: int) -> Iterator[bytes]:
    """Yield unique request bodies, for measurements that need no socket."""
    pool = Pool(spans_per_request, seed)
    for _ in range(count):
        yield pool.take()[0]


def send_side_by_side(connections: int, *, seed: int, **options: Any) -> Ledger:
    """Send over several connections at once, as many agents do, and add their ledgers up."""
    seeds = range(seed, seed + connections)
    with ThreadPoolExecutor(connections) as threads:
        ledgers = list(threads.map(lambda each: send(seed=each, **options), seeds))
    return Ledger(
        spans=sum(each.spans for each in ledgers),
        requests=sum(each.requests for each in ledgers),
        seconds=max(each.seconds for each in ledgers),
        latencies_ms=[ms for each in ledgers for ms in each.latencies_ms],
        failures=sum(each.failures for each in ledgers),
        traces=[trace for each in ledgers for trace in each.traces],
    )


if __name__ == "__main__":
    result = send_side_by_side(**json.loads(sys.argv[1]))
    json.dump(result.__dict__, sys.stdout)
