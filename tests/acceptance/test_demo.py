"""`make demo` keeps its promise: it starts everything, joins everything, shows it and stops."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_SECONDS = 30


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One run of the demo, with log rows that are one or two seconds late."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HOPLINE_")},
        "DEMO_SECONDS": str(_SECONDS),
        "DEMO_DIR": str(tmp_path_factory.mktemp("demo")),
        "DEMO_LOG_DELAY_S": "1 2",
    }
    return subprocess.run(
        [sys.executable, "-m", "collector.demo"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS * 3,
        check=False,
    )


def test_the_demo_succeeds(demo: subprocess.CompletedProcess[str]) -> None:
    """All checks of the demo hold, and it says so by its exit status."""
    assert demo.returncode == 0, demo.stdout + demo.stderr


def test_the_demo_joins_every_record_that_reached_the_mesh(
    demo: subprocess.CompletedProcess[str],
) -> None:
    """The account names as many joined records as there were."""
    found = re.search(r"(\d+) of (\d+) gateway records that reached the mesh", demo.stdout)
    assert found, demo.stdout
    assert found[1] == found[2] != "0"


def test_the_demo_shows_the_slowest_request(demo: subprocess.CompletedProcess[str]) -> None:
    """The waterfall names the gateway's operation, the services and the query that was slow."""
    picture = demo.stdout.partition("The slowest request (a slow query two hops in)")[2]
    for name in ("get-report", "storefront", "orders", "inventory", "SELECT"):
        assert name in picture, demo.stdout


def test_the_demo_says_what_to_try(demo: subprocess.CompletedProcess[str]) -> None:
    """Addresses of the page, the search and a timeline are printed."""
    for path in (r"/\n", r"/api/v1/requests\?", r"/api/v1/requests/[0-9a-f-]{36}\n"):
        assert re.search(r"http://127\.0\.0\.1:\d+" + path, demo.stdout), path
