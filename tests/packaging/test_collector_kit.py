"""The collector's configuration, tried as it stands with a real collector in front of Hopline."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.packaging.kubernetes_api import kubernetes_api
from tests.packaging.tools import ROOT, fetched, go_module, need, run
from tests.service import Service, free_ports, start_service

KIT = ROOT / "deploy" / "meshes" / "otel-collector" / "config.yaml"
COMPOSE = ROOT / "deploy" / "docker" / "collector.yaml"
SOURCES = Path(__file__).parent / "collector"
BATCHES, SPANS = 20, 50


@pytest.fixture(scope="session")
def collector() -> Path:
    """A collector built from published Go modules, once, and kept."""
    need("go", "it builds a collector from published modules")
    return fetched("collector", *go_module(SOURCES, "collector"), "Go modules") / "collector"


@dataclass(frozen=True)
class Sender:
    """Where a test sends to: the collector's OTLP/HTTP port."""

    url: str

    def send(self, batch: int) -> None:
        """Send the spans of one batch, each a trace of its own."""
        spans = [_span(batch, number) for number in range(SPANS)]
        body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/v1/traces", body, headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 200


@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", [KIT, COMPOSE], ids=["kit", "compose"])
def test_collector_accepts_the_file_as_it_stands(collector: Path, path: Path) -> None:
    """Every component and option is one that the collector knows."""
    run([collector, "validate", "--config", path])


@pytest.mark.timeout(900)
def test_nothing_is_lost_while_hopline_is_away_and_the_collector_is_killed(
    collector: Path, tmp_path: Path
) -> None:
    """Spans sent while Hopline is down survive kill -9 of the collector, with their workload."""
    grpc_port, *ports = free_ports(4)
    with kubernetes_api() as api:
        options = _options(tmp_path, grpc_port, ports, api)
        with _running(collector, options, tmp_path, ports[1]) as (process, sender):
            for batch in range(BATCHES):
                sender.send(batch)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        with (
            start_service(tmp_path / "hopline", otlp_grpc_port=str(grpc_port)) as service,
            _running(collector, options, tmp_path, ports[1]),
        ):
            for batch in range(BATCHES):
                for number in (0, SPANS - 1):
                    _find(service, batch, number)
            first = _find(service, 0, 0)
    (stored,) = first["spans"]
    attributes = json.dumps(stored)
    for value in ("storefront-7d9c5b6f8-x2x4q", "node-1", '"storefront"'):
        assert value in attributes, attributes


@pytest.mark.timeout(900)
def test_gateway_spans_pass_through_a_collector(collector: Path, tmp_path: Path) -> None:
    """What Hopline exports is taken by a real collector and arrives behind it as it was sent."""
    grpc_port, *ports = free_ports(4)
    trace_id, sent_id = _trace_id(90, 0), "90" * 8
    record = {
        "started_at": time.time_ns() // 1_000_000 - 3_000,
        "latencies": {"request": 100, "kong": 12, "proxy": 88},
        "request": {
            "id": "90" * 16, "method": "GET", "uri": "/lamps",
            "headers": {"host": "shop.test", "traceparent": f"00-{trace_id}-{sent_id}-01"},
        },
        "response": {"status": 200, "size": 300, "headers": {}},
        "trace_id": {"w3c": trace_id},
    }  # fmt: skip
    with kubernetes_api() as api:
        options = _options(tmp_path, grpc_port, ports, api)
        with (
            start_service(tmp_path / "behind", otlp_grpc_port=str(grpc_port)) as behind,
            _running(collector, options, tmp_path, ports[1]) as (_, sender),
            start_service(
                tmp_path / "first", export_otlp_endpoint=sender.url, export_otlp_wait_s="1"
            ) as first,
        ):
            assert first.post("/v1/gateway/kong", json.dumps(record).encode())[0] == 200
            answer = behind.wait_for(
                f"/api/v1/requests/{trace_id}",
                lambda status, body: status == 200 and bool(body["gateway_records"]),
                60,
            )
    assert [each["gateway"] for each in answer["gateway_records"]] == ["kong"]
    assert answer["duration_ms"] == 100.0


def test_collector_may_read_what_its_processor_asks_for() -> None:
    """The role names pods, namespaces and replica sets, to get, list and watch."""
    documents = yaml.safe_load_all((KIT.parent / "rbac.yaml").read_text())
    (role,) = [one for one in documents if one["kind"] == "ClusterRole"]
    readable = {kind for rule in role["rules"] for kind in rule["resources"]}
    assert readable == {"pods", "namespaces", "replicasets"}
    assert all({"get", "list", "watch"} <= set(rule["verbs"]) for rule in role["rules"])


def _options(folder: Path, grpc_port: int, ports: list[int], api: str) -> Mapping[str, str]:
    """Return what differs from the file: addresses of this test, and how to reach the API."""
    kube_config = folder / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": api}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "t"}}
    kube_config.write_text(
        json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [cluster], "contexts": [context], "users": [user],
        })
    )  # fmt: skip
    return {
        "extensions::file_storage::directory": str(folder / "queue"),
        "receivers::otlp::protocols::grpc::endpoint": f"127.0.0.1:{ports[0]}",
        "receivers::otlp::protocols::http::endpoint": f"127.0.0.1:{ports[1]}",
        "receivers::zipkin::endpoint": f"127.0.0.1:{ports[2]}",
        "processors::k8s_attributes::auth_type": "kubeConfig",
        "exporters::otlp_grpc/hopline::endpoint": f"127.0.0.1:{grpc_port}",
        "service::telemetry::metrics::level": "none",
    }


@contextmanager
def _running(
    collector: Path, options: Mapping[str, str], folder: Path, http_port: int
) -> Iterator[tuple[subprocess.Popen[bytes], Sender]]:
    """Run the collector with the kit until the block is left."""
    command = [str(collector), "--config", str(KIT)]
    for name, value in options.items():
        command += ["--config", f"yaml:{name}: {value}"]
    environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig")}
    log = folder / "collector.log"
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    sender = Sender(f"http://127.0.0.1:{http_port}")
    try:
        _wait_until_listening(process, sender, log)
        yield process, sender
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_listening(process: subprocess.Popen[bytes], sender: Sender, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(sender.url, timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text()[-3000:])


def _find(service: Service, batch: int, number: int) -> dict[str, list[object]]:
    path = f"/api/v1/requests/{_trace_id(batch, number)}/spans"
    answer: dict[str, list[object]] = service.wait_for(
        path, lambda status, body: status == 200 and bool(body["spans"]), 60
    )
    return answer


def _span(batch: int, number: int) -> dict[str, object]:
    now_ns = time.time_ns()
    return {
        "traceId": _trace_id(batch, number),
        "spanId": f"{batch + 1:08x}{number + 1:08x}",
        "name": "GET /lamps",
        "kind": 2,
        "startTimeUnixNano": str(now_ns - 1_000_000),
        "endTimeUnixNano": str(now_ns),
    }


def _trace_id(batch: int, number: int) -> str:
    return f"{0x5EED:016x}{batch + 1:08x}{number + 1:08x}"
