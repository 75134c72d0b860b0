"""
Clients whose HTTP is not the plain kind: offers of other protocols, HTTP/2, and Java's senders.

A server that goes along with an offer of h2c can hand on an empty body and answer 200, and so
lose what it acknowledged. The tables say what arrived.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.chaos.ledger import (
    TRACES,
    Answer,
    Client,
    Delivery,
    Ledger,
    Outcome,
    Post,
    count,
    wait_until_loaded,
)
from tests.doubles.java_jars import (
    JOBS,
    compile_java,
    obtain_opentelemetry,
    obtain_spring_boot,
    spring_arguments,
)
from tests.service import Service, free_ports

_H2C = {"Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"}
OFFERS = {
    "h2c": {"Connection": "Upgrade, HTTP2-Settings", **_H2C},
    "h2c-keep-alive": {"Connection": "keep-alive, Upgrade,HTTP2-Settings", **_H2C},
    "websocket": {"Connection": "upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "MTIz"},
    "tls": {"Connection": "Upgrade", "Upgrade": "TLS/1.0, HTTP/1.1"},
}
CURL_OPTIONS = ("--http1.1", "--http2", "--http2-prior-knowledge")
_JAVA_POSTS = 200
_JAVA_LIMIT_S = 120
_JOBS = "SELECT SpanName, count() FROM hopline.otel_traces GROUP BY 1"

Start = Callable[..., Service]


def send_by(folder: Path, start: Start, *, client: Client, sends_s: float) -> Outcome:
    """Send for *sends_s* with another client than the other cases'; *client* takes a port."""
    service = start(folder)
    try:
        ledger = Ledger(service.http_port, client=client, spans_per_s=4000)
        with ledger.sending():
            time.sleep(sends_s)
        queryable_s = wait_until_loaded(service.data_dir)
    finally:
        service.stop()
    return ledger.settle(service.data_dir, queryable_s)


@contextmanager
def by_curl(option: str, port: int) -> Iterator[Post]:
    """Post with a curl process each."""

    def post(path: str, body: bytes, headers: dict[str, str]) -> Answer:
        command = ["curl", "-sS", option, "--data-binary", "@-", "-o", "-", "-w", "\n%{http_code}"]
        for name, value in headers.items():
            command += ["-H", f"{name}: {value}"]
        url = f"http://127.0.0.1:{port}{path}"
        done = subprocess.run([*command, url], input=body, capture_output=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.decode())
        return Answer(int(done.stdout.rpartition(b"\n")[2]), "not looked at")

    yield post


@contextmanager
def by_http2(port: int) -> Iterator[Post]:
    """Post over one connection of HTTP/2 with prior knowledge."""
    sender = httpx.Client(http1=False, http2=True, base_url=f"http://127.0.0.1:{port}", timeout=30)

    def post(path: str, body: bytes, headers: dict[str, str]) -> Answer:
        try:
            answer = sender.post(path, content=body, headers=headers)
        except httpx.HTTPError as exc:
            raise OSError(str(exc)) from exc
        assert answer.http_version == "HTTP/2"
        return Answer(answer.status_code, answer.headers.get("retry-after"))

    with sender:
        yield post


def jdk_client(folder: Path, start: Start) -> Outcome:
    """Post with the HTTP client of the JDK, which offers h2c with each request; all on one run."""
    command = compile_java("HttpClientSender", folder)
    service = start(folder)
    try:
        ledger = Ledger(service.http_port)
        arguments, sent = list[str](), list[Delivery]()
        for _ in range(_JAVA_POSTS):
            for each in ledger.deliver_next():
                file = folder / str(len(sent))
                file.write_bytes(each.body)
                sent.append(each)
                arguments += [each.headers["content-type"], service.ingest_url + each.path]
                arguments.append(str(file))
        done = subprocess.run(
            [*command, *arguments], capture_output=True, check=True, timeout=_JAVA_LIMIT_S
        )
        ledger.tried = len(sent) * TRACES
        statuses = [line[:3] for line in done.stdout.decode().splitlines() if line[:3].isdigit()]
        for each, status in zip(sent, statuses, strict=True):
            ledger.note(each, Answer(int(status), "not looked at"))
        queryable_s = wait_until_loaded(service.data_dir)
    finally:
        service.stop()
    return ledger.settle(service.data_dir, queryable_s)


def opentelemetry_java(folder: Path, start: Start) -> Outcome:
    """Spans of OpenTelemetry's Java SDK, whose exporter sends with the client of the JDK."""
    command = compile_java("OtelJdkSender", folder, obtain_opentelemetry())
    service = start(folder)
    return _jobs(service, [*command, f"{service.ingest_url}/v1/traces"])


def spring_boot(folder: Path, start: Start, *, version: str) -> Outcome:
    """Spans of a Spring Boot application, by its own reporter to the Zipkin door."""
    command = compile_java("SpringReporter", folder, obtain_spring_boot(version))
    (port,) = free_ports(1)
    service = start(folder, zipkin_port=str(port))
    endpoint = f"http://127.0.0.1:{port}/api/v2/spans"
    return _jobs(service, [*command, *spring_arguments(endpoint)])


def _jobs(service: Service, command: list[str]) -> Outcome:
    """Run a program that makes its spans by itself, and look for each by its name."""
    try:
        subprocess.run(command, capture_output=True, check=True, timeout=_JAVA_LIMIT_S)
        queryable_s = wait_until_loaded(service.data_dir)
    finally:
        service.stop()
    found = dict(count(service.data_dir, {"jobs": _JOBS})["jobs"])
    names = [f"job-{number}" for number in range(JOBS)]
    lost = sum(name not in found for name in names)
    doubled = sum(found.get(name, 0) > 1 for name in names)
    return Outcome(JOBS, JOBS, 0, lost, doubled, queryable_s)
