"""
The steps of a Dockerfile, carried out in a bare Debian root: what a build does, without images.

Shape: each stage is an overlay over what debootstrap lays down; RUN is a chroot into it. Known are
the instructions that our Dockerfile has; another one fails the test. What a RUN leaves is kept
between test runs, as a layer is, until something above it changes; not from the first copy of this
tree's own sources on.
"""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.packaging.tools import ROOT, fetched, kept, need, run

_SUITE = "bookworm"
_MIRROR_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass
class Stage:
    """One stage. `key` is all that its files came from so far; the rest is how the image runs."""

    place: Path
    key: str
    layers: list[Path]
    is_kept: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    folder: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """Where its files are mounted."""
        return self.place / "root"

    def mount(self) -> None:
        """Lay an empty folder for changes over the layers, of which the first is uppermost."""
        subprocess.run(["umount", "--lazy", self.root], check=False, capture_output=True)
        for part in ("root", "changed", "work"):
            shutil.rmtree(self.place / part, ignore_errors=True)
            (self.place / part).mkdir(parents=True)
        lower = ":".join(str(layer) for layer in self.layers)
        parts = f"upperdir={self.place / 'changed'},workdir={self.place / 'work'}"
        run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={lower},{parts}", self.root])


def debian_root() -> Path:
    """Return a minimal Debian of the suite that the Dockerfile starts from, kept between runs."""
    return fetched("debian", _SUITE, _bootstrap, "from a mirror")


def _bootstrap(folder: Path) -> None:
    program, environment = "debootstrap", {}
    if not shutil.which(program):
        need("apt-get", "it fetches debootstrap, which lays down the Debian of the image")
        unpacked = _fetch_debootstrap()
        program = str(unpacked / "usr/sbin/debootstrap")
        environment = {"DEBOOTSTRAP_DIR": str(unpacked / "usr/share/debootstrap")}
    command = [program, "--variant=minbase", _SUITE, folder]
    run(command, environment=environment, timeout_s=600)
    # as in Debian's own image: downloaded packages do not stay
    rule = 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };\n'
    (folder / "etc/apt/apt.conf.d/docker-clean").write_text(
        rule + 'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";\n'
    )
    run(["chroot", folder, "apt-get", "clean"])


def _fetch_debootstrap() -> Path:
    """Unpack Debian's package of it beside the other tools, without installing it."""

    def unpack(folder: Path) -> None:
        run(["apt-get", "update", "--quiet"], timeout_s=600)
        run(["apt-get", "download", "--quiet", "debootstrap"], cwd=folder)
        (package,) = folder.glob("*.deb")
        run(["dpkg", "--extract", package, folder])

    return fetched("debootstrap", _SUITE, unpack, "from Debian's packages")


def instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    """Yield the instructions with their arguments, continued lines joined."""
    text = "\n".join(
        line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")
    )
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name, rest.strip()


class Build:
    """A build under way; `stages` by name, the last one under ''."""

    def __init__(self, debian: Path, folder: Path) -> None:
        self._debian = debian
        self._folder = folder
        self.stages: dict[str, Stage] = {}
        self._stage: Stage | None = None

    def execute(self, name: str, arguments: str) -> None:
        """Carry out one instruction."""
        handler = getattr(self, f"_do_{name.lower()}")
        handler(arguments)

    @property
    def stage(self) -> Stage:
        """The stage that the last FROM began."""
        assert self._stage is not None, "the Dockerfile has to begin with FROM"
        return self._stage

    def unmount(self) -> None:
        """Take all overlays down."""
        for stage in self.stages.values():
            subprocess.run(["umount", "--lazy", stage.root], check=False, capture_output=True)

    def _do_from(self, arguments: str) -> None:
        image, _, name = arguments.partition(" AS ")
        assert image.startswith("debian:12."), image
        place = self._folder / f"stage-{len(self.stages)}"
        stage = Stage(place, f"FROM {image}", layers=[self._debian])
        stage.mount()
        self._stage = self.stages[name] = stage

    def _do_env(self, arguments: str) -> None:
        for pair in shlex.split(arguments):
            name, _, value = pair.partition("=")
            self.stage.environment[name] = value

    def _do_run(self, arguments: str) -> None:
        stage = self.stage
        stage.key += f"\nRUN {arguments} {stage.environment}"
        if not stage.is_kept:
            self._run(arguments)
            return
        layer = kept(
            f"layer-{stage.place.name}-{stage.key.count(chr(10))}",
            stage.key,
            lambda folder: self._run_and_keep(arguments, folder),
        )
        stage.layers.insert(0, layer)
        stage.mount()

    def _run_and_keep(self, arguments: str, folder: Path) -> None:
        self._run(arguments)
        run(["cp", "--archive", f"{self.stage.place / 'changed'}/.", folder])

    def _run(self, arguments: str) -> None:
        root = self.stage.root
        with _network(root):
            run(
                ["chroot", root, "/bin/sh", "-ec", arguments],
                environment={**_pip_settings(), **self.stage.environment},
                timeout_s=600,
            )

    def _do_copy(self, arguments: str) -> None:
        *sources, target = arguments.split()
        base = ROOT
        if sources[0].startswith("--from="):
            base = self.stages[sources.pop(0).removeprefix("--from=")].root
            self.stage.is_kept = False
        for source in sources:
            if (base / source).is_dir():
                self.stage.is_kept = False
            elif self.stage.is_kept:
                digest = hashlib.sha256((base / source).read_bytes()).hexdigest()
                self.stage.key += f"\nCOPY {source} {target} {digest}"
            self._copy(base / source.lstrip("/"), target, is_into=target.endswith("/"))

    def _copy(self, source: Path, target: str, *, is_into: bool) -> None:
        place = self.stage.root / target.lstrip("/")
        place = place / source.name if is_into else place
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, place, symlinks=True, ignore=ignore, dirs_exist_ok=True)
        else:
            shutil.copy2(source, place)

    def _do_user(self, arguments: str) -> None:
        self.stage.user = arguments

    def _do_workdir(self, arguments: str) -> None:
        self.stage.folder = arguments

    def _do_volume(self, arguments: str) -> None:
        for folder in _words(arguments):
            assert (self.stage.root / folder.lstrip("/")).is_dir()
            self.stage.volumes.append(folder)

    def _do_expose(self, arguments: str) -> None:
        assert arguments.split() == ["4317", "4318", "8080"]

    def _do_healthcheck(self, arguments: str) -> None:
        self.stage.health = _words(arguments.partition(" CMD ")[2])

    def _do_entrypoint(self, arguments: str) -> None:
        self.stage.entrypoint = _words(arguments)

    def _do_cmd(self, arguments: str) -> None:
        self.stage.command = _words(arguments)


def _words(array: str) -> list[str]:
    words: list[str] = json.loads(array)
    return words


def _pip_settings() -> dict[str, str]:
    # where this machine reaches its package registry; a machine without such settings has none
    return {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


@contextmanager
def _network(root: Path) -> Iterator[None]:
    """Lend a root this machine's resolver and certificates, as a container runtime does."""
    lent = [Path("/etc/resolv.conf"), Path("/etc/hosts")]
    certificates = root / str(_MIRROR_CERTIFICATES).lstrip("/")
    for source in lent:
        shutil.copyfile(source, root / str(source).lstrip("/"))
    had_certificates = certificates.exists()
    certificates.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_MIRROR_CERTIFICATES, certificates)
    try:
        yield
    finally:
        if not had_certificates:
            certificates.unlink(missing_ok=True)
