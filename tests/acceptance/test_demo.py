"""`make demo` keeps its promise: it starts everything, joins everything, shows it and stops."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# a demo that another one's start keeps waiting has them all the same
_SECONDS = 60


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One run of the demo, with log rows that are one or two seconds late."""
    command, environment = _command(tmp_path_factory.mktemp("demo"))
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS * 3,
        check=False,
    )


def _command(folder: Path) -> tuple[list[str], dict[str, str]]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HOPLINE_")},
        "DEMO_SECONDS": str(_SECONDS),
        "DEMO_DIR": str(folder),
        "DEMO_LOG_DELAY_S": "1 2",
    }
    return [sys.executable, "-m", "collector.demo"], environment


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


def test_demos_that_start_at_once_do_not_share_ports(tmp_path: Path) -> None:
    """Two users of one machine each get a Hopline of their own."""
    demos = []
    for name in ("one", "other"):
        command, environment = _command(tmp_path / name)
        demos.append(
            subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        )
    told = [demo.communicate(timeout=_SECONDS * 4)[0] for demo in demos]
    assert [demo.returncode for demo in demos] == [0, 0], "\n\n".join(told)
    pages = [re.search(r"http://127\.0\.0\.1:(\d+)/\n", each) for each in told]
    assert None not in pages
    assert len({page[1] for page in pages if page}) == 2
