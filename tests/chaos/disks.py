"""Small real file systems, and what uses up their room."""

import contextlib
import os
import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

MIB = 1 << 20
KINDS = ("tmpfs", "ext4")


class CannotMountError(Exception):
    """Why there is no such file system here."""


@contextlib.contextmanager
def small_disk(kind: str, folder: Path, size_bytes: int) -> Iterator[Path]:
    """
    Mount a file system of that kind and size below *folder*.

    Raises:
        CannotMountError: it is not allowed here.
    """
    place = folder / "disk"
    place.mkdir(parents=True, exist_ok=True)
    if kind == "tmpfs":
        _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(place))
    else:
        image = folder / "disk.img"
        with image.open("wb") as file:
            file.truncate(size_bytes)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        _run("mount", "-o", "loop", str(image), str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        (folder / "disk.img").unlink(missing_ok=True)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as exc:
        raise CannotMountError(str(exc)) from exc
    if done.returncode:
        raise CannotMountError(done.stderr.strip())


@contextlib.contextmanager
def hovering(disk: Path, most_bytes: int = 4 * MIB) -> Iterator[None]:
    """Keep between 0 and *most_bytes* of the disk free, another amount every few milliseconds."""
    halt = threading.Event()
    thread = threading.Thread(target=_hover, args=(disk, most_bytes, halt))
    thread.start()
    try:
        yield
    finally:
        halt.set()
        thread.join()


def _hover(disk: Path, most_bytes: int, halt: threading.Event) -> None:
    path = disk / "filler"
    size = 0
    rng = random.Random(most_bytes)
    with path.open("wb") as file:
        while not halt.is_set():
            found = os.statvfs(disk)
            more = found.f_bavail * found.f_frsize - rng.randrange(most_bytes + 1)
            with contextlib.suppress(OSError):
                if more > 0:
                    os.posix_fallocate(file.fileno(), size, more)
                elif more < 0:
                    file.truncate(max(size + more, 0))
            size = os.fstat(file.fileno()).st_size
            halt.wait(rng.random() * 0.02)
    path.unlink()
