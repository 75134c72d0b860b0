"""
Child processes that never outlive their parent, and free ports to give them.

On Linux the kernel kills a child whose parent died (PR_SET_PDEATHSIG), however the parent died.
Elsewhere the orderly ways out stop them.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_IS_LINUX = sys.platform == "linux"

# Runs in a fresh interpreter that then becomes the child (15 ms). Not a `preexec_fn`: that forks
# this process, and gRPC's own fork handlers, if it is loaded here, break the child.
_LAUNCHER = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent died first")
os.execvp(sys.argv[2], sys.argv[2:])
"""


class ChildError(RuntimeError):
    """A child process ended or did not become ready; the message carries the end of its log."""


class Child:
    """One running process with its log file."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log_path: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """
        Start it. Output goes to *log_path*; *environment* is laid over this process's own.

        Raises:
            ChildError: the program cannot be executed at all.
        """
        self.name = name
        self.log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    _with_launcher(command),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,  # Ctrl-C reaches the parent, which stops in order
                )
            except OSError as exc:
                raise ChildError(f"{name} cannot be started: {exc}") from exc

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, or None while it runs."""
        return self._process.poll()

    def wait_until(self, is_ready: Callable[[], bool], timeout_s: float) -> float:
        """
        Poll until *is_ready*; return the seconds it took.

        Raises:
            ChildError: it ended, or is not ready in time.
        """
        started = time.monotonic()
        while not is_ready():
            waited_s = time.monotonic() - started
            if self.exit_code is not None:
                raise ChildError(f"{self.name} ended with {self.exit_code}:\n{self.tail()}")
            if waited_s > timeout_s:
                raise ChildError(f"{self.name} is not ready after {waited_s:.0f} s:\n{self.tail()}")
            time.sleep(0.02)
        return time.monotonic() - started

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of its log, indented."""
        text = self.log_path.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line[:300]}" for line in text[-lines:]) or "    (it wrote nothing)"

    def ask_to_stop(self) -> None:
        """Send SIGTERM if it runs."""
        if self.exit_code is None:
            self._process.terminate()

    def stop(self, timeout_s: float = 5) -> int:
        """Stop it with its own children: SIGTERM, then SIGKILL to the group. Idempotent."""
        self.ask_to_stop()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()


def stop_all(children: Sequence[Child], timeout_s: float = 5) -> None:
    """Stop several at once, in no order."""
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.stop(timeout_s)


def _with_launcher(command: Sequence[str]) -> list[str]:
    if not _IS_LINUX:
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command]


class PortPool:
    """
    Free ports, held until the pool is closed so that nobody else is given the same.

    A held socket is bound and does not listen; those who then listen set SO_REUSEPORT, as Envoy
    does by itself. Where the kernel has no such rule, ports are only looked up.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def take(self) -> int:
        """Return a port that is free now."""
        held = socket.socket()
        if _IS_LINUX:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        if _IS_LINUX:
            self._held.append(held)
        else:
            held.close()
        return port

    def close(self) -> None:
        """Let all ports go."""
        while self._held:
            self._held.pop().close()


def is_port_free(port: int) -> bool:
    """Tell whether somebody could listen on a port of this machine now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
