"""Jaeger's own Go types, and the collector's, read what Hopline answers."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api_client import serving
from tests.integration.test_trace_apis import FAILED, GOOD, STORIES, TRACE, UNRECORDED
from tests.packaging.tools import fetched, go_module, need
from tests.service import free_ports
from tests.stories import MINUTE, NOW, asking

SOURCES = Path(__file__).parent / "jaeger_go"
TOKEN = "read-only-token"


@pytest.fixture(scope="module")
def client() -> Path:
    """A small program around jaeger-idl, built once and kept."""
    need("go", "it builds a client around jaeger-idl")
    return fetched("jaeger-go", *go_module(SOURCES, "ask"), "Go modules") / "ask"


@pytest.fixture(scope="module")
def answers(client: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    (grpc_port,) = free_ports(1)
    with (
        asking(STORIES, tmp_path_factory.mktemp("jaeger")) as (questions, _),
        serving(questions, (TOKEN,), jaeger_query_port=grpc_port) as asker,
    ):
        asked = {
            "grpc": f"127.0.0.1:{grpc_port}",
            "http": asker.address,
            "token": TOKEN,
            "trace_id": TRACE,
            "service": "payments",
            "start_ns": NOW - 60 * MINUTE,
            "end_ns": NOW,
        }
        done = subprocess.run(
            [client], input=json.dumps(asked), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr[-2000:]
        yield json.loads(done.stdout)


@pytest.mark.timeout(900)
def test_jaegers_go_types_read_a_trace(answers: Any) -> None:
    """Ids, times, parents, services, kinds and typed tags arrive in Jaeger's own model."""
    spans = {span["span_id"]: span for span in answers["trace"]}
    assert len(spans) == len(FAILED.spans) + 1
    (root,) = [span for span in spans.values() if not span["parent_id"]]
    assert root["service"] == "azure-apim"
    for told in FAILED.spans:
        span = spans[told.span_id]
        above = told.parent_span_id if told.parent_span_id in spans else root["span_id"]
        assert (span["trace_id"], span["parent_id"]) == (TRACE, above)
        assert (span["operation"], span["service"]) == (told.name, told.service)
        assert span["kind"] == told.kind.lower()
        assert span["duration_ns"] == told.end_ns - told.start_ns
        assert span["tags"]["error"] is True
    codes = {span["tags"].get("http.status_code") for span in spans.values()}
    assert 500 in codes


@pytest.mark.timeout(900)
def test_jaegers_go_types_read_names_calls_and_searches(answers: Any) -> None:
    """Every method of the older service is decoded by the code that Kiali and others generate."""
    assert answers["services"] == ["azure-apim", "istio-ingressgateway", "orders", "payments"]
    assert {"name": "SELECT accounts", "span_kind": "client"} in answers["operations"]
    calls = {
        (each["parent"], each["child"]): each["call_count"] for each in answers["dependencies"]
    }
    told = len([FAILED, *GOOD, UNRECORDED])
    assert calls["orders", "payments"] == told
    assert answers["found"] == {TRACE: len(FAILED.spans) + 1}
    assert answers["otlp_spans"] == len(FAILED.spans) + 1
    assert answers["tempo_spans"] == len(FAILED.spans) + 1


@pytest.mark.timeout(900)
def test_jaegers_go_client_is_told_errors_as_by_jaeger(answers: Any) -> None:
    """No token, an unknown trace and the archive that there is not have the codes of gRPC."""
    assert answers["without_token"] == "Unauthenticated"
    assert answers["unknown"] == ["NotFound", "trace not found"]
    assert answers["archive"] == "Unimplemented"
