"""The page that finds requests."""

import random
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect

from tests.pages.opening import Opener
from tests.pages.scene import Scene, Told, gateway_row, now_ns, send_records
from tests.service import Service


def test_filters_suggest_values_that_are_there(opener: Opener) -> None:
    """Typing a part of a value offers it under its name, with how many rows have it."""
    page = opener.open("requests")
    field = page.get_by_role("combobox")
    field.fill("list-it")
    option = page.get_by_role("option").first
    expect(option).to_contain_text("operation")
    expect(option).to_contain_text("list-items")
    page.keyboard.press("Enter")
    expect(page.locator(".chip-value")).to_have_text("list-items")
    expect(page.locator(".requests tbody tr").first).to_contain_text("list-items")
    assert "operation=list-items" in page.url
    page.get_by_role("button", name=re.compile("^Drop the filter")).click()
    expect(page.locator(".chip")).to_have_count(0)


def test_a_status_is_a_code_or_a_class(opener: Opener, scene: Scene) -> None:
    """`503` and `5xx` are both understood, and one takes the other's place."""
    page = opener.open("requests")
    field = page.get_by_role("combobox")
    for text, wanted in (("5xx", "status_class=5xx"), ("503", "status=503")):
        field.fill(text)
        page.keyboard.press("Enter")
        expect(page.locator(".chip-value")).to_have_text(text)
        expect(page.locator(".requests tbody tr")).to_have_count(1)
        assert wanted in page.url
    expect(page.locator("a.row-link")).to_have_attribute("href", re.compile(scene.failed.id))
    field.fill("> 500ms")
    page.keyboard.press("Enter")
    expect(page.locator(".state-nothing")).to_contain_text("none that fits the filters")
    page.get_by_role("button", name="Drop the filters").click()
    expect(page.locator(".requests tbody tr").nth(9)).to_be_visible()


def test_an_id_in_any_field_opens_the_request(opener: Opener, scene: Scene) -> None:
    """A pasted id is not searched for as text: it is shown."""
    page = opener.open("requests")
    page.get_by_role("combobox").fill(scene.failed.trace_id)
    page.keyboard.press("Enter")
    page.wait_for_selector(".wf-row")
    page.keyboard.press("Escape")
    page.fill("#lookup", f"00-{scene.slowest.trace_id}-00f067aa0ba902b7-01")
    page.press("#lookup", "Enter")
    expect(page.locator(".total")).to_have_text("2.20 s")


def test_filters_range_and_order_survive_everything(opener: Opener) -> None:
    """The address holds the search: reload, back and forward show the same rows."""
    page = opener.open("requests", {"operation": "place-order"})
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("button", name="6 h").click()
    page.wait_for_url(re.compile("start=-6h"))
    expect(page.locator(".list[aria-busy=false]")).to_be_visible()
    expect(page.locator("[aria-sort=descending]")).to_contain_text("Start")
    rows = page.locator(".requests tbody tr").all_inner_texts()
    page.reload()
    page.wait_for_selector(".requests")
    assert page.locator(".requests tbody tr").all_inner_texts() == rows
    page.go_back()
    expect(page.get_by_role("button", name="1 h", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    page.go_forward()
    expect(page.get_by_role("button", name="6 h")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Earlier").click()
    page.wait_for_url(re.compile("end="))


def test_more_rows_come_on_demand(opener: Opener) -> None:
    """The list says how many are shown and whether there are more."""
    page = opener.open("requests")
    expect(page.locator(".list-end")).to_contain_text("50 requests shown, there are more")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".list-end")).to_contain_text("100 requests shown")
    page.reload()
    expect(page.locator(".list-end")).to_contain_text("100 requests shown")


def test_an_error_clears_the_rows(opener: Opener) -> None:
    """After a question that cannot be answered no old rows are left beside the message."""
    opener.allow("400")
    page = opener.open("requests")
    page.evaluate("history.replaceState(null, '', 'requests?min_duration_ms=soon')")
    page.reload()
    expect(page.locator(".state-failed")).to_contain_text("min_duration_ms")
    expect(page.locator(".requests")).to_have_count(0)


def test_rows_copy_as_markdown(opener: Opener) -> None:
    """The list is a table in the clipboard, with a way back to it."""
    page = opener.open("requests", {"status": "503"})
    page.get_by_role("button", name="Copy as Markdown").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = str(page.evaluate("navigator.clipboard.readText()"))
    assert "| 503 | POST /shop/orders |" in copied
    assert page.url in copied


def test_live_rows_come_by_themselves_and_hold_still_while_read(
    opener: Opener, service: Service
) -> None:
    """New requests appear on top; once one has scrolled they wait until they are asked for."""
    page = opener.open("requests", {"live": "1"})
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "true")
    first = _send_hello(service, 1)
    expect(page.locator("a.row-link").first).to_have_text("GET /hello/1")
    assert first in (page.locator("a.row-link").first.get_attribute("href") or "")
    page.mouse.wheel(0, 400)
    page.wait_for_timeout(100)
    rows = page.locator("a.row-link").all_inner_texts()
    _send_hello(service, 2)
    button = page.get_by_role("button", name="1 new request: show")
    expect(button).to_be_visible()
    assert page.locator("a.row-link").all_inner_texts() == rows
    button.click()
    expect(page.locator("a.row-link").first).to_have_text("GET /hello/2")
    page.get_by_role("button", name="Live").click()
    expect(page.locator("[aria-sort=descending]")).to_contain_text("Duration")


def _send_hello(service: Service, number: int) -> str:
    chance = random.Random(f"hello {number}")
    row = gateway_row(
        chance, now_ns(), 4, "list-items", 200, Url=f"https://api.shop.example/hello/{number}"
    )
    told = Told("", now_ns(), None, row)
    send_records(service, [told])
    return told.id


def test_a_time_can_be_typed(opener: Opener, scene: Scene) -> None:
    """From and to, in the zone that the page shows, leave what lies between them."""
    page = opener.open("requests", {"tz": "utc"})
    page.get_by_role("button", name="From – to").click()
    begin = datetime.fromtimestamp(scene.slowest.start_ns // 10**9 - 5, UTC)
    for label, moment in (("From", begin), ("To", begin + timedelta(seconds=20))):
        page.get_by_label(label, exact=True).fill(f"{moment:%Y-%m-%dT%H:%M:%S}")
    page.get_by_role("button", name="Search this time").click()
    page.wait_for_url(re.compile("start=.*end="))
    expect(page.locator(".list[aria-busy=false]")).to_be_visible()
    links = page.locator("a.row-link").evaluate_all("all => all.map(each => each.href)")
    assert any(scene.slowest.id in link for link in links)
    assert len(links) < 5
    given = parse_qs(urlsplit(page.url).query)
    assert datetime.fromisoformat(given["start"][0]) == begin


def test_a_row_says_what_came_of_the_request(opener: Opener, scene: Scene) -> None:
    """Who held it up, through how many hops, what failed first, and whether that may change."""
    page = opener.open("requests", {"status": "503"})
    row = page.locator("tr", has=page.locator(f"a[href*='{scene.failed.id}']"))
    expect(row.locator(".failed-first")).to_contain_text("dependency postgresql/shop")
    expect(row.locator(".held")).to_contain_text("ms")
    assert int(row.locator(".hops").inner_text()) > 4
    expect(row.locator(".state-cell .badge")).to_have_text(re.compile("provisional|complete|final"))


def test_a_request_of_which_more_is_expected_has_a_badge(opener: Opener, service: Service) -> None:
    """A record whose spans are still on the way is provisional, and so is what failed."""
    failed = gateway_row(random.Random("lone"), now_ns() - 10**9, 4, "lone-order", 502)
    send_records(service, [Told("", 0, None, failed)])
    service.wait_for(
        "/api/v1/requests?operation=lone-order",
        lambda status, body: status == 200 and body["requests"],
    )
    page = opener.open("requests", {"operation": "lone-order"})
    expect(page.locator(".requests .state-provisional")).to_have_text("provisional")
    expect(page.locator(".failed-first [title*='still to come']")).to_be_visible()
