"""Opening pages as a reader does, with everything recorded that should not happen."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

WIDE, NARROW = (1280, 800), (390, 844)
Scheme = Literal["light", "dark"]
# Pictures of a run, for a person to look at.
PICTURES = Path(__file__).parents[2] / ".pages"
# What says that a page has drawn what it was asked for.
DRAWN = ".wf-row, .requests tbody tr, .state-nothing, .state-failed, .is-drawn"
# Long, for machines that do other things as well; what is there is seen at once.
_LIMIT_MS = 60_000
expect.set_options(timeout=_LIMIT_MS)

_STICKING_OUT = """
() => [...document.querySelectorAll('body *')].filter(node => {
  const box = node.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !node.closest('.nav, .offscreen, .skip, pre');
}).filter(node => {
  for (let up = node.parentElement; up; up = up.parentElement) {
    if (/auto|scroll|hidden|clip/.test(getComputedStyle(up).overflowX)
      && up.getBoundingClientRect().right <= innerWidth + 1) return false;
  }
  return true;
}).slice(0, 5).map(node => node.outerHTML.slice(0, 120))
"""
# Alike but for rounding, where something was drawn half through.
_COUNT_COLOURS = """
(canvas, variables) => {
  const read = (pen, { width, height }) => pen.getImageData(0, 0, width, height).data;
  const drawn = read(canvas.getContext('2d'), canvas);
  return variables.map(variable => {
    const one = new OffscreenCanvas(1, 1);
    const pen = one.getContext('2d');
    pen.fillStyle = getComputedStyle(canvas).getPropertyValue(variable).trim();
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b] = read(pen, one);
    let count = 0;
    for (let at = 0; at < drawn.length; at += 4) {
      const far = [r, g, b].reduce((sum, each, i) => sum + Math.abs(drawn[at + i] - each), 0);
      if (drawn[at + 3] > 200 && far < 12) count += 1;
    }
    return count;
  });
}
"""


@dataclass
class Opener:
    """Opens pages in contexts of their own; `close` checks what they did."""

    browser: Browser
    url: str
    folder: Path
    contexts: list[BrowserContext] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def open(
        self,
        page: str,
        params: dict[str, str] | None = None,
        *,
        size: tuple[int, int] = WIDE,
        scheme: Scheme = "light",
        drawn: str = DRAWN,
    ) -> Page:
        """Open an address in a fresh context and wait until it is drawn."""
        return self.go(self.new(size=size, scheme=scheme), page, params, drawn=drawn)

    def new(
        self, *, size: tuple[int, int] = WIDE, scheme: Scheme = "light", zone: str | None = None
    ) -> Page:
        """Return an empty page of a fresh context; *zone* is the browser's time zone."""
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            timezone_id=zone,
            accept_downloads=True,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(_LIMIT_MS)
        self.contexts.append(context)
        opened = context.new_page()
        opened.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        opened.on("console", lambda message: self._hear(message.type, message.text))
        opened.on("request", lambda request: self._see(request.url))
        self.pages.append(opened)
        return opened

    def go(
        self, page: Page, name: str, params: dict[str, str] | None = None, *, drawn: str = DRAWN
    ) -> Page:
        """Go to an address and wait until it is drawn."""
        page.goto(self.address(name, params))
        page.wait_for_selector(drawn)
        return page

    def address(self, name: str, params: dict[str, str] | None = None) -> str:
        """Return the address of a page."""
        return f"{self.url}/{name}" + (f"?{urlencode(params)}" if params else "")

    def allow(self, pattern: str) -> None:
        """Expect messages of the console that match *pattern*."""
        self.allowed.append(pattern)

    def close(self) -> None:
        """
        Close everything.

        Raises:
            AssertionError: a script failed, the policy was violated, another host was asked, or
                a value of a sender was run.
        """
        ran = [page.evaluate("window.__ran") for page in self.pages if not page.is_closed()]
        for context in self.contexts:
            context.close()
        assert not any(ran), ran
        unexpected = [
            each for each in self.troubles if not any(re.search(p, each) for p in self.allowed)
        ]
        assert not unexpected, unexpected

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.troubles.append(f"{kind}: {text}")

    def _see(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.troubles.append(f"asked another host: {url}")


def rows_of(page: Page) -> list[str]:
    """Return the texts of the waterfall's rows in sight, from top to bottom."""
    texts: Any = page.eval_on_selector_all(
        ".wf-row",
        """rows => rows
            .sort((a, b) => parseFloat(a.style.top) - parseFloat(b.style.top))
            .map(row => row.querySelector('.wf-label').innerText)""",
    )
    return [str(text) for text in texts]


def take_picture(page: Page, name: str, scheme: Scheme) -> None:
    """Keep what the page looks like in *scheme*, in which it then stays."""
    PICTURES.mkdir(exist_ok=True)
    page.emulate_media(color_scheme=scheme)
    page.screenshot(path=PICTURES / f"{name}-{scheme}.png")


def check_form(page: Page, axe: str) -> None:
    """Assert that nothing of the page sticks out sideways and that axe finds nothing in it."""
    assert page.evaluate(_STICKING_OUT) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert _violations(page, axe) == []


def look_at(page: Page, name: str, axe: str) -> None:
    """Check a page that has a state of its own in four forms, and keep a picture of each."""
    for form, size in (("narrow", NARROW), ("wide", WIDE)):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        for scheme in ("dark", "light"):
            take_picture(page, f"{name}-{form}", scheme)
            check_form(page, axe)


def _violations(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)  # not as a script of the page: its policy would refuse it
    found: Any = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{each['id']}: {each['help']}: {node['html'][:160]}: {node['failureSummary'][:300]}"
        for each in found["violations"]
        for node in each["nodes"][:3]
    ]


def count_colours(canvas: Locator, *variables: str) -> list[int]:
    """Return how many pixels of *canvas* have the colour of each of *variables* of tokens.css."""
    found: list[int] = canvas.evaluate(_COUNT_COLOURS, list(variables))
    return found
