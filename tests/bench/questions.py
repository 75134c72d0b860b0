"""Bytes per span, timeline latency and search latency over a full store."""

import http.client
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

from tests.bench.runs import Row, drain, finish_senders, quantile, start_senders
from tests.service import Service

_DAY_S = 86_400
_QUESTIONS = 300
# Asked before, of other requests: a store that has just been started reads its indexes first.
_WARM_UP = 30


# What each question over a day may take, in seconds, the first time and every other time.
_REPORTS = {
    "/api/v1/apis?start=-24h": 1.0,
    "/api/v1/slow?start=-24h&api=shop-3": 2.0,
    "/api/v1/edges?start=-24h": 1.0,
    "/api/v1/services?start=-24h": 1.5,
    "/api/v1/joins?start=-24h": 1.5,
    "/api/v1/doctor?start=-24h": 1.5,
    "/api/v1/outcomes?start=-24h": 1.5,
    "/api/v1/changes?start=-24h": 1.5,
    "/api/v1/sources": 1.5,
    "/api/v1/storage": 1.5,
    "/api/dependencies?endTs={now_ms}&lookback=86400000": 1.5,
}
_REPEATS = 5
_REPEAT_PAUSE_S = 3


def fill(service: Service, spans: int, keep_every: int = 4) -> tuple[Row, list[tuple[str, int]]]:
    """
    Send *spans* spread over one day; return how fast that went, and some of the traces.

    The traces of each *keep_every*th request are kept.
    """
    begin = time.perf_counter()
    senders = start_senders(
        service.http_port,
        2,
        connections=2,
        spans_per_request=500,
        total_spans=spans // 4,
        spread_s=_DAY_S,
        keep_every=keep_every,
        pause_s=0.2,
    )
    ledgers = finish_senders(senders)
    drain(service)
    sent = sum(ledger["spans"] for ledger in ledgers)
    seconds = time.perf_counter() - begin
    row = Row(
        f"filling the store with {sent / 1e6:.1f} M spans over one day",
        f"{seconds:.0f} s ({sent / seconds / 1e3:.0f} k spans/s, loading included)",
    )
    return row, [(trace, start) for ledger in ledgers for trace, start in ledger["traces"]]


def measure_disk(engine: Path) -> Iterator[Row]:
    """
    Weigh all tables of a store that nobody has open.

    What merges have replaced is left out: the engine deletes it after eight minutes.
    """
    program = (
        "import json, sys, clickhouse_connect\n"
        "client = clickhouse_connect.get_client(dsn=f'chdb://{sys.argv[1]}')\n"
        "rows = client.query('SELECT table, sum(bytes_on_disk), sum(rows) FROM system.parts '"
        "' WHERE active AND database = \\'hopline\\' GROUP BY table').result_rows\n"
        "json.dump({name: [int(size), int(count)] for name, size, count in rows}, sys.stdout)"
    )
    command = [sys.executable, "-c", program, str(engine)]
    tables = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    spans = tables["otel_traces"][1]
    shares = {name: size / spans for name, (size, _) in tables.items() if size / spans >= 0.1}
    parts = ", ".join(f"{name} {share:.1f}" for name, share in sorted(shares.items()))
    total = sum(size for size, _ in tables.values()) / spans
    yield Row("on disk, all tables", f"{total:.1f} bytes a span ({parts})", "≤ 86", total <= 86)


def measure_questions(service: Service, traces: list[tuple[str, int]]) -> Iterator[Row]:
    """Ask a full store for timelines and for slow requests."""
    _push_records(service, traces)
    _wait_for_rest(service)
    yield from _ask_timelines(service, traces)
    yield from _ask_searches(service, len(traces))
    yield from _ask_reports(service)


def _push_records(service: Service, traces: list[tuple[str, int]]) -> None:
    """Send an API Management row for each of the traces, some of them slow."""
    chance = random.Random(7)
    in_order = sorted(traces, key=lambda pair: pair[1])
    for first in range(0, len(traces), 2000):
        rows = [make_row(chance, trace, start) for trace, start in in_order[first : first + 2000]]
        status, answer = service.post("/v1/gateway/azure-apim", json.dumps(rows).encode())
        assert status == 200, answer
        assert answer["accepted"] == len(rows), answer
    drain(service)


def _wait_for_rest(service: Service, limit_s: float = 600) -> None:
    """
    Wait until the store has next to nothing to do: a day's merges do not happen in minutes.

    Parts that were merged before the store was started are deleted within the first minute of it,
    all at once. Background stitching may go on with its tenth of a core.
    """
    deadline = time.monotonic() + limit_s
    calm = 0
    while calm < 25 and time.monotonic() < deadline:
        before = service.cpu_seconds()["store"]
        time.sleep(2)
        calm = calm + 1 if service.cpu_seconds()["store"] - before < 0.3 else 0


def make_row(chance: random.Random, trace: str, start_ns: int) -> dict[str, object]:
    """Return a row of API Management's log that names *trace*."""
    backend = int(chance.lognormvariate(4, 1))
    moment = datetime.fromtimestamp(start_ns / 1e9, UTC)
    number = chance.randrange(12)
    return {
        "TimeGenerated": moment.isoformat().replace("+00:00", "Z"),
        "CorrelationId": f"{chance.getrandbits(128):032x}",
        "TotalTime": backend + 7,
        "BackendTime": backend,
        "ClientTime": 3,
        "CacheTime": 0,
        "Cache": "none",
        "Method": "GET",
        "Url": f"https://api.example.test/shop{number}/orders/{chance.getrandbits(24)}",
        "ResponseCode": 500 if chance.random() < 0.02 else 200,
        "BackendResponseCode": 200,
        "ApiId": f"shop-{number}",
        "OperationId": "get-order",
        "ProductId": "gold",
        "ApimSubscriptionId": f"team-{chance.randrange(40)}",
        "IsRequestSuccess": True,
        "Region": "North Europe",
        "BackendRequestHeaders": {"traceparent": f"00-{trace}-{chance.getrandbits(64):016x}-01"},
    }


def _ask_timelines(service: Service, traces: list[tuple[str, int]]) -> Iterator[Row]:
    chance = random.Random(11)
    asked = chance.sample(traces, _WARM_UP + _QUESTIONS)
    paths = [f"/api/v1/requests/{trace}" for trace, _ in asked]
    yield _latency_row(service, "timeline over REST, 10 spans and a record", paths, 60)


def _ask_searches(service: Service, records: int) -> Iterator[Row]:
    chance = random.Random(13)
    now_ms = int(time.time() * 1000)
    paths = []
    for _ in range(_WARM_UP + _QUESTIONS):
        hours = chance.choice((1, 6, 24))
        end_ms = now_ms - chance.randrange(_DAY_S - hours * 3600 + 1) * 1000
        question = {
            "start": end_ms - hours * 3_600_000,
            "end": end_ms,
            "api": f"shop-{chance.randrange(12)}",
            "min_duration_ms": chance.choice((100, 300, 500)),
            "limit": 50,
        }
        paths.append("/api/v1/requests?" + urlencode(question))
    what = f"slow-request search, 1 to 24 h, top 50, {records / 1e3:.0f} k gateway records"
    yield _latency_row(service, what, paths, 100)


def _ask_reports(service: Service) -> Iterator[Row]:
    for pattern, limit_s in _REPORTS.items():
        path = pattern.format(now_ms=int(time.time() * 1000))
        times = []
        for _ in range(1 + _REPEATS):
            begin = time.perf_counter()
            status, answer = service.get(path)
            times.append(time.perf_counter() - begin)
            assert status == 200, (path, status, answer)
            time.sleep(_REPEAT_PAUSE_S)
        yield Row(
            f"`{pattern.partition('?')[0]}` over a day",
            f"first {times[0]:.2f} s, then at most {max(times[1:]):.2f} s",
            f"≤ {limit_s:g} s",
            max(times) <= limit_s,
        )


def _latency_row(service: Service, what: str, paths: list[str], limit_ms: float) -> Row:
    connection = http.client.HTTPConnection("127.0.0.1", service.api_port, timeout=60)
    times = []
    for path in paths:
        begin = time.perf_counter()
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        times.append((time.perf_counter() - begin) * 1e3)
        assert response.status == 200, (path, response.status, body[:500])
    times = times[_WARM_UP:]
    p99 = quantile(times, 0.99)
    figure = f"p50 {statistics.median(times):.0f} ms, p99 {p99:.0f} ms"
    return Row(what, figure, f"p99 ≤ {limit_ms:.0f} ms", p99 <= limit_ms)
