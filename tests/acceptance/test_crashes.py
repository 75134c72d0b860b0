"""Nothing that was acknowledged is lost or doubled, whatever is killed."""

import http.client
import json
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.bench.load import Pool
from tests.service import Service, start_service

_SENDERS = 3


class _Ledger:
    """Trace ids that the service acknowledged, with the number of spans each has."""

    def __init__(self) -> None:
        self.traces: dict[str, int] = {}
        self.refused = 0


def _send_until(service: Service, stop: threading.Event, seed: int, ledger: _Ledger) -> None:
    """Send unique requests; only a 200 without complaint enters the ledger."""
    pool = Pool(20, seed, patterns=4)
    while not stop.is_set():
        body, spans = pool.take()
        connection = http.client.HTTPConnection("127.0.0.1", service.http_port, timeout=10)
        try:
            with closing(connection):
                headers = {"Content-Type": "application/x-protobuf"}
                connection.request("POST", "/v1/traces", body, headers)
                response = connection.getresponse()
                is_taken = response.status == 200 and not response.read()
        except (OSError, http.client.HTTPException):
            ledger.refused += 1
            time.sleep(0.02)
            continue
        if is_taken:
            traces = pool.trace_ids(body)
            ledger.traces |= dict.fromkeys(traces, spans // len(traces))


def _wait_for_restart(service: Service, role: str, old_pid: int) -> None:
    deadline = time.monotonic() + 30
    while service.pids().get(role, old_pid) == old_pid:
        assert time.monotonic() < deadline, f"{role} was not started again"
        time.sleep(0.05)


@pytest.mark.parametrize("victim", ["ingest", "store"])
def test_kill_9_in_the_middle_of_a_load_loses_and_doubles_nothing(
    tmp_path: Path, victim: str
) -> None:
    """After three kills under load each acknowledged span is there exactly once."""
    with start_service(tmp_path, flush_interval_ms="100") as service:
        ledger, stop = _Ledger(), threading.Event()
        senders = [
            threading.Thread(target=_send_until, args=(service, stop, seed, ledger))
            for seed in range(1, _SENDERS + 1)
        ]
        for sender in senders:
            sender.start()
        for _ in range(3):
            time.sleep(0.7)
            pid = service.pids()[victim]
            service.kill(victim)
            _wait_for_restart(service, victim, pid)
        time.sleep(0.5)
        stop.set()
        for sender in senders:
            sender.join()
        service.wait_for("/readyz", lambda status, _: status == 200)
        deadline = time.monotonic() + 60
        while service.journal_files() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert service.journal_files() == []
        assert len(ledger.traces) > 50, f"too little was sent; {ledger.refused} refused"
    _check_every_trace(service.data_dir / "chdb", ledger)


def _check_every_trace(engine: Path, ledger: _Ledger) -> None:
    """Count the rows themselves: the API would hide a doubled one."""
    stored = _rows_by_trace(engine, "SELECT TraceId, count() FROM hopline.otel_traces GROUP BY 1")
    summed = _rows_by_trace(
        engine, "SELECT trace_id, sum(spans) FROM hopline.trace_summary GROUP BY 1"
    )
    wrong = {
        trace_id: (spans, stored.get(trace_id), summed.get(trace_id))
        for trace_id, spans in ledger.traces.items()
        if not spans == stored.get(trace_id) == summed.get(trace_id)
    }
    assert not wrong, f"{len(wrong)} of {len(ledger.traces)} traces: {list(wrong.items())[:5]}"


def _rows_by_trace(engine: Path, sql: str) -> dict[str, int]:
    """Read with the bare engine, in a process of its own as there is one engine a process."""
    program = (
        "import json, sys, clickhouse_connect\n"
        "client = clickhouse_connect.get_client(dsn=f'chdb://{sys.argv[1]}')\n"
        "rows = client.query(sys.argv[2]).result_rows\n"
        "json.dump({trace: int(count) for trace, count in rows}, sys.stdout)"
    )
    command = [sys.executable, "-c", program, str(engine), sql]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    counts: dict[str, int] = json.loads(answer.stdout)
    return counts


def test_senders_are_answered_while_the_engine_is_down(tmp_path: Path) -> None:
    """With the store process gone the journal takes over, and the rows appear when it is back."""
    with start_service(tmp_path) as service:
        pid = service.pids()["store"]
        service.kill("store")
        pool = Pool(20, 9, patterns=2)
        body, _ = pool.take()
        trace_id = pool.trace_ids(body)[0]
        status, _ = service.post("/v1/traces", body, "application/x-protobuf")
        assert status == 200
        _wait_for_restart(service, "store", pid)
        service.wait_for("/readyz", lambda status, _: status == 200)
        service.wait_for(f"/api/v1/requests/{trace_id}/spans", lambda status, _: status == 200)


def test_stopping_loses_nothing(tmp_path: Path) -> None:
    """What was acknowledged just before SIGTERM is there after the next start."""
    pool = Pool(20, 10, patterns=2)
    body, _ = pool.take()
    with start_service(tmp_path) as service:
        assert service.post("/v1/traces", body, "application/x-protobuf")[0] == 200
        assert service.stop() == 0
    with start_service(tmp_path) as service:
        path = f"/api/v1/requests/{pool.trace_ids(body)[0]}/spans"
        service.wait_for(path, lambda status, _: status == 200)
