"""One Chromium for each module of tests, and one service with the scene told for all of them."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.pages import tools
from tests.pages.opening import Opener
from tests.pages.scene import Scene, build_scene, now_ns, send_scene
from tests.service import Service, start_service

SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str | None:
    """Return the system's Chromium; playwright's own would have to be downloaded."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """
    A headless Chromium.

    While playwright runs, this thread has a running event loop, and nothing else in the process
    could start one: it ends with the module.
    """
    found = find_chromium()
    if found is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=SWITCHES)
        yield browser
        browser.close()
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Scene]]:
    """A service that the whole scene was sent to."""
    # a busy machine stitches few requests in its usual share of the time, and so samples
    with start_service(tmp_path_factory.mktemp("pages"), background_cpu_percent="100") as service:
        scene = build_scene(now_ns())
        send_scene(service, scene)
        yield service, scene


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    modules = tools.install()
    if modules is None:
        pytest.skip(f"axe is not run: {tools.MISSING}")
    return (modules / "axe-core" / "axe.min.js").read_text()


@pytest.fixture
def service(told: tuple[Service, Scene]) -> Service:
    return told[0]


@pytest.fixture
def scene(told: tuple[Service, Scene]) -> Scene:
    return told[1]


@pytest.fixture
def opener(browser: Browser, service: Service, tmp_path: Path) -> Iterator[Opener]:
    """Opens pages of the service, and sees to it that nothing ran or failed that should not."""
    opener = Opener(browser, service.api_url, tmp_path)
    yield opener
    opener.close()
