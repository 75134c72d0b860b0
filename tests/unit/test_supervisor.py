"""The supervisor with real child processes, small enough to die at will."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from collector.supervisor import EXIT_CONFIG

_CHILD = """
import os, pathlib, signal, sys, time
role = sys.argv[-1]
log = pathlib.Path(os.environ["HOPLINE_DATA_DIR"]) / "log"
def say(word):
    with log.open("a") as file:
        file.write(f"{role} {word}\\n")
say("start")
if role == "hopeless":
    sys.exit(78)
first = log.read_text().count(f"{role} start") == 1
if role == "fragile" and first:
    sys.exit(1)
def stop(*_):
    say("stop")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
os.write(int(os.environ["HOPLINE_READY_FD"]), b"1")
while True:
    time.sleep(0.05)
"""


def _start(tmp_path: Path, *roles: str) -> subprocess.Popen[bytes]:
    """Run a supervisor whose `python -m collector` is the little child above."""
    package = tmp_path / "path" / "collector"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(textwrap.dedent(_CHILD))
    source = Path(__file__).parents[2] / "collector" / "supervisor.py"
    (package / "supervisor.py").write_text(source.read_text())
    program = (
        "import pathlib, sys; from collector.supervisor import Supervisor\n"
        f"data = pathlib.Path({str(tmp_path)!r})\n"
        f"sys.exit(Supervisor(data, {roles!r}, (data / 'announced').touch).run())"
    )
    environment = dict(os.environ, PYTHONPATH=str(package.parent))
    return subprocess.Popen([sys.executable, "-c", program], env=environment, cwd=package.parent)


def _wait_for(path: Path, text: str = "") -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{text!r} never came to {path.name}"
        time.sleep(0.02)


def test_stops_the_first_role_before_the_second(tmp_path: Path) -> None:
    """On SIGTERM the ingest side drains before the store side is told."""
    with _start(tmp_path, "one", "two") as supervisor:
        _wait_for(tmp_path / "announced")
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(timeout=20) == 0
    stops = [line for line in (tmp_path / "log").read_text().splitlines() if "stop" in line]
    assert stops == ["one stop", "two stop"]


def test_starts_a_dead_child_again(tmp_path: Path) -> None:
    """A child that dies is started again, and readiness waits for it."""
    with _start(tmp_path, "fragile", "two") as supervisor:
        _wait_for(tmp_path / "announced")
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(timeout=20) == 0
    assert (tmp_path / "log").read_text().count("fragile start") == 2


def test_gives_up_on_a_configuration_that_can_not_work(tmp_path: Path) -> None:
    """A child that ends with the configuration status ends the whole service with it."""
    with _start(tmp_path, "one", "hopeless") as supervisor:
        assert supervisor.wait(timeout=20) == EXIT_CONFIG
    assert (tmp_path / "log").read_text().count("hopeless start") == 1


def test_stops_processes_of_one_kind_together(tmp_path: Path) -> None:
    """Those that differ by a number are told at once, and the next kind when all have drained."""
    with _start(tmp_path, "one", "one-1", "two") as supervisor:
        _wait_for(tmp_path / "announced")
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(timeout=20) == 0
    stops = [line for line in (tmp_path / "log").read_text().splitlines() if "stop" in line]
    assert sorted(stops[:2]) == ["one stop", "one-1 stop"]
    assert stops[2:] == ["two stop"]
