"""The mesh builder: real Envoys take every configuration, and none outlives its parent."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from collector.demo.children import Child, ChildError, PortPool, is_port_free
from collector.demo.envoy_config import Collectors, ConfigBuilder, Ports
from collector.demo.mesh import Mesh, envoy_command
from collector.demo.topology import Gateway, Route, Service, Topology, Tracer

MESHES = Path(__file__).parents[2] / "deploy" / "meshes"
PAIR = Topology("pair", (Service("orders"),), Gateway((Route("orders"),)))

_PARENT = """
import sys, time
from pathlib import Path
from collector.demo.mesh import Mesh
from tests.acceptance.test_mesh_builder import PAIR, Collectors
mesh = Mesh(PAIR, Collectors(), Path(sys.argv[1]))
mesh.start()
print(*(child.pid for child in mesh.children), flush=True)
time.sleep(60)
"""


def _validate(config: Path) -> None:
    command = envoy_command(config, is_validation=True)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_the_documented_envoy_configuration_is_valid() -> None:
    """Envoy itself accepts `deploy/meshes/envoy/envoy.yaml` as it stands."""
    _validate(MESHES / "envoy" / "envoy.yaml")


@pytest.mark.parametrize("protocol", ["otlp-grpc", "otlp-http", "zipkin-json", "zipkin-protobuf"])
def test_every_tracer_and_log_is_valid(tmp_path: Path, protocol: str) -> None:
    """Envoy accepts each tracer together with each kind of access log."""
    topology = Topology(
        "valid",
        (Service("orders"),),
        Gateway((Route("orders"),)),
        Tracer(protocol),  # type: ignore[arg-type]  # a literal, given by the parameter
        ("otlp", "grpc-als", "json-file"),
    )
    ports = Ports(gateway=1, apps={"orders": 2}, inbound={"orders": 3}, outbound={"orders": 4})
    for name, bootstrap in (
        ConfigBuilder(topology, ports, Collectors(), tmp_path).build_all().items()
    ):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(bootstrap))
        _validate(path)


def test_a_mesh_answers_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A started mesh passes requests through its proxies; after stopping no process is left."""
    with Mesh(PAIR, Collectors(), tmp_path) as mesh:
        with urllib.request.urlopen(mesh.gateway_url + "/orders", timeout=5) as response:
            assert response.headers["server"] == "istio-envoy"
        pids = [child.pid for child in mesh.children]
    assert len(pids) == 3
    assert not any(_is_running(pid) for pid in pids)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties children to their parent")
def test_a_killed_parent_takes_its_proxies_along(tmp_path: Path) -> None:
    """SIGKILL of the process that built the mesh leaves no proxy and no application running."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 3
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 30
    while any(_is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, "proxies outlived their parent"
        time.sleep(0.02)


def test_a_child_that_ends_shows_its_log(tmp_path: Path) -> None:
    """Waiting for a process that gave up fails at once, with its last words."""
    code = "import sys; sys.exit('no such galaxy')"
    child = Child("the explorer", [sys.executable, "-c", code], tmp_path / "child.log")
    with pytest.raises(ChildError, match="the explorer ended with 1:\n.*no such galaxy"):
        child.wait_until(lambda: False, 10)


def test_a_child_that_hangs_is_given_up(tmp_path: Path) -> None:
    """A process that never becomes ready is reported, and can be stopped."""
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    child = Child("the sleeper", command, tmp_path / "child.log")
    with pytest.raises(ChildError, match="the sleeper is not ready after 0 s"):
        child.wait_until(lambda: False, 0.05)
    assert child.stop() != 0


def test_held_ports_are_not_given_twice() -> None:
    """A port stays taken from its choice until its user listens on it."""
    pool = PortPool()
    ports = {pool.take() for _ in range(50)}
    assert len(ports) == 50
    assert not any(map(is_port_free, ports))
    pool.close()
    assert all(map(is_port_free, ports))
