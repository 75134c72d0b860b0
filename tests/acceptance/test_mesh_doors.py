"""Real Envoys send Zipkin spans and access log streams to the doors that take them."""

import asyncio
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from collector.attributes import SHARED_ID
from collector.clock import SystemClock
from collector.decode.envoy.access_log import AccessLogEntry, entry_from_log
from collector.demo.envoy_config import Collectors
from collector.demo.mesh import Mesh
from collector.demo.topology import Gateway, Route, Service, Topology, Tracer
from collector.model import LogRecord
from tests.mesh_doors import Doors, eventually, open_doors

REQUESTS = 5
TRACE_ID = "8d0f2b64c7a19e35d2846b0fe1937ac5"
CLIENT_ID = "1f6e0a93b7c4d258"


def _topology(protocol: str, *, is_shared: bool) -> Topology:
    return Topology(
        name="doors",
        services=(Service("stock", export="http"),),
        gateway=Gateway((Route("stock"),)),
        tracer=Tracer(protocol, is_span_shared=is_shared),  # type: ignore[arg-type]  # a literal, given by the parameter
        access_logs=("grpc-als",),
    )


def _ask(url: str) -> None:
    for number in range(REQUESTS):
        headers = {
            "x-b3-traceid": f"{TRACE_ID[:-1]}{number}",
            "x-b3-spanid": CLIENT_ID,
            "x-b3-sampled": "1",
        }
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10):
                pass
        except urllib.error.HTTPError as error:
            error.close()


def _entry(log: dict[str, Any]) -> AccessLogEntry:
    entry = entry_from_log(
        LogRecord(
            time_ns=log["time_ns"],
            trace_id=log.get("trace_id", ""),
            span_id=log.get("span_id", ""),
            service=log["resource"].get("service.name", ""),
            body=log.get("body", ""),
            attributes={key: str(value) for key, value in log["attributes"].items()},
        )
    )
    assert entry is not None
    return entry


@pytest.mark.parametrize(
    ("protocol", "is_shared"), [("zipkin-json", True), ("zipkin-protobuf", False)]
)
async def test_a_mesh_reports_to_the_legacy_doors(
    tmp_path: Path, protocol: str, is_shared: bool
) -> None:
    """Gateway and sidecar of each request arrive as spans and as access log entries."""
    async with open_doors(tmp_path / "data", SystemClock()) as doors:
        collectors = Collectors(
            zipkin=urlsplit(doors.zipkin).port or 0, access_log_service=doors.grpc_port
        )

        def run_mesh() -> None:
            topology = _topology(protocol, is_shared=is_shared)
            with Mesh(topology, collectors, tmp_path / "mesh") as mesh:
                _ask(f"{mesh.gateway_url}/shelf?row=2")

        await asyncio.to_thread(run_mesh)
        # the gateway's server and client span and the sidecar's server span; two log lines
        await eventually(lambda: len(doors.spans()) == 3 * REQUESTS)
        await eventually(lambda: len(doors.logs()) == 2 * REQUESTS)
        _check_spans(doors, is_shared)
        _check_logs(doors)
        assert not doors.metrics.value("hopline_intake_envelopes_refused_total")
        assert not doors.metrics.value("hopline_intake_records_rejected_total")


def _check_spans(doors: Doors, is_shared: bool) -> None:
    for number in range(REQUESTS):
        spans = [s for s in doors.spans() if s["trace_id"] == f"{TRACE_ID[:-1]}{number}"]
        assert len({span["span_id"] for span in spans}) == 3
        services = sorted(span["resource"]["service.name"] for span in spans)
        assert services == ["istio-ingressgateway.istio-system"] * 2 + ["stock.shop"]
        (client,) = (span for span in spans if span["kind"] == 3)
        for server in (span for span in spans if span["kind"] == 2):
            assert (SHARED_ID in server["attributes"]) == is_shared
            is_sidecar = server["resource"]["service.name"] == "stock.shop"
            assert server["parent_span_id"] == (client["span_id"] if is_sidecar else CLIENT_ID)
            assert server["attributes"]["http.status_code"] == "200"


def _check_logs(doors: Doors) -> None:
    entries = [_entry(log) for log in doors.logs()]
    for number in range(REQUESTS):
        pair = [e for e in entries if e.trace_id == f"{TRACE_ID[:-1]}{number}"]
        outer, inner = sorted(pair, key=lambda entry: entry.service)
        assert (outer.service, inner.service) == ("istio-ingressgateway.istio-system", "stock.shop")
        assert (outer.direction, inner.direction) == ("outbound", "inbound")
        assert outer.peer == "stock.shop.svc.cluster.local"
        for entry in pair:
            assert (entry.method, entry.path, entry.status) == ("GET", "/shelf?row=2", 200)
            assert (entry.flags, entry.attempts, entry.resolution_ns) == ((), 1, 1)
            phases = (
                entry.first_upstream_tx_ns,
                entry.request_tx_ns,
                entry.response_ns,
                entry.last_upstream_rx_ns,
                entry.duration_ns,
            )
            assert None not in phases
            assert list(phases) == sorted(phases)  # type: ignore[type-var]  # none is None
        assert outer.request_id == inner.request_id
        assert (outer.duration_ns or 0) >= (inner.duration_ns or 0)
