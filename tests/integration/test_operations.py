"""`hopline verify` says what is so and leaves everything as it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from collector import operations
from collector.clock import SystemClock
from collector.config import load_settings
from collector.journal.dead_letters import move_to_dead_letter
from collector.journal.segments import add_checksum
from collector.model import Stream
from collector.store import open_store
from collector.telemetry import Metrics
from tests.stored import store_settings


def run(folder: Path, command: str = "verify") -> tuple[int, str]:
    """Run a command on *folder*, in a process of its own."""
    environment = {**os.environ, "HOPLINE_DATA_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "collector", command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Nothing to verify or replay is no success, and nothing is created by looking."""
    for command in ("verify", "replay"):
        status, said = run(tmp_path / "missing", command)
        assert status == 1
        assert "there is no folder" in said
    assert list(tmp_path.iterdir()) == []


def test_what_takes_long_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Segments that are checked and letters that are put back are counted beside the answer."""
    monkeypatch.setattr(operations, "_SAY_EVERY_S", 0.0)
    settings = load_settings(data_dir=tmp_path)
    journal = settings.journal().directory
    for number in range(2):
        message = add_checksum(b"message %d" % number)
        move_to_dead_letter(journal, Stream.TRACE, message, "no such column")
    assert operations.replay(settings) == 0
    said = capsys.readouterr()
    assert said.out == "2 dead letters are back in the journal\n"
    assert said.err.splitlines() == [f"dead letters put back: {n} of 2" for n in (1, 2)]
    assert operations.verify(settings) == 0
    said = capsys.readouterr()
    assert "trace: 2 segments to load, 2 messages" in said.out
    assert said.err.splitlines() == [f"trace: segments checked: {n} of 2" for n in (1, 2)]


def test_a_store_in_use_is_left_to_its_service(tmp_path: Path) -> None:
    """Beside a running engine the journal is checked, and the rest is said in plain words."""
    (tmp_path / "journal").mkdir()
    settings = store_settings(tmp_path)
    store = open_store(settings, SystemClock(), Metrics())
    try:
        store.migrate()
        status, said = run(settings.directory.parent)
    finally:
        store.close()
    assert status == 0, said
    assert "no dead letters" in said
    assert "in use by a service that is running" in said
    assert "lock" not in said.lower()
