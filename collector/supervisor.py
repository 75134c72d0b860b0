"""
The supervisor of `hopline serve`: one child process a role, restarted when it dies.

Children tell that they are ready by one byte on an inherited pipe; the supervisor tells the same
way when it was itself asked to (`HOPLINE_READY_FD`), which is how the demo and the tests wait.
"""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

READY_FD = "HOPLINE_READY_FD"
PARENT = "HOPLINE_PARENT_PID"
# sysexits.h: a configuration error does not get better by starting again
EXIT_CONFIG = 78
_RESTART_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)
_HEALTHY_AFTER_S = 30.0
_DRAIN_LIMIT_S = 25.0
_WATCH_INTERVAL_S = 0.05


def tell_ready() -> None:
    """Write the ready byte to whoever started this process and asked for it."""
    number = os.environ.pop(READY_FD, "")
    if number:
        with contextlib.suppress(OSError):
            os.write(int(number), b"1")
            os.close(int(number))


def log(message: str) -> None:
    """Print one line to stderr, where the process's own log goes."""
    sys.stderr.write(f"hopline: {message}\n")
    sys.stderr.flush()


@dataclass
class _Child:
    role: str
    process: subprocess.Popen[bytes]
    ready_fd: int
    started: float
    failures: int = 0
    is_ready: bool = False
    restart_at: float | None = None

    def is_running(self) -> bool:
        return self.restart_at is None and self.process.poll() is None

    def wait(self, deadline: float) -> int:
        """Wait until it has ended, or end it at the *deadline*; return how it went, 0 for well."""
        try:
            return abs(self.process.wait(max(deadline - time.monotonic(), 0)))
        except subprocess.TimeoutExpired:
            log(f"the {self.role} process did not drain in {_DRAIN_LIMIT_S:g} s and is ended")
            self.process.kill()
            self.process.wait()
            return 1


class Supervisor:
    """
    Keeps one child process a role running and passes signals on.

    A child that dies is started again, with growing pauses. On a signal the first role in the list
    is stopped first, with those that differ from it by a number only, and drains before the next
    one is told. All inherit *descriptors* and *environment*.
    """

    def __init__(
        self,
        data_dir: Path,
        roles: Sequence[str],
        announce: Callable[[], None],
        *,
        descriptors: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._descriptors = descriptors
        self._environment = environment or {}
        self._data_dir = data_dir
        self._roles = roles
        self._announce = announce
        self._children: dict[str, _Child] = {}
        self._is_stopping = False
        self._is_hopeless = False

    def run(self) -> int:
        """Run until a signal; return 0, or the first bad exit status of a child."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        for role in self._roles:
            self._children[role] = self._start(role)
        is_announced = False
        while not self._is_stopping and not self._is_hopeless:
            self._watch()
            if not is_announced and all(child.is_ready for child in self._children.values()):
                is_announced = True
                self._announce()
                tell_ready()
            time.sleep(_WATCH_INTERVAL_S)
        return self._stop()

    def _on_signal(self, number: int, frame: object) -> None:
        self._is_stopping = True

    def _start(self, role: str, failures: int = 0) -> _Child:
        read_fd, write_fd = os.pipe()
        os.set_blocking(read_fd, False)
        environment = {**os.environ, **self._environment, READY_FD: str(write_fd)}
        environment["HOPLINE_DATA_DIR"] = str(self._data_dir)
        environment[PARENT] = str(os.getpid())
        process = subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "-m", "collector", "serve", "--role", role],
            env=environment,
            pass_fds=(write_fd, *self._descriptors),
            start_new_session=True,
        )
        os.close(write_fd)
        return _Child(role, process, read_fd, time.monotonic(), failures)

    def _watch(self) -> None:
        now = time.monotonic()
        for role, child in list(self._children.items()):
            if child.restart_at is not None:
                if now >= child.restart_at:
                    self._children[role] = self._start(role, child.failures)
                continue
            if not child.is_ready:
                with contextlib.suppress(BlockingIOError):
                    child.is_ready = os.read(child.ready_fd, 1) == b"1"
            if child.process.poll() is not None:
                self._schedule_restart(child, now)

    def _schedule_restart(self, child: _Child, now: float) -> None:
        os.close(child.ready_fd)
        if child.process.returncode == EXIT_CONFIG:
            self._is_hopeless = True
            return
        if now - child.started > _HEALTHY_AFTER_S:
            child.failures = 0
        pause = _RESTART_PAUSES_S[min(child.failures, len(_RESTART_PAUSES_S) - 1)]
        child.failures += 1
        child.restart_at = now + pause
        log(
            f"the {child.role} process ended with status {child.process.returncode}; "
            f"starting it again in {pause:g} s"
        )

    def _stop(self) -> int:
        status = EXIT_CONFIG if self._is_hopeless else 0
        for _, roles in itertools.groupby(self._roles, lambda role: role.partition("-")[0]):
            running = [child for role in roles if (child := self._children[role]).is_running()]
            for child in running:
                child.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + _DRAIN_LIMIT_S
            for child in running:
                status = max(status, child.wait(deadline))
        return status
