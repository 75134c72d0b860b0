"""One Chromium and one service with the scene told, for all tests of the pages."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    found = find_chromium()
    if found is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Scene]]:
    """A service that the whole scene was sent to."""
    with start_service(tmp_path_factory.mktemp("pages")) as service:
        scene = build_scene(now_ns())
        send_scene(service, scene)
        yield service, scene


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
