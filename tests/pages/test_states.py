"""What the pages say when there is nothing to show, or nobody answers, or a token is wanted."""

import json
import random
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.pages.opening import Opener, look_at
from tests.pages.scene import gateway_row, now_ns
from tests.service import Service, start_service

TOKEN = "a-token-for-reading"


def test_unknown_id_says_where_was_looked(opener: Opener) -> None:
    """An id that nothing is stored under gets the API's words and hint."""
    opener.allow("404")
    page = opener.open("request", {"id": "f" * 31 + "e"})
    expect(page.locator(".state-failed")).to_contain_text("nothing is stored under")
    expect(page.locator(".wf-row")).to_have_count(0)


def test_an_id_fills_its_page_when_it_comes(opener: Opener, service: Service) -> None:
    """A link may be opened before the record arrives; an answer of a busy service is no end."""
    opener.allow("404|503")
    row = gateway_row(random.Random("later"), now_ns() - 10**9, 4, "list-items", 200)
    page = opener.open("request", {"id": str(row["CorrelationId"])})
    expect(page.locator(".state-failed")).to_contain_text("nothing is stored under")
    status, answer = service.post("/v1/gateway/azure-apim", json.dumps([row]).encode())
    assert (status, answer["accepted"]) == (200, 1), answer
    expect(page.locator(".wf-row")).to_have_count(1)
    expect(page.locator(".tools-count")).to_have_text("1 of 1 spans shown")
    busy = {"error": {"code": "busy", "message": "too many at once", "hint": ""}}
    page.route("**/api/page/timeline*", lambda route: route.fulfill(status=503, json=busy))
    expect(page.locator(".state-failed")).to_contain_text("too many at once")
    expect(page.locator(".wf-row")).to_have_count(1)
    page.unroute_all(behavior="ignoreErrors")
    expect(page.locator(".state-failed")).to_have_count(0)
    expect(page.locator(".wf-row")).to_have_count(1)


def test_unknown_page_is_said(opener: Opener) -> None:
    """A page that does not exist is a 404 of the API, and never a blank page."""
    opener.allow("404")
    page = opener.new()
    answer = page.goto(f"{opener.url}/nowhere")
    assert answer
    assert answer.status == 404


def test_token_is_asked_for_and_an_old_one_is_refused(
    browser: Browser, tmp_path: Path, axe: str
) -> None:
    """Without a token the page asks; a token that is not known any more is told apart."""
    with start_service(tmp_path / "guarded", query_tokens=TOKEN, ingest_tokens="t2") as service:
        opener = Opener(browser, service.api_url, tmp_path)
        opener.allow("401")
        page = opener.open("requests", drawn="#token")
        expect(page.locator(".token")).to_contain_text("asks for a token")
        expect(page.locator(".state-failed")).to_have_count(0)
        look_at(page, "sign-in", axe)
        page.fill("#token", "expired")
        page.press("#token", "Enter")
        expect(page.locator(".token")).to_contain_text("not accepted")
        page.fill("#token", TOKEN)
        page.press("#token", "Enter")
        expect(page.locator(".state-nothing")).to_be_visible()
        expect(page.locator(".token")).to_have_count(0)
        assert TOKEN not in page.url
        page.reload()
        expect(page.locator(".state-nothing")).to_be_visible()
        opener.go(page, "changes", drawn=".tell")
        sending = page.locator(".tell pre").text_content() or ""
        assert "Authorization: Bearer $HOPLINE_INGEST_TOKEN" in sending
        page.get_by_role("button", name="Sign out").click()
        expect(page.locator(".token")).to_contain_text("asks for a token")
        expect(page.locator(".tell")).to_have_count(0)
        page.reload()
        page.get_by_label("Stay signed in").check()
        page.fill("#token", f"Bearer {TOKEN}")
        page.press("#token", "Enter")
        expect(page.locator(".tell")).to_be_visible()
        other = page.context.new_page()
        opener.go(other, "requests", drawn=".state-nothing")
        opener.close()


def test_stopped_service_is_said_and_asked_again(
    browser: Browser, tmp_path: Path, axe: str
) -> None:
    """While nobody answers the page says so; when the service is back it fills by itself."""
    folder = tmp_path / "stopping"
    with start_service(folder) as service:
        opener = Opener(browser, service.api_url, tmp_path)
        opener.allow("ERR_|Failed to load")
        page = opener.open("requests")
        expect(page.locator(".state-nothing")).to_contain_text("Nothing is stored yet")
        port = service.api_port
    page.get_by_role("button", name="15 min").click()
    expect(page.locator(".state-failed")).to_contain_text("does not answer")
    look_at(page, "service-down", axe)
    with start_service(folder, api_port=str(port)):
        expect(page.locator(".state-nothing")).to_contain_text("Nothing is stored yet")
        expect(page.locator(".state-failed")).to_have_count(0)
        opener.close()
