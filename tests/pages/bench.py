"""
How fast the pages are: `python -m tests.pages.bench`, on a machine that does nothing else.

Times are Chromium's own: paints by its performance timeline, frames by its trace while a real wheel
scrolls and zooms a timeline of 10,000 spans. Figures are the median of five loads.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from collector.api.page.routes import PAGES
from tests.pages.conftest import SWITCHES, find_chromium
from tests.pages.scene import build_scene, now_ns, send_scene
from tests.pages.tools import all_scripts, scripts_of
from tests.service import start_service

_LOADS = 5
_NOTE_ROWS = """
new MutationObserver((_, observer) => {
  if (document.querySelector('%s')) { window.__rows = performance.now(); observer.disconnect(); }
}).observe(document, { childList: true, subtree: true });
"""


def main() -> int:
    """Measure, print a table, and return 1 if a target is missed."""
    with tempfile.TemporaryDirectory() as folder, start_service(Path(folder)) as service:
        scene = build_scene(now_ns())
        send_scene(service, scene)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=SWITCHES)
            url = service.api_url
            wide = f"{url}/request?id={scene.wide.id}"
            rows = [
                *_loads(browser, "first page", f"{url}/", ".short-row"),
                *_loads(browser, "list of requests", f"{url}/requests", ".requests tbody tr"),
                *_loads(browser, "one request", f"{url}/request?id={scene.slowest.id}", ".wf-row"),
                _interactive(browser, wide),
                *_frames(browser, wide),
                *_scripts(),
            ]
            browser.close()
    is_good = True
    print("| what | measured | target | reached |\n|---|---|---|---|")
    for what, value, target, unit in rows:
        is_good &= value <= target
        reached = "yes" if value <= target else "NO"
        print(f"| {what} | {value:.0f} {unit} | ≤ {target} {unit} | {reached} |")
    return 0 if is_good else 1


_Row = tuple[str, float, float, str]


def _loads(browser: Browser, what: str, url: str, rows: str) -> list[_Row]:
    paints, shown = [], []
    for _ in range(_LOADS):
        page = _open(browser, url, rows)
        paints.append(_first_paint(page))
        shown.append(float(page.evaluate("window.__rows")))
        page.context.close()
    return [
        (f"{what}: first paint", statistics.median(paints), 500, "ms"),
        (f"{what}: rows", statistics.median(shown), 1_000, "ms"),
    ]


def _open(browser: Browser, url: str, rows: str) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.add_init_script(_NOTE_ROWS % rows)
    page.goto(url)
    page.wait_for_selector(rows, timeout=60_000)
    return page


def _first_paint(page: Page) -> float:
    found: Any = page.evaluate(
        "performance.getEntriesByName('first-contentful-paint').map(each => each.startTime)"
    )
    return float(found[0]) if found else 0.0


def _interactive(browser: Browser, url: str) -> _Row:
    """Measure until a click on a row of 10,000 has selected it."""
    times = []
    for _ in range(_LOADS):
        page = _open(browser, url, ".wf-row")
        page.click(".wf-row >> nth=5")
        page.wait_for_selector(".wf-row.is-selected")
        times.append(float(page.evaluate("performance.now()")))
        page.context.close()
    return ("10,000 spans: a click is answered", statistics.median(times), 1_500, "ms")


def _frames(browser: Browser, url: str) -> list[_Row]:
    page = _open(browser, url, ".wf-row")
    page.wait_for_timeout(1_000)
    box = page.locator(".wf-scroll").bounding_box()
    assert box

    def scroll() -> None:
        page.mouse.move(box["x"] + 100, box["y"] + 200)
        for _ in range(80):
            page.mouse.wheel(0, 400)
            page.wait_for_timeout(16)

    def zoom() -> None:
        page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 200)
        page.keyboard.down("Control")
        for step in range(60):
            page.mouse.wheel(0, -40 if step < 30 else 40)
            page.wait_for_timeout(16)
        page.keyboard.up("Control")

    found: list[_Row] = []
    for what, act in (("scrolling", scroll), ("zooming", zoom)):
        longest_ms, busy_ms = _longest_task_ms(browser, page, act)
        name = f"10,000 spans: longest frame, {what}"
        found += [(name, longest_ms, 50, "ms"), (f"{name}: its own work", busy_ms, 50, "ms")]
    page.context.close()
    return found


def _longest_task_ms(browser: Browser, page: Page, act: Callable[[], None]) -> tuple[float, float]:
    """
    Return the longest that the page's main thread was kept from drawing, by Chromium's trace.

    Second, the longest that it was busy itself: what is more went to other work of the machine.
    """
    browser.start_tracing(
        page=page, categories=["toplevel", "devtools.timeline", "blink.user_timing"]
    )
    act()
    page.wait_for_timeout(300)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    names = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in events
        if event.get("name") == "thread_name"
    }
    tasks = [
        (event["dur"] / 1_000, event.get("tdur", event["dur"]) / 1_000)
        for event in events
        if event.get("ph") == "X"
        and "dur" in event
        and names.get((event["pid"], event["tid"])) == "CrRendererMain"
        and event["name"] in ("RunTask", "ThreadControllerImpl::RunTask")
    ]
    walls, own = zip(*tasks, strict=True) if tasks else ((0.0,), (0.0,))
    return max(walls), max(own)


def _scripts() -> list[_Row]:
    most = max(sum(scripts_of(page).values()) for page in PAGES)
    return [
        ("scripts that a page waits for, at most, gzip", most / 1024, 120, "KB"),
        ("scripts of all pages together, gzip", sum(all_scripts().values()) / 1024, 120, "KB"),
    ]


if __name__ == "__main__":
    sys.exit(main())
