"""What the image holds: each licence is one that we may ship, and nothing is known against it."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.packaging.supply import ALLOWED, LOCK, check, find_licences, packages

_LOCK = (
    "orjson==3.9.0 \\\n    --hash=sha256:00\nclick==8.1.0 ; sys_platform == 'win32' \\\nh2==4.1.0\n"
)


@pytest.mark.parametrize("package", sorted(packages(LOCK.read_text())))
def test_package_of_the_image_has_a_licence_that_may_be_shipped(package: str) -> None:
    """A package under another licence, or under none, is decided about before it is shipped."""
    assert set(find_licences(package)) <= ALLOWED


def test_licence_that_binds_what_it_is_shipped_with_is_refused() -> None:
    """The list holds no licence of the GPL family."""
    assert not [each for each in ALLOWED if re.search("GPL|GNU|SSPL|BUSL", each)]


@contextmanager
def _advisories(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A database that gives *answer*; yields its address and what it was asked."""
    asked: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()
            thread.join()


def _lock(folder: Path) -> Path:
    path = folder / "requirements.lock"
    path.write_text(_LOCK)
    return path


def test_known_vulnerability_is_told(tmp_path: Path) -> None:
    """The database is asked of each version once, and what it knows fails the check by its id."""
    answer = {"results": [{"vulns": [{"id": "PYSEC-2024-40"}]}, {}]}
    with _advisories(json.dumps(answer).encode()) as (url, asked):
        wrong = check(_lock(tmp_path), tmp_path / "noted", url=url)
    assert wrong == ["known to be vulnerable: orjson 3.9.0: PYSEC-2024-40"]
    queries = json.loads(asked[0])["queries"]
    assert [(each["package"]["name"], each["version"]) for each in queries] == [
        ("orjson", "3.9.0"),
        ("h2", "4.1.0"),
    ]
    assert not (tmp_path / "noted").exists()


def test_good_answer_is_asked_for_once_a_day(tmp_path: Path) -> None:
    """The same versions are not asked about again, others are."""
    lock, noted = _lock(tmp_path), tmp_path / "build" / "noted"
    with _advisories(b'{"results": [{}, {}]}') as (url, asked):
        for _ in range(2):
            assert check(lock, noted, url=url) == []
        assert len(asked) == 1
        lock.write_text(_LOCK.replace("4.1.0", "4.1.1"))
        assert check(lock, noted, url=url) == []
        assert len(asked) == 2


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"results": [{}]}', b'{"results": [1, 2]}'])
def test_answer_that_is_none_counts_as_unchecked(
    tmp_path: Path, answer: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """A proxy's page in place of an answer is not taken for *nothing known*."""
    with _advisories(answer) as (url, _):
        assert check(_lock(tmp_path), tmp_path / "noted", url=url) == []
    assert "NOT CHECKED" in capsys.readouterr().out
    assert not (tmp_path / "noted").exists()


def test_database_that_is_silent_holds_nobody_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a connection is taken and nothing comes, one line says so after the limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        began = time.monotonic()
        assert check(_lock(tmp_path), tmp_path / "noted", url=url, limit_s=0.2) == []
        assert time.monotonic() - began < 5
    assert capsys.readouterr().out.count("NOT CHECKED") == 1
