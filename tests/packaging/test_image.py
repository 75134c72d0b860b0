"""The recipe of the image is clean, and its steps yield a service with next to no rights."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.image import Build, Stage, debian_root, instructions
from tests.packaging.tools import ROOT, need, run
from tests.service import free_ports

DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
LIMIT_BYTES = 500 * 1024 * 1024
_ENGINE = ("chdb", "datastore", "pandas", "pyarrow")  # chdb's packages and its dependencies
_DATA = "/var/lib/hopline"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The last stage of the Dockerfile, built in a bare Debian root."""
    if os.geteuid() != 0:
        pytest.skip("only root may lay overlays and change the root folder")
    build = Build(debian_root(), tmp_path_factory.mktemp("image"))
    try:
        for name, arguments in instructions(DOCKERFILE):
            build.execute(name, arguments)
        yield build.stage
    finally:
        build.unmount()


def test_dockerfile_is_clean() -> None:
    """Hadolint has nothing to say, with every rule on."""
    run([Path(sys.executable).with_name("hadolint"), "--failure-threshold", "style", DOCKERFILE])


@pytest.mark.timeout(900)
def test_image_is_small(image: Stage) -> None:
    """All but the engine, with what only it needs, takes less than 500 MiB."""
    (packages,) = image.root.glob("opt/hopline/lib/python3*/site-packages")
    engine = [part for name in _ENGINE for part in packages.glob(f"{name}*")]
    assert len(engine) > len(_ENGINE)
    rest = _size_bytes(image.root) - sum(_size_bytes(part) for part in engine)
    assert rest < LIMIT_BYTES, f"{rest / 2**20:.0f} MiB"


@pytest.mark.timeout(900)
def test_image_serves_from_a_read_only_root_without_privileges(
    image: Stage, tmp_path: Path
) -> None:
    """As user 10001, with no capability and nothing writable but its data, it becomes healthy."""
    ports = dict(zip(("OTLP_GRPC", "INGEST", "API"), free_ports(3), strict=True))
    settings = {f"HOPLINE_{name}_PORT": str(port) for name, port in ports.items()}
    settings |= {"HOPLINE_INGEST_TOKENS": "send", "HOPLINE_QUERY_TOKENS": "read"}
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 10001, 10001)
    command = _contained(image, data, settings, [*image.entrypoint, *image.command])
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_until_ready(process, ports["API"], tmp_path / "log")
        # what the container runtime would run to see whether it is healthy
        subprocess.run(_contained(image, data, settings, image.health), check=True)
        status = Path(f"/proc/{_serving(data)}/status").read_text()
        assert "Uid:\t10001\t10001\t10001\t10001" in status
        assert "CapBnd:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.timeout(900)
def test_image_refuses_to_listen_without_tokens(image: Stage, tmp_path: Path) -> None:
    """Reachable from outside and open to everybody is not what a container starts as."""
    command = _contained(image, tmp_path, {}, [*image.entrypoint, *image.command])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 78, done.stderr
    assert "HOPLINE_INGEST_TOKENS" in done.stderr


def _contained(image: Stage, data: Path, settings: dict[str, str], command: list[str]) -> list[str]:
    """Build the command line that runs *command* as a container runtime would."""
    setpriv = need("setpriv", "it takes the capabilities away")
    root = image.root
    steps = [
        f"mount --bind {root} {root}",
        f"mount -o remount,bind,ro {root}",
        f"mount --bind {data} {root}{_DATA}",
        *(f"mount -t tmpfs tmpfs {root}{one}" for one in image.volumes if one != _DATA),
        f"mount -t proc proc {root}/proc",
        f"mount -t tmpfs tmpfs {root}/dev",
        f"mknod -m 666 {root}/dev/null c 1 3",
        f"mknod -m 666 {root}/dev/urandom c 1 9",
        f"cd {root}",
        'exec "$@"',
    ]
    user, group = image.user.split(":")
    environment = [f"{name}={value}" for name, value in (image.environment | settings).items()]
    return [
        *("unshare", "--mount", "sh", "-ec", "\n".join(steps), "sh"),
        *("chroot", str(root), "env", "-i", *environment),
        *(_inside(setpriv), "--reuid", user, "--regid", group, "--clear-groups"),
        *("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"),
        *command,
    ]


def _inside(program: str) -> str:
    return f"/usr/bin/{Path(program).name}"


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text()[-4000:])


def _serving(data: Path) -> int:
    """Find the ingest process, whose data lies in *data*."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            mounts = (folder / "mountinfo").read_text()
        except OSError:
            continue
        if b"ingest" in command and str(data) in mounts:
            return int(folder.name)
    raise AssertionError("no ingest process")


def _size_bytes(path: Path) -> int:
    return int(run(["du", "--summarize", "--bytes", "--one-file-system", path]).split()[0])
