"""The page that holds one request against another, or against the typical one."""

import re

from playwright.sync_api import expect

from tests.pages.opening import Opener
from tests.pages.scene import Scene


def test_slow_request_against_the_typical_one(opener: Opener, scene: Scene) -> None:
    """From a request one click leads to what it did that others like it do not."""
    page = opener.open("request", {"id": scene.slowest.id})
    page.get_by_role("link", name="Compare", exact=True).last.click()
    page.wait_for_selector(".pairs")
    expect(page.locator(".side-b h2").first).to_contain_text("good requests like it")
    expect(page.locator(".told")).to_contain_text("A took 2.1")
    only = page.locator(".pairs tr.is-only", has_text="SELECT reservations")
    expect(only).to_contain_text("only in A")
    expect(only.locator(".is-worse")).to_have_text("+1.85 s")
    page.get_by_role("button", name="Copy as Markdown").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "| 1.85 s |" in page.evaluate("navigator.clipboard.readText()")


def test_two_requests_can_be_swapped(opener: Opener, scene: Scene) -> None:
    """Both ids stand in the address; swapped, every difference turns round."""
    page = opener.open("compare", drawn=".state-nothing")
    page.fill("[aria-label='Request A']", scene.slowest.id)
    page.fill("[aria-label='Request B']", scene.failed.id)
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_selector(".pairs")
    expect(page.locator(".told")).to_contain_text("longer")
    page.get_by_role("button", name="Swap the two").click()
    expect(page.locator(".told")).to_contain_text(re.compile(r"A took 2\.1\d s less"))
    assert f"a={scene.failed.id}" in page.url
    page.reload()
    expect(page.locator(".told")).to_contain_text(re.compile(r"A took 2\.1\d s less"))
    page.go_back()
    expect(page.locator(".told")).to_contain_text("longer")
