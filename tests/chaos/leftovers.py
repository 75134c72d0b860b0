"""Folders of runs: each is held while its run lasts, and what a killed run left is cleared away."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "hopline-chaos-"
_HELD = "held"


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """Lend a folder for one run and clear it away."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    with _hold(folder):
        try:
            yield folder
        finally:
            _clear(folder)


def clear_leftovers() -> list[Path]:
    """End processes, unmount disks and delete folders of runs that were killed; return those."""
    found = []
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(BlockingIOError), _hold(folder):  # held: it runs
            _clear(folder)
            found.append(folder)
    return found


@contextlib.contextmanager
def _hold(folder: Path) -> Iterator[None]:
    # not passed on to children, so it is let go when the run's own process ends
    lock = os.open(folder / _HELD, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def _clear(folder: Path) -> None:
    # until none is left: a process that was killed may still be writing
    while pids := _find_processes(folder):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    disk = folder / "disk"
    if disk.is_mount():
        subprocess.run(["umount", "-l", str(disk)], check=True)
    while folder.exists():  # another run may be clearing the same folder away
        shutil.rmtree(folder, ignore_errors=True)


def _find_processes(folder: Path) -> list[int]:
    """Return the services whose data lie below *folder*."""
    wanted = f"HOPLINE_DATA_DIR={folder}/".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if any(each.startswith(wanted) for each in path.read_bytes().split(b"\0")):
                found.append(int(path.parent.name))
    return found
