"""Several ingest processes on the same ports: each takes its share, and together they are one."""

import http.client
import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import pytest

from tests.bench.load import Pool
from tests.service import Service, start_service

_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_CONNECTIONS = 24
_ACCEPTED = "hopline_intake_records_accepted_total"
_RESENT = "hopline_intake_envelopes_resent_total"
_HEADERS = {"Content-Type": "application/x-protobuf"}
_JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("processes")
    with start_service(folder, ingest_processes="2") as running:
        yield running


def send_on_each_connection(service: Service, path: str, body: bytes, **headers: str) -> None:
    """Send the same body on many connections, which the system gives to both processes."""
    for _ in range(_CONNECTIONS):
        connection = http.client.HTTPConnection("127.0.0.1", service.http_port, timeout=30)
        connection.request("POST", path, body, {**_HEADERS, **headers})
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:20]) == (200, answer_of(path))
        connection.close()


def answer_of(path: str) -> bytes:
    return b"" if path == "/v1/traces" else b'{"accepted":1,"rejec'


def counted(service: Service, metric: str, door: str) -> dict[str, float]:
    """Return a counter of a door by process, as soon as all have told it to the others."""
    text = service.get("/metrics", accept="text/plain")[1].decode()
    wanted = re.compile(rf'{metric}{{([^}}]*door="{door}"[^}}]*)}} (\S+)')
    found: dict[str, float] = {}
    for labels, value in wanted.findall(text):
        (process,) = re.findall(r'process="([^"]+)"', labels)
        found[process] = found.get(process, 0) + float(value)
    return found


def wait_until_counted(service: Service, door: str, envelopes: int) -> None:
    """Wait until so many envelopes are counted as sent again, by both processes."""
    deadline = time.monotonic() + 60
    while True:
        resent = counted(service, _RESENT, door)
        if sum(resent.values()) == envelopes:
            assert set(resent) == {"ingest", "ingest-1"}
            return
        assert time.monotonic() < deadline, resent
        time.sleep(0.2)


def test_bytes_that_both_processes_get_are_stored_once(service: Service) -> None:
    """A body that comes on many connections is one request, whoever took it first."""
    pool = Pool(20, 1, patterns=2)
    body, spans = pool.take()
    send_on_each_connection(service, "/v1/traces", body)
    wait_until_counted(service, "otlp-http", _CONNECTIONS - 1)
    accepted = counted(service, _ACCEPTED, "otlp-http")
    assert list(accepted.values()) == [spans]
    service.wait_for(
        "/api/v1/sources",
        lambda _, answer: all(
            sum(each[counted] or 0 for each in answer["sources"]) == spans
            for counted in ("accepted", "rows")
        ),
    )
    (trace_id,) = pool.trace_ids(body)[:1]
    found = service.get(f"/api/v1/requests/{trace_id}/spans")[1]["spans"]
    assert len(found) == len({each["span_id"] for each in found})


def test_records_that_both_processes_get_are_stored_once(service: Service) -> None:
    """The same holds for a gateway's push."""
    record = {
        "started_at": time.time_ns() // 1_000_000,
        "request": {"id": "c5d1", "method": "GET", "uri": "/till", "url": "http://shop/till"},
        "response": {"status": 200},
        "latencies": {"request": 20, "proxy": 18, "kong": 2},
    }
    send_on_each_connection(service, "/v1/gateway/kong", json.dumps(record).encode(), **_JSON)
    wait_until_counted(service, "gateway-http", _CONNECTIONS - 1)


def test_grpc_reaches_both_processes_and_is_stored_once(service: Service) -> None:
    """Connections over gRPC are divided among the processes, and a retry is known to each."""
    body, spans = Pool(20, 2, patterns=2).take()
    with ExitStack() as stack:
        for _ in range(_CONNECTIONS):
            channel = stack.enter_context(
                grpc.insecure_channel(
                    f"127.0.0.1:{service.grpc_port}",
                    options=[("grpc.use_local_subchannel_pool", 1)],
                )
            )
            assert channel.unary_unary(_EXPORT, None, None)(body, timeout=60) == b""
    wait_until_counted(service, "otlp-grpc", _CONNECTIONS - 1)
    accepted = counted(service, _ACCEPTED, "otlp-grpc")
    assert list(accepted.values()) == [spans]


def test_one_that_is_killed_comes_back_and_others_go_on(service: Service) -> None:
    """A crash costs nobody else anything, and what the dead one took is still known."""
    body, spans = Pool(20, 3, patterns=2).take()
    told = sum(counted(service, _ACCEPTED, "otlp-http").values())
    send_on_each_connection(service, "/v1/traces", body)
    deadline = time.monotonic() + 60
    while sum(counted(service, _ACCEPTED, "otlp-http").values()) < told + spans:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    before = service.pids()
    service.kill("ingest-1")
    (service.data_dir / "status" / "metrics" / "ingest-1.json").unlink(missing_ok=True)
    deadline = time.monotonic() + 60
    while service.pids().get("ingest-1", before["ingest-1"]) == before["ingest-1"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    after = service.pids()
    assert {**before, "ingest-1": after["ingest-1"]} == after
    took = counted(service, _ACCEPTED, "otlp-http").get("ingest")
    while "ingest-1" not in counted(service, _RESENT, "otlp-http"):
        assert time.monotonic() < deadline
        send_on_each_connection(service, "/v1/traces", body)
        time.sleep(2)
    assert counted(service, _ACCEPTED, "otlp-http").get("ingest") == took
    assert "ingest-1" not in counted(service, _ACCEPTED, "otlp-http")
