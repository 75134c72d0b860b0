"""
Topologies of real Envoys come back from the running service as the hops that were run.

The meshes run first, a few at a time, and stop; the tests then ask for their timelines.
"""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from collector.demo.envoy_config import Collectors
from collector.demo.mesh import Mesh
from tests.acceptance.capture_envoy import Sent, send
from tests.acceptance.mesh_topologies import BATTLES, Battle
from tests.service import Service, free_ports, start_service

_AT_ONCE = 3
_LIMIT_S = 30

# What each topology has to look like: one line a hop, indented under its caller.
_TWO_SERVICES = """
    edge istio-ingressgateway
      service shop-front
        service basket
    """
_ONE_SERVICE = """
    edge istio-ingressgateway
      service shop-front
    """
_TWO_TRIES = """
    edge istio-ingressgateway
      service shop-front
        service basket try 1 of 2
        service basket try 2 of 2
    """
PICTURES = {
    "edge-and-sidecars": """
        edge istio-ingressgateway
          service shop-front
            service basket
              dependency postgresql/shop inferred
        """,
    "old-gateway": _TWO_SERVICES,
    "retry-that-succeeds": _TWO_TRIES,
    "retry-with-attempt-spans": _TWO_TRIES,
    "parallel-calls": """
        edge istio-ingressgateway
          service shop-front
            service basket
            service prices
        """,
    "mirrored": """
        edge istio-ingressgateway
          service shop-front
            service basket
            service basket-next mirrored
        """,
    "delay-injected": _TWO_SERVICES,
    "abort-injected": _TWO_SERVICES,
    "access-log-service": _TWO_SERVICES,
    "abort-before-the-router": _TWO_SERVICES,
    "upstream-timeout": _TWO_SERVICES,
    "circuit-open": """
        edge istio-ingressgateway
          service shop-front
            service basket
            service basket inferred
            service basket inferred
        """,
    "rate-limited": _TWO_SERVICES,
    "application-down": _TWO_SERVICES,
    "client-gone": _ONE_SERVICE,
    "applications-without-spans": _TWO_SERVICES,
    "context-dropped": _ONE_SERVICE,
    "callee-without-proxy": _TWO_SERVICES,
    "waypoint": _TWO_SERVICES,
    "hedged": _TWO_TRIES,
    "otlp-over-http": _TWO_SERVICES,
    "zipkin-b3": _TWO_SERVICES,
    "zipkin-shared-64-bit": _TWO_SERVICES,
    "zipkin-protobuf": _TWO_SERVICES,
    "w3c-into-zipkin": _TWO_SERVICES,
    "b3-island": _TWO_SERVICES,
    "access-logs-only": _TWO_SERVICES,
}
# What went wrong on purpose: the verdict's layer and class, and a word that only access logs know.
VERDICTS = {
    "abort-injected": ("mesh", "fault_injection", "fault_filter_abort"),
    "abort-before-the-router": ("mesh", "fault_injection", "fault_filter_abort"),
    "access-log-service": ("mesh", "unreachable", "delayed_connect_error"),
    "upstream-timeout": ("mesh", "timeout", "response_timeout"),
    "circuit-open": ("mesh", "overload", "{overflow}"),
    "application-down": ("mesh", "unreachable", "delayed_connect_error"),
    "client-gone": ("client", "client_abort", "downstream_remote_disconnect"),
}


@dataclass(frozen=True, slots=True)
class Fought:
    """The running service, and the last request of each topology."""

    service: Service
    sent: Mapping[str, Sent]


@pytest.fixture(scope="module")
def fought(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fought]:
    """Run all topologies against one service."""
    folder = tmp_path_factory.mktemp("meshes")
    [zipkin_port] = free_ports(1)
    with start_service(folder, zipkin_port=str(zipkin_port)) as service:
        collectors = Collectors(
            service.grpc_port, service.http_port, zipkin_port, access_log_service=service.grpc_port
        )
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            sent = pool.map(lambda battle: _fight(battle, service, collectors, folder), BATTLES)
            by_name = {battle.topology.name: one for battle, one in zip(BATTLES, sent, strict=True)}
        yield Fought(service, by_name)


def _fight(battle: Battle, service: Service, collectors: Collectors, folder: Path) -> Sent:
    """Keep the mesh until its spans are stored: some calls go on after the answer."""
    with Mesh(battle.topology, collectors, folder / battle.topology.name) as mesh:
        url = mesh.gateway_url + battle.path
        for _ in range(battle.times):
            sent = send(url, battle.carrier, battle.patience_s)
        deadline = time.monotonic() + _LIMIT_S
        while time.monotonic() < deadline and not _has_spans(service, sent, battle):
            time.sleep(0.2)
    return sent


def _has_spans(service: Service, sent: Sent, battle: Battle) -> bool:
    status, answer = service.get(f"/api/v1/requests/{sent.trace_id}/spans")
    stored = len(answer["spans"]) if status == 200 else 0
    return stored >= battle.spans - battle.lost


@pytest.mark.parametrize("battle", BATTLES, ids=lambda battle: battle.topology.name)
def test_topology_comes_back_as_its_hops(fought: Fought, battle: Battle) -> None:
    """Each visit to a service is one hop under its caller, with tries and copies marked."""
    name = battle.topology.name
    sent = fought.sent[name]
    assert sent.status == battle.status
    expected = dedent(PICTURES[name]).strip()
    deadline = time.monotonic() + _LIMIT_S
    while True:
        status, timeline = fought.service.get(f"/api/v1/requests/{sent.trace_id}")
        picture = draw(timeline) if status == 200 else str(timeline)
        is_right = picture == expected and _is_verdict_right(name, timeline["verdict"])
        if is_right or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert picture == expected
    assert _is_verdict_right(name, timeline["verdict"]), timeline["verdict"]
    total_ns = round(timeline["duration_ms"] * 1e6)
    assert sum(round(phase["duration_ms"] * 1e6) for phase in timeline["phases"]) == total_ns


def _is_verdict_right(name: str, verdict: Mapping[str, Any]) -> bool:
    if name not in VERDICTS:
        return True
    layer, class_, detail = VERDICTS[name]
    return (verdict["layer"], verdict["class"]) == (layer, class_) and detail in verdict["reason"]


def draw(timeline: Mapping[str, Any]) -> str:
    """Draw the hops of a timeline as an indented list, callees in the order of their names."""
    hops = timeline["hops"]
    known = {hop["index"] for hop in hops}

    def below(parent: int, depth: int) -> Iterator[str]:
        children = [
            hop
            for hop in hops
            if hop["parent"] == parent or (parent == -1 and hop["parent"] not in known)
        ]
        for hop in sorted(children, key=lambda hop: (_title(hop), hop["start_offset_ms"])):
            yield "  " * depth + _title(hop)
            yield from below(hop["index"], depth + 1)

    return "\n".join(below(-1, 0))


def _title(hop: Mapping[str, Any]) -> str:
    words = [hop["role"], hop["service"].split(".")[0]]
    if hop["attempts"] > 1:
        words.append(f"try {hop['attempt']} of {hop['attempts']}")
    words += [name for name in ("mirrored", "inferred") if hop[name]]
    return " ".join(words)
