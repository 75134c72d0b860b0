"""Tools that the packaging tests run: found on the machine, or built once and kept."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hopline-tests"


def run(
    command: Sequence[object],
    *,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 240,
) -> str:
    """Run a command that has to succeed; return what it printed on stdout."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    shown = " ".join(str(part) for part in command)
    assert done.returncode == 0, f"{shown}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def need(program: str, purpose: str) -> str:
    """Return the path of a program; skip the test where it is not installed."""
    found = shutil.which(program)
    if not found:
        pytest.skip(f"{program} is not installed: {purpose}")
    return found


def fetched(name: str, content: str, make: Callable[[Path], None], purpose: str) -> Path:
    """Return what `kept` does; skip the test where it cannot be made for want of a registry."""
    try:
        return kept(name, content, make)
    except (AssertionError, subprocess.TimeoutExpired) as exc:
        pytest.skip(f"{name} cannot be had here ({purpose}): {str(exc)[-500:]}")


def kept(name: str, content: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that *make* fills, once for each *content* (what it is made from)."""
    folder = CACHE / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with _locked(CACHE / f"{name}.lock"):
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            try:
                make(unfinished)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
            for older in CACHE.glob(f"{name}-*"):
                if older != unfinished:
                    shutil.rmtree(older, ignore_errors=True)
            unfinished.rename(folder)
    return folder


def go_module(sources: Path, program: str) -> tuple[str, Callable[[Path], None]]:
    """Return what a program is made from, the Go module in *sources*, and what builds it."""

    def build(folder: Path) -> None:
        command = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", folder / program, "."]
        run(command, cwd=sources, timeout_s=900)

    return "".join(path.read_text() for path in sorted(sources.iterdir())), build


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one test run make a tool while others wait for it."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
