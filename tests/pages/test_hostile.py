"""Names and values that an enemy wrote are shown as they are, and do nothing."""

from playwright.sync_api import expect

from tests.pages.opening import Opener
from tests.pages.scene import BIDI, MARKUP, SCRIPT, Scene


def test_hostile_request_is_shown_and_not_run(opener: Opener, scene: Scene) -> None:
    """Markup is text, directions and controls have names; the opener checks that nothing ran."""
    page = opener.open("request", {"id": scene.hostile.id})
    expect(page.locator(".wf-row").last).to_contain_text(MARKUP)
    page.locator(".wf-row").last.click()
    panel = page.locator(".panel")
    expect(panel.locator(".span-name")).to_have_text(SCRIPT)
    expect(panel).to_contain_text("__proto__")
    expect(panel).to_contain_text("javascript:window.__ran='link'")
    for name in ("U+202E", "U+202C", "NUL", "ESC", "U+200B"):
        expect(panel.locator(f".unseen:has-text('{name}')").first).to_be_visible()
    shown = page.evaluate("document.body.innerText")
    assert not set(shown) & set("\u202e\u202c\x00\x1b\x07\u200b")
    for tab in ("Request", "Gateway record"):
        page.get_by_role("tab", name=tab).click()
    assert page.locator("[onerror], script:not([src]), a[href^='javascript:']").count() == 0


def test_hostile_list_is_shown_and_not_run(opener: Opener) -> None:
    """The same in the list, its suggestions, its chips and the tab's title."""
    page = opener.open("requests", {"operation": MARKUP})
    expect(page.locator(".requests tbody tr")).to_contain_text(SCRIPT)
    expect(page.locator(".chip-value")).to_have_text(MARKUP)
    page.get_by_role("combobox").fill("gnp")
    expect(page.get_by_role("option").first.locator(".unseen").first).to_have_text("U+202E")
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_count(2)
    title = page.title()
    assert "\u202e" not in title
    assert "⟨U+202E⟩" in title


def test_hostile_address_is_harmless(opener: Opener) -> None:
    """What is wrong in an address is ignored or said."""
    opener.allow("400|404")
    for params in (
        {"id": "x" * 40 + MARKUP, "zoom": "9~1", "closed": "..", "panel": MARKUP, "fold": BIDI},
        {"id": "", "span": SCRIPT},
    ):
        page = opener.open("request", params)
        expect(page.locator(".state-failed")).to_be_visible()
    page = opener.open("requests", {"limit": "-5", "start": "yesterday", "order": SCRIPT})
    expect(page.locator(".state-failed")).to_be_visible()
    page = opener.open("requests", {"tz": SCRIPT, "unknown": MARKUP})
    expect(page.locator(".requests")).to_be_visible()


def test_hostile_picture_is_well_formed(opener: Opener, scene: Scene) -> None:
    """The exported picture is XML without anything that could run."""
    page = opener.open("request", {"id": scene.hostile.id})
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Picture, SVG").click()
    text = download.value.path().read_text()
    page.goto("about:blank")
    parsed = page.evaluate(
        """text => { const xml = new DOMParser().parseFromString(text, 'image/svg+xml');
        return [xml.querySelectorAll('parsererror, script, image, foreignObject').length,
                xml.documentElement.textContent]; }""",
        text,
    )
    assert parsed[0] == 0
    assert SCRIPT in parsed[1]
