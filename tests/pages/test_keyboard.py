"""The keyboard alone suffices: each page is walked, and what opens gives the focus back."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.pages.opening import DRAWN, Opener
from tests.pages.scene import Scene
from tests.pages.test_every_page import drawn_by_page, page_address

WALKED = (
    "home",
    "requests",
    "request",
    "request, span",
    "request, gateway",
    "request, services",
    "slow",
    "map",
    "changes",
    "compare",
    "doctor",
    "outcomes",
    "sources",
    "docs",
)
# Long lists have the same stops over and over.
_MOST_STOPS = 45
# Whatever the pointer can use; parts of one widget are reached by its own keys.
_COUNT = """
() => {
  const usable = 'a[href], button, input, select, textarea, summary, [tabindex]';
  const widgets = '[role=treegrid] *, [role=tablist] *, [role=listbox] *, .skip';
  const seen = node => node.checkVisibility({ visibilityProperty: true })
      && !node.closest('[inert], [aria-hidden=true]');
  const all = [...document.querySelectorAll(usable)].filter(node => seen(node) && !node.disabled);
  return {
    unreachable: all.filter(node => node.tabIndex < 0 && node.id !== 'content'
        && !node.matches(widgets)).map(node => node.outerHTML.slice(0, 120)),
    jumping: all.filter(node => node.tabIndex > 0).map(node => node.outerHTML.slice(0, 120)),
    stops: all.filter(node => node.tabIndex >= 0).length,
  };
}
"""
_LOOK = """
() => {
  const node = document.activeElement;
  if (!node || node === document.body) return null;
  const box = node.getBoundingClientRect();
  const style = getComputedStyle(node);
  const edge = node.matches('.menu-item') ? 2 : parseFloat(style.outlineWidth);
  window.__stops ||= new Map();
  const before = window.__last;
  window.__last = node;
  if (!window.__stops.has(node)) window.__stops.set(node, window.__stops.size);
  return {
    number: window.__stops.get(node),
    isMarked: style.outlineStyle !== 'none' && edge >= 1,
    isInSight: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth
        && box.width > 0 && box.height > 0,
    isForward: !before || !!(before.compareDocumentPosition(node) & 4),
    html: node.outerHTML.slice(0, 120),
  };
}
"""


@pytest.fixture(scope="module")
def walker(browser: Browser, told: tuple[Any, Scene], tmp_path_factory: Any) -> Iterator[Opener]:
    """Opens pages for walks; checks once that nothing failed in any."""
    opener = Opener(browser, told[0].api_url, tmp_path_factory.mktemp("walks"))
    opener.allow("404|429|50[34]")
    yield opener
    opener.close()


@pytest.fixture(scope="module")
def tab(walker: Opener) -> Page:
    """One tab for all walks."""
    return walker.new()


@pytest.mark.parametrize("name", WALKED)
def test_tab_walks_through_the_whole_page(
    walker: Opener, tab: Page, name: str, scene: Scene
) -> None:
    """Each stop is marked, in sight and further on; nothing is left out and nothing is a trap."""
    # What a busy machine answers too late is said, and has its keys as well.
    drawn = f"{drawn_by_page(name)}, .state-failed"
    walker.go(tab, *page_address(name, scene), drawn=drawn)
    if name == "request, span":
        tab.click(".slow button:has-text('Show')")
        tab.wait_for_selector(".panel .values")
        tab.wait_for_url(re.compile("span="))
        tab.reload()  # a walk begins where the last click was
        tab.wait_for_selector(".panel .values")
    counted = tab.evaluate(_COUNT)
    assert counted["unreachable"] == []
    assert counted["jumping"] == []
    stops: list[Any] = []
    while len(stops) < min(_MOST_STOPS, counted["stops"] + 5):
        tab.keyboard.press("Tab")
        stop = tab.evaluate(_LOOK)
        if stop is None or stop["number"] == 0 < len(stops):
            break  # behind the last one is the browser itself, and then the first
        stops.append(stop)
        assert stop["isMarked"], stop
        assert stop["isInSight"], stop
        assert stop["isForward"], stop
        assert stop["number"] == len(stops) - 1, stop
    assert len(stops) >= min(_MOST_STOPS, counted["stops"] - 3)
    tab.keyboard.press("Shift+Tab")
    # the browser gives the focus back in its own time
    tab.wait_for_function("document.activeElement !== document.body")
    assert tab.evaluate(_LOOK)["number"] in (len(stops) - 1, len(stops) - 2)


def test_skip_link_leads_past_the_navigation(opener: Opener) -> None:
    """The first stop jumps to the content, and the next one lies in it."""
    page = opener.open("requests")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_whatever_opens_gives_the_focus_back(opener: Opener, scene: Scene) -> None:
    """Keys, export, time, chips and panel: Escape or a choice leads back to where one was."""
    page = opener.open("request", {"id": scene.slowest.id})
    rows = page.locator(".wf-scroll")
    rows.focus()
    for leave in ("Escape", "Enter"):
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        expect(page.get_by_role("dialog").get_by_role("button")).to_be_focused()
        page.keyboard.press(leave)
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(rows).to_be_focused()
    export = page.get_by_role("button", name="Export")
    export.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(export).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    expect(page.get_by_role("menu")).to_have_count(0)
    page.get_by_role("button", name="Close the details").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".panel")).to_have_count(0)
    expect(rows).to_be_focused()

    opener.go(page, "requests", {"operation": "place-order"})
    time = page.get_by_role("button", name="From – to")
    time.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("From", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(time).to_be_focused()
    page.get_by_role("button", name="Drop the filter operation place-order").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("combobox")).to_be_focused()


def test_a_link_leads_to_the_beginning_of_the_next_page(opener: Opener) -> None:
    """From the list to the slow hop by keys alone: no step is lost in the page that is gone."""
    page = opener.open("requests", {"operation": "place-order"})
    page.wait_for_selector("a.row-link")
    page.locator("a.row-link").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".wf-row")
    expect(page.locator("#content")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Requests", exact=True).last).to_be_focused()
    show = page.locator(".slow").get_by_role("button", name=re.compile("Show"))
    show.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".panel .span-name")).to_be_visible()
    page.go_back()
    page.wait_for_selector(DRAWN)
