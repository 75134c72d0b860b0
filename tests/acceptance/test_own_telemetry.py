"""Hopline tells of itself by OTLP, here to itself, and of who read what."""

import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.http.tokens import make_token
from tests.service import Service, free_ports, start_service

READER, ENTRY = make_token("ann", ["admin"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that sends its telemetry to its own door, and logs who reads."""
    folder: Path = tmp_path_factory.mktemp("own")
    token_file = folder / "tokens.toml"
    token_file.write_text(ENTRY)
    (port,) = free_ports(1)
    with start_service(
        folder,
        ingest_port=str(port),
        tokens_file=str(token_file),
        telemetry_endpoint=f"http://127.0.0.1:{port}",
        telemetry_headers=f"authorization=Bearer {READER}",
        telemetry_interval_s="2",
        audit_log="true",
    ) as running:
        yield running


def ask(service: Service, path: str) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {READER}", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    request = urllib.request.Request(service.api_url + path, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        document: dict[str, object] = json.load(answer)
        return document


def test_own_spans_metrics_and_reads_arrive(service: Service) -> None:
    """A question is a span in the asker's trace; who asked what is in the log, without secrets."""
    ask(service, "/api/v1/sources")
    deadline = time.monotonic() + 60
    found: set[str] = set()
    while found != {"trace", "log", "metric"}:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
        status = json.loads((service.data_dir / "status" / "ingest.json").read_text())
        found = {each["stream"] for each in status["sources"] if each["accepted"]}
    request = f"/api/v1/requests/{'ab' * 16}/spans"
    spans = ""
    while "GET /api/v1/sources" not in spans:  # its parts come one after the other
        assert time.monotonic() < deadline, spans
        with contextlib.suppress(urllib.error.HTTPError):
            spans = json.dumps(ask(service, request))
        time.sleep(0.5)
    log = service.log.read_text()
    assert '"who": "ann"' in log
    assert "/api/v1/sources" in log
    assert READER not in log
