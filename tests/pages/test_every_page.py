"""What holds for every page: accessible, nothing sticks out, and what it looks like."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.pages import tools
from tests.pages.opening import (
    DRAWN,
    NARROW,
    PICTURES,
    WIDE,
    Opener,
    Scheme,
    check_form,
    take_picture,
)
from tests.pages.scene import Scene
from tests.service import Service

# Each width with the scheme that axe looks at last; a picture is taken in both.
FORMS: dict[str, tuple[tuple[int, int], tuple[Scheme, Scheme]]] = {
    "wide": (WIDE, ("dark", "light")),
    "narrow": (NARROW, ("light", "dark")),
}
PAGES = (
    "home",
    "doctor",
    "outcomes",
    "sources",
    "compare",
    "slow",
    "map",
    "changes",
    "requests",
    "requests, none found",
    "requests, week",
    "request",
    "request, span",
    "request, gateway",
    "request, hops",
    "request, services",
    "request, refused",
    "request, hostile",
    "request, unknown",
    "docs",
)
# The layout may move by so much while a page fills, as Chromium counts it; 0.1 is called good.
_MOST_SHIFT = 0.1
_COUNT_SHIFT = """
window.__shift = 0;
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.__shift += entry.value;
}).observe({ type: 'layout-shift', buffered: true });
"""
_SCRIPTS = """performance.getEntriesByType('resource').map(entry => entry.name)
    .filter(name => /\\.m?js$/.test(name))"""
_DRAWN = {
    "docs": "#docs h2",
    "home": ".apis + .columns .short-row",
    "doctor": ".finding-card",
    "sources": ".card:nth-of-type(2)",
    "compare": ".pairs",
    "slow": ".sets",
    "map": ".map-node, .state-nothing",
    "changes": ".change, .state-nothing",
}


def page_address(name: str, scene: Scene) -> tuple[str, dict[str, str]]:
    """Return the page and the parameters that *name* stands for."""
    kind, _, detail = name.partition(", ")
    if kind in ("home", "doctor", "outcomes", "sources", "map", "changes"):
        return kind if kind != "home" else "", {}
    if kind == "requests":
        return "requests", {"none found": {"api": "nobody"}, "week": {"start": "-7d"}}.get(
            detail, {}
        )
    if kind == "compare":
        return "compare", {"a": scene.slowest.id}
    if kind == "slow":
        return "slow", {"slower_than_ms": "300"}
    if kind == "docs":
        return "docs", {}
    requests = {"refused": scene.refused, "hostile": scene.hostile}
    id_ = "e" * 32 if detail == "unknown" else requests.get(detail, scene.slowest).id
    shown = {
        "hops": {"fold": "hops"},
        "services": {"fold": "services"},
        "gateway": {"panel": "gateway"},
        "hostile": {"panel": "gateway"},
    }
    return "request", {"id": id_, **shown.get(detail, {})}


def drawn_by_page(name: str) -> str:
    """Return the selector of what the page of *name* shows when it is drawn."""
    return _DRAWN.get(name, DRAWN)


@pytest.fixture(scope="module")
def form(
    request: pytest.FixtureRequest, browser: Browser, told: tuple[Any, Scene]
) -> Iterator[tuple[str, Opener, Page]]:
    """One tab in each width, that goes from page to page as a reader does."""
    size, _ = FORMS[request.param]
    opener = Opener(browser, told[0].api_url, PICTURES)
    opener.allow("404|429|50[34]")  # a busy machine answers late; the page asks again
    page = opener.new(size=size)
    page.add_init_script(_COUNT_SHIFT)
    yield request.param, opener, page
    opener.close()


@pytest.mark.parametrize(
    ("form", "name"),
    [(form, name) for form in FORMS for name in PAGES],
    indirect=["form"],
)
def test_page_is_accessible_and_in_its_frame(
    form: tuple[str, Opener, Page], name: str, axe: str, scene: Scene
) -> None:
    """axe finds nothing, nothing sticks out sideways, nothing jumps; the picture is kept."""
    which, opener, page = form
    opener.go(page, *page_address(name, scene), drawn=drawn_by_page(name))
    if name == "request, span":
        page.click(".slow button:has-text('Show')")
        page.wait_for_selector(".panel .values")
    for scheme in FORMS[which][1]:
        take_picture(page, f"{name.replace(', ', '-').replace(' ', '-')}-{which}", scheme)
    loaded = {urlsplit(url).path.removeprefix("/page/") for url in page.evaluate(_SCRIPTS)}
    path = urlsplit(page.url).path
    needed = {"docs.js"} if path == "/docs" else {*tools.scripts_of(path)}
    assert needed <= loaded <= needed | {"parts/chart.js", "parts/heat.js"}, loaded
    assert sum(tools.all_scripts()[name] for name in loaded) <= 72 * 1024, loaded
    assert page.evaluate("window.__shift") <= _MOST_SHIFT
    check_form(page, axe)


# What each page's Markdown has, besides the way back.
_PASSED_ON = {
    "home": "| azure-apim | shop-api | place-order |",
    "requests": "| POST /export-orders |",
    "request": "postgresql/shop",
    "slow": "# Why are they slow?",
    "map": "| storefront |",
    "changes": "shop-api: revision 3",
    "compare": "postgresql/shop INSERT charge |",
    "doctor": "requests. ",
    "outcomes": "| shop-api | ok |",
    "sources": "| gateway-logs |",
}


def test_every_page_can_be_passed_on(opener: Opener, scene: Scene, service: Service) -> None:
    """Each has a title, a link that is enough to come back, and Markdown with that link."""
    opener.allow("404|429|50[34]")
    # requests are stitched in the background, and only then on the map
    service.wait_for("/api/v1/edges", lambda _, body: bool(body.get("nodes")), limit_s=240)
    page, titles = opener.new(), []
    for name, told in _PASSED_ON.items():
        opener.go(page, *page_address(name, scene), drawn=drawn_by_page(name))
        titles.append(page.title())
        assert page.title().endswith("· Hopline")
        for label in ("Copy link", "Copy as Markdown"):
            page.evaluate("navigator.clipboard.writeText('')")
            page.get_by_role("button", name=label).click()
            copied = ""
            while not copied:  # the Markdown of a request is asked for; the test has its limit
                page.wait_for_timeout(50)
                copied = str(page.evaluate("navigator.clipboard.readText()"))
            assert page.url in copied, (name, label)
            if label == "Copy as Markdown":
                assert told in copied.removesuffix(f"From {page.url}\n"), (name, copied)
            else:
                assert copied == page.url
        page.reload()
        page.wait_for_selector(drawn_by_page(name))
        assert page.title() == titles[-1]
    assert len(set(titles)) == len(_PASSED_ON)
    for name, title in list(zip(_PASSED_ON, titles, strict=True))[-2:-5:-1]:
        page.go_back()
        page.wait_for_selector(drawn_by_page(name))
        assert page.title() == title


def test_first_paint_needs_no_data(opener: Opener) -> None:
    """What every page shares is painted before any answer is there."""
    page = opener.new()
    page.route("**/api/**", lambda route: None)
    page.goto(opener.address("requests"))
    page.wait_for_selector(".state-loading")
    paints: Any = page.evaluate("performance.getEntriesByType('paint').map(entry => entry.name)")
    assert "first-contentful-paint" in paints
    assert page.locator(".bar").is_visible()
    page.unroute_all(behavior="ignoreErrors")


def test_scripts_are_small() -> None:
    """Those of all pages together are at most 120 KB, zipped."""
    assert sum(tools.all_scripts().values()) <= 120 * 1024
