"""
The demo's Hopline: `hopline serve` as a user would start it, and its query API.
"""

import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from collector.demo.apim import WORKSPACE
from collector.demo.children import Child, PortPool, is_port_free
from collector.demo.envoy_config import Collectors
from collector.demo.progress import DemoError

_READY_TIMEOUT_S = 40
_START_TIMEOUT_S = 60
_ANSWER_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Doors:
    """The ports of one Hopline; these are its defaults."""

    otlp_grpc: int = 4317
    ingest: int = 4318
    api: int = 8080
    zipkin: int = 9411

    @property
    def collectors(self) -> Collectors:
        """Where proxies and applications send."""
        return Collectors(otlp_grpc=self.otlp_grpc, otlp_http=self.ingest, zipkin=self.zipkin)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """
    Keep other demos of this machine from choosing ports meanwhile.

    A port looks free until its Hopline listens, some seconds after it was chosen. The lock is a
    UDP port: any user's demo sees it, and it goes with the process however that ends. Who holds
    it for longer than a start takes is no demo, and is not waited for.
    """
    deadline = time.monotonic() + _START_TIMEOUT_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as lock:
        while time.monotonic() < deadline:
            try:
                lock.bind(("127.0.0.1", Doors().ingest))
                break
            except OSError:
                time.sleep(0.1)
        yield


def choose_doors() -> tuple[Doors, list[str]]:
    """Take the default ports, or others where they are taken; say which those are."""
    wanted = Doors()
    notes = []
    pool = PortPool()
    for name in ("otlp_grpc", "ingest", "api", "zipkin"):
        port = getattr(wanted, name)
        if not is_port_free(port):
            wanted = replace(wanted, **{name: pool.take()})
            notes.append(f"port {port} is taken, using {getattr(wanted, name)} instead")
    pool.close()
    return wanted, notes


class Hopline:
    """A running `hopline serve` with the embedded store in *data*."""

    def __init__(self, doors: Doors, data: Path, log: Path, log_analytics: str) -> None:
        self.doors = doors
        self.url = f"http://127.0.0.1:{doors.api}"
        environment = {
            "HOPLINE_DATA_DIR": str(data),
            "HOPLINE_OTLP_GRPC_PORT": str(doors.otlp_grpc),
            "HOPLINE_INGEST_PORT": str(doors.ingest),
            "HOPLINE_API_PORT": str(doors.api),
            "HOPLINE_ZIPKIN_PORT": str(doors.zipkin),
            "HOPLINE_AZURE_WORKSPACE_IDS": WORKSPACE,
            "HOPLINE_AZURE_ENDPOINT": log_analytics,
            "HOPLINE_AZURE_ALLOW_INSECURE": "true",
            "HOPLINE_AZURE_POLL_INTERVAL_S": "2",
            "HOPLINE_AZURE_OVERLAP_S": "5",
            "HOPLINE_AZURE_LOOKBACK_S": "120",
        }
        command = [sys.executable, "-m", "collector", "serve"]
        self.child = Child("Hopline", command, log, environment)

    def wait_until_ready(self) -> None:
        """
        Wait until doors and store answer.

        Raises:
            ChildError: it ended, or is not ready in time.
        """
        self.child.wait_until(lambda: self._status("/readyz") == 200, _READY_TIMEOUT_S)

    def timeline(self, request_id: str) -> dict[str, Any] | None:
        """
        Return the timeline of a request, or None while nothing is known of it.

        Raises:
            DemoError: Hopline answers neither with a timeline nor that there is none yet.
        """
        path = f"/api/v1/requests/{request_id}"
        status, body = self._get(path)
        if status in (404, 503, 504):
            return None
        if status != 200:
            raise DemoError(f"GET {self.url}{path} answered {status}: {body}")
        return body

    def _status(self, path: str) -> int:
        try:
            return self._get(path)[0]
        except OSError:
            return 0

    def _get(self, path: str) -> tuple[int, dict[str, Any]]:
        address = self.url.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=_ANSWER_TIMEOUT_S)
        try:
            connection.request("GET", path, headers={"Accept": "application/json"})
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        is_json = response.headers.get("content-type", "").startswith("application/json")
        return response.status, json.loads(body) if is_json else {}


def explain_command(request_id: str, url: str) -> Sequence[str]:
    """Return the command that prints a request as a waterfall."""
    return [sys.executable, "-m", "collector", "explain", request_id, "--url", url]
