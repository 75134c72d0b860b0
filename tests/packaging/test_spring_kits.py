"""Spring Cloud Gateway's properties, tried as they stand with gateways on Boot 3.5 and 4."""

import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.tools import ROOT, fetched, need, run
from tests.service import Service, free_ports, start_service

KITS = ROOT / "deploy" / "gateways" / "spring-cloud-gateway"
SOURCES = Path(__file__).parent / "spring"
ENDPOINTS = {
    "boot-3": "management.otlp.tracing",
    "boot-4": "management.opentelemetry.tracing.export.otlp",
}
TRACE_ID, CALLER = "7c1e5a9d3b4f40628d0e6a2c9f1b3d57", "5d2f8a1c4e6b7093"
_ROUTES = "spring.cloud.gateway.server.webflux.routes[0]"


def _gateway(name: str) -> Path:
    """Return a gateway's jar, built by Maven once and kept; skip where there is none."""
    maven = need("mvn", "it builds Spring Cloud Gateway")
    need("java", "it runs Spring Cloud Gateway")
    source = SOURCES / "EdgeGateway.java"
    pom = SOURCES / name / "pom.xml"

    def build(folder: Path) -> None:
        package = folder / "src" / "main" / "java" / "hopline"
        package.mkdir(parents=True)
        shutil.copy(source, package)
        shutil.copy(pom, folder)
        run([maven, "--quiet", "--batch-mode", "package"], cwd=folder, timeout_s=600)

    made_from = pom.read_text() + source.read_text()
    return fetched(f"spring-{name}", made_from, build, "Maven") / "target" / "edge-gateway-1.jar"


@pytest.fixture(scope="module")
def backend() -> Iterator[tuple[str, list[str]]]:
    """An upstream that notes the traceparent of each request: its address, and what it noted."""
    noted: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            noted.append(self.headers.get("traceparent", ""))
            self.send_response(503 if "broken" in self.path else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", noted
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def hopline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A Hopline that wants a token."""
    folder = tmp_path_factory.mktemp("hopline")
    with start_service(folder, ingest_tokens="send") as service:
        yield service


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", sorted(ENDPOINTS))
def test_requests_through_the_gateway_become_records(
    name: str, hopline: Service, backend: tuple[str, list[str]], tmp_path: Path
) -> None:
    """Route id, the route's host and the answer's status stand in the record, joined exactly."""
    address, noted = backend
    trace_id = TRACE_ID[:-1] + name[-1]
    with _running(name, hopline, address, tmp_path) as url:
        assert _get(f"{url}/lamps/7", trace_id) == 200
        assert _get(f"{url}/lamps/broken", trace_id[::-1]) == 503
        timeline = _timeline(hopline, trace_id)
        failed = _timeline(hopline, trace_id[::-1])
    assert any(trace_id in traceparent for traceparent in noted)
    (record,) = timeline["gateway_records"]
    assert record["gateway"] == "spring-cloud-gateway"
    assert (record["api"], record["status"]) == ("lamps-route", 200)
    assert record["backend_host"] == address.removeprefix("http://")
    assert any(link["to"] for link in timeline["links"])
    assert failed["gateway_records"][0]["status"] == 503
    found = hopline.wait_for(
        "/api/v1/requests?api=lamps-route", lambda status, body: bool(body.get("requests"))
    )
    assert trace_id in {request["trace_id"] for request in found["requests"]}


def test_kits_differ_in_the_names_that_boot_4_changed() -> None:
    """Each file uses its own Boot's names, and no name of the other."""
    for name, prefix in ENDPOINTS.items():
        text = (KITS / f"{name}.properties").read_text()
        assert f"{prefix}.endpoint=" in text
        assert all(f"\n{other}." not in text for other in ENDPOINTS.values() if other != prefix)


@contextmanager
def _running(name: str, hopline: Service, backend: str, folder: Path) -> Iterator[str]:
    """Run the gateway with the kit's file and this test's addresses until the block is left."""
    java = need("java", "it runs Spring Cloud Gateway")
    (port,) = free_ports(1)
    kit = KITS / f"{name}.properties"
    prefix = ENDPOINTS[name]
    options = {
        "spring.config.additional-location": f"file:{kit}",
        "server.port": str(port),
        f"{prefix}.endpoint": f"{hopline.ingest_url}/v1/traces",
        f"{prefix}.headers.Authorization": "Bearer send",
        f"{_ROUTES}.id": "lamps-route",
        f"{_ROUTES}.uri": backend,
        f"{_ROUTES}.predicates[0]": "Path=/lamps/**",
    }
    command = [java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-jar", str(_gateway(name))]
    command += [f"--{key}={value}" for key, value in options.items()]
    log = folder / "gateway.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(process, url, log)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError:
            return  # no route has this path
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text()[-4000:])


def _get(url: str, trace_id: str) -> int:
    headers = {"traceparent": f"00-{trace_id}-{CALLER}-01"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as it:
            status: int = it.status
    except urllib.error.HTTPError as error:
        status = error.code
    return status


def _timeline(hopline: Service, trace_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = hopline.wait_for(
        f"/api/v1/requests/{trace_id}",
        lambda status, body: status == 200 and bool(body["gateway_records"]),
        60,
    )
    return answer
