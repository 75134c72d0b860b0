"""Secrets that are sent through every door are nowhere afterwards: journal, rows, answers, log."""

import itertools
import json
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, format_trace_id

from tests.gateway_fixtures import FOLDER
from tests.ingest import make_log, make_request, make_span, text
from tests.jaeger_messages import thrift_batch, written
from tests.service import Service, free_ports, start_service
from tests.unit.decode.redaction.test_corpus import TEMPLATES, fill

_MARK = "cANaRy7"
_CANARIES = 10_000
_DEAD_LETTER = re.compile(rb"hopline_store_messages_dead_letter_total\S* [1-9]")
_DUMP = """
import sys
from clickhouse_connect import get_client
client = get_client(dsn="chdb://" + sys.argv[1])
names = client.query("SELECT name FROM system.tables "
                     "WHERE database='hopline' AND engine LIKE '%MergeTree'").result_rows
for (name,) in names:
    rows = client.raw_query(f"SELECT * FROM hopline.`{name}` FORMAT JSONEachRow")
    sys.stdout.buffer.write(rows)
"""


@pytest.fixture(scope="module")
def ports() -> dict[str, Any]:
    """Free ports for the doors that are off by default."""
    names = ("zipkin_port", "jaeger_http_port")
    return dict(zip(names, map(str, free_ports(2)), strict=True))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, Any]) -> Iterator[Service]:
    """A service of its own, whose data folder is searched afterwards."""
    with start_service(tmp_path_factory.mktemp("secrets"), **ports) as running:
        yield running


def canary() -> str:
    """Return a value that looks like a secret and is found by its beginning."""
    return _MARK + secrets.token_hex(6)


def corpus() -> list[str]:
    return [fill(template, canary()) for template in TEMPLATES]


def send_sdk(service: Service) -> str:
    """Send an exception, a name and attributes with secrets by the SDK over gRPC."""
    provider = TracerProvider(resource=Resource.create({"service.name": "leaky"}))
    exporter = OTLPSpanExporter(endpoint=f"127.0.0.1:{service.grpc_port}", insecure=True)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("t").start_as_current_span("GET /", kind=SpanKind.SERVER) as span:
        # the SDK keeps 128 attributes
        for number, value in enumerate(corpus()[-100:]):
            span.set_attribute(f"note.{number}", value)
        span.set_attribute("process.command_args", ["psql", "--password", canary()])
        span.set_attribute("http.request.header.authorization", [f"Bearer {canary()}"])
        span.record_exception(ValueError(f"cannot open postgres://app:p@/{canary()}@db/shop"))
        trace_id = format_trace_id(span.get_span_context().trace_id)
    provider.shutdown()
    return trace_id


def send_http(
    url: str, body: bytes | None, content_type: str, *, origin: str = "", host: str = ""
) -> int:
    headers = {"Content-Type": content_type, "Origin": origin, "Host": host}
    given = {name: value for name, value in headers.items() if value}
    request = urllib.request.Request(url, body, given)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert _MARK.encode() not in answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def send_legacy(service: Service, ports: dict[str, Any]) -> None:
    """Send the corpus as Zipkin and Jaeger tags, as log bodies, and in requests that fail."""
    now_us = time.time_ns() // 1000
    tags = {f"note.{number}": value for number, value in enumerate(corpus())}
    base = {"traceId": secrets.token_hex(16), "id": "00000000000000c1", "name": "get"}
    span = {**base, "kind": "SERVER", "timestamp": now_us, "duration": 9000, "tags": tags}
    span["localEndpoint"] = {"serviceName": "leaky"}
    zipkin = f"http://127.0.0.1:{ports['zipkin_port']}/api/v2/spans"
    assert send_http(zipkin, json.dumps([span]).encode(), "application/json") == 202
    other = {"traceId": secrets.token_hex(16), "spanId": "00000000000000c2", "flags": 1}
    other |= {"operationName": "GET /", "startTime": now_us, "duration": 9, "tags": tags}
    jaeger = f"http://127.0.0.1:{ports['jaeger_http_port']}/api/traces?format=jaeger.thrift"
    batch = written(thrift_batch({"serviceName": "leaky"}, [other]), "binary")
    assert send_http(jaeger, batch, "application/x-thrift") == 202
    logs = [make_log(n, body=AnyValue(string_value=value)) for n, value in enumerate(corpus(), 1)]
    assert send_http(f"{service.ingest_url}/v1/logs", make_request(*logs), "application/x-protobuf")
    broken = make_request(make_span(1, attributes=[text("password", canary())]))[:-3]
    for path in ("/v1/traces", "/v1/logs", "/v1/gateway/kong", f"/v1/gateway/{canary()}"):
        assert send_http(service.ingest_url + path, broken, "application/x-protobuf") >= 400
    cut = f'{{"password": "{canary()}'.encode()
    for path in ("/v1/traces", "/v1/gateway/kong", "/v1/gateway/azure-apim"):
        assert send_http(service.ingest_url + path, cut, "application/json") >= 400


def send_thousands(service: Service) -> None:
    """
    Send as many secrets in the forms of the corpus, some of which end as a dead letter.

    The loader stands still meanwhile, so that a message can be damaged before it reads it.
    """
    store = service.pids()["store"]
    os.kill(store, signal.SIGSTOP)
    try:
        forms = itertools.islice(itertools.cycle(TEMPLATES), _CANARIES)
        while batch := [fill(form, canary()) for form in itertools.islice(forms, 1_000)]:
            logs = [make_log(n, body=AnyValue(string_value=each)) for n, each in enumerate(batch)]
            path = f"{service.ingest_url}/v1/logs"
            assert send_http(path, make_request(*logs), "application/x-protobuf") == 200
        segment = max(service.journal_files(), key=lambda path: path.stat().st_size)
        with segment.open("r+b") as file:
            file.seek(segment.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
    finally:
        os.kill(store, signal.SIGCONT)
    service.wait_for("/metrics", lambda _, text: _DEAD_LETTER.search(text) is not None, 60.0)


def plant(value: Any, pick: random.Random) -> Any:
    """Return a document with a secret behind every path and URL in it, and in its headers."""
    if isinstance(value, list):
        return [plant(each, pick) for each in value]
    if isinstance(value, dict):
        planted = {name: plant(each, pick) for name, each in value.items()}
        if any("header" in name.lower() for name in value):
            planted["authorization"] = f"Bearer {canary()}"
        return planted
    if isinstance(value, str) and value.startswith(("/", "http://", "https://")):
        sign = "&" if "?" in value else "?"
        return f"{value}{sign}{pick.choice(['key', 'pass', 'access_token', 'sig'])}={canary()}"
    return value


def send_gateways(service: Service) -> int:
    """Send every JSON fixture of every adapter with secrets planted; return how many went in."""
    pick, taken = random.Random(3), 0
    for path in sorted(FOLDER.glob("*.json")):
        for case in json.loads(path.read_text())["cases"]:
            try:
                document = case["body"]
                document = json.loads(document) if isinstance(document, str) else document
            except (ValueError, TypeError, KeyError):
                continue
            body = json.dumps(plant(document, pick)).encode()
            url = f"{service.ingest_url}/v1/gateway/{path.stem.replace('_', '-')}"
            taken += send_http(url, body, "application/json") == 200
    return taken


def test_page_of_another_site_cannot_use_a_door(service: Service, ports: dict[str, Any]) -> None:
    """Without tokens a browser's foreign page neither sends nor reads; a program does both."""
    base = "http://127.0.0.1"
    sends = {
        f"{service.ingest_url}/v1/traces": "application/json",
        f"{service.ingest_url}/v1/gateway/kong": "text/plain",
        f"{base}:{ports['zipkin_port']}/api/v2/spans": "application/json",
        f"{base}:{ports['jaeger_http_port']}/api/traces": "application/x-thrift",
    }
    for url, kind in sends.items():
        for origin in ("https://evil.example", "null", "http://evil.example:4318"):
            assert send_http(url, b"{}", kind, origin=origin) == 403
        assert send_http(url, b"{}", kind, origin="http://localhost:8080") != 403
        assert send_http(url, b"{}", kind, host="collector.mesh") != 403
    for url in (f"{service.api_url}/api/v1/sources", f"{service.api_url}/healthz"):
        assert send_http(url, None, "", host="evil.example") == 403
        assert send_http(url, None, "", origin="https://evil.example") == 403
        assert send_http(url, None, "", host="localhost:8080") == 200
    assert send_http(f"{service.ingest_url}/metrics", None, "", host="evil.example") == 403


def test_no_secret_is_found_anywhere(service: Service, ports: dict[str, Any]) -> None:
    """After all doors took secrets, a byte search finds none on disk, in rows, answers and log."""
    trace_id = send_sdk(service)
    send_legacy(service, ports)
    assert send_gateways(service) >= 50
    send_thousands(service)
    timeline = service.wait_for(f"/api/v1/requests/{trace_id}?raw=true", lambda s, _: s == 200)
    assert len(timeline["spans"]) == 1
    asked = {
        path: service.get(path)
        for path in (
            f"/api/v1/requests/{trace_id}/spans",
            f"/api/v1/requests/{trace_id}/explain?format=markdown",
            "/api/v1/requests?limit=100",
            f"/api/page/bundle?id={trace_id}",
            "/api/v1/sources",
            "/api/v1/doctor",
            "/metrics",
        )
    }
    assert [path for path, (status, _) in asked.items() if status != 200] == []
    shown = f"{timeline}{asked}"
    assert "[REDACTED]" in shown
    assert _MARK not in shown
    service.wait_for("/metrics", lambda _, t: b"hopline_journal_pending_bytes" in t)
    service.stop()
    for file in [service.log, *service.data_dir.rglob("*")]:
        assert _MARK not in file.name
        assert not file.is_file() or _MARK.encode() not in file.read_bytes(), file
    rows = dump_rows(service.data_dir / "chdb")
    assert b"[REDACTED]" in rows
    assert _MARK.encode() not in rows


def dump_rows(folder: Path) -> bytes:
    """Return all rows of all tables, read by another process."""
    command = [sys.executable, "-c", _DUMP, str(folder)]
    return subprocess.run(command, capture_output=True, check=True, timeout=120).stdout


def test_data_folder_belongs_to_its_owner(service: Service) -> None:
    """No file or folder of the data can be opened by another user."""
    service.stop()
    assert service.data_dir.stat().st_mode & 0o077 == 0
    readable = [
        path
        for path in service.data_dir.rglob("*")
        if "chdb" not in path.parts and path.stat().st_mode & 0o077
    ]
    assert readable == []
