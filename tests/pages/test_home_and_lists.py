"""The first page, and the lists of what is wrong, what came of requests, and who is heard."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.pages.opening import Opener, count_colours, look_at
from tests.pages.scene import Scene
from tests.service import Service, start_service


def test_home_leads_to_the_worst(opener: Opener, scene: Scene) -> None:
    """APIs with their rates and tails, the slowest requests with who held them up, the failed."""
    page = opener.open("", drawn=".short-row")
    api = page.locator(".apis tbody tr").first
    expect(api).to_contain_text("shop-api")
    expect(api).to_contain_text("%")
    slowest = page.locator(f".short-row[href*='{scene.slowest.id}']")
    expect(slowest.first).to_contain_text("held up by postgresql/shop 1.85 s")
    failed = page.get_by_role("region", name="Failed lately")
    expect(failed).to_contain_text("dependency failed: postgresql/shop")
    api.get_by_role("link", name=re.compile("%")).click()
    page.wait_for_selector(".requests")
    expect(page.locator(".requests tbody tr")).to_have_count(1)


def test_lines_of_home_add_up(service: Service) -> None:
    """What is drawn over time is what the table counts, and failures lie within it."""
    _, apis = service.get("/api/v1/apis?group_by=operation")
    _, series = service.get("/api/page/series?group_by=operation")
    keys = [(api["api"], api["groups"]["operation"]) for api in apis["apis"]]
    assert len(keys) > 1
    assert [(line["api"], line["groups"]["operation"]) for line in series["lines"]] == keys
    for api, line in zip(apis["apis"], series["lines"], strict=True):
        assert len(line["requests"]) == 24
        assert (sum(line["requests"]), sum(line["errors"])) == (api["requests"], api["errors"])
        assert all(a >= b for a, b in zip(line["requests"], line["errors"], strict=True))
    assert sum(api["errors"] for api in apis["apis"]) > 0


def test_home_claims_no_health_that_nobody_told(opener: Opener) -> None:
    """A doctor who is asked but does not answer is said, and no light is green for him."""
    opener.allow("503")
    page = opener.new()
    page.route(
        "**/api/v1/doctor*",
        lambda route: route.fulfill(
            status=503, json={"error": {"code": "busy", "message": "too many at once", "hint": ""}}
        ),
    )
    opener.go(page, "", drawn=".strip")
    doctor = page.locator(".strip-item", has_text="the doctor has no answer: too many at once")
    expect(doctor.locator(".light.is-unknown")).to_be_visible()
    expect(page.locator(".strip-item .light.is-good")).to_have_count(1)
    page.unroute_all(behavior="ignoreErrors")


@pytest.fixture(scope="module")
def shared(told: tuple[Service, Scene]) -> dict[str, dict[str, float]]:
    """Where the time of each operation goes, once enough requests are stitched."""

    def read(body: Any) -> dict[str, dict[str, float]]:
        return {api["groups"]["operation"]: api["shares"] for api in body["apis"] if api["shares"]}

    path = "/api/v1/apis?group_by=operation"
    told[0].wait_for(path, lambda _, body: "place-order" in read(body), limit_s=240)
    return read(told[0].get(path)[1])


def test_home_shows_where_time_goes(opener: Opener, shared: dict[str, dict[str, float]]) -> None:
    """An operation's bar has a part for each share that the API tells, and a legend names it."""
    page = opener.open("", drawn=".shares-bar")
    row = page.locator(".apis tr", has_text="place-order")
    parts = row.locator(".shares-bar span").evaluate_all(
        "all => all.map(each => [each.className, Number(each.style.flexGrow)])"
    )
    assert sum(share for _, share in parts) == pytest.approx(1, abs=0.01)
    told = [share for share in shared["place-order"].values() if share > 0]
    assert sorted(share for _, share in parts) == pytest.approx(sorted(told), abs=0.05)
    legend = page.locator(".apis .legend .dot").evaluate_all(
        "all => all.map(each => each.className)"
    )
    assert {f"dot {name}" for name, _ in parts} <= set(legend)
    expect(row.get_by_role("img").last).to_have_attribute(
        "aria-label", re.compile(r"Gateway \d.* %.*Applications \d")
    )


def test_home_draws_requests_over_time(opener: Opener) -> None:
    """Each operation has a small chart, in which failed requests are red and only those."""
    page = opener.open("", drawn=".trend-line canvas")
    for operation, has_failed in (("place-order", True), ("list-items", False)):
        row = page.locator(".apis tr", has_text=operation)
        all_, failed = count_colours(row.locator(".trend-line canvas"), "--trend", "--bad")
        assert all_ > 50
        assert (failed > 0) is has_failed
        label = row.locator(".trend-line").get_attribute("aria-label") or ""
        assert ("1 failed" in label) is has_failed


def test_home_says_what_moved(opener: Opener) -> None:
    """Only a change that is more than chance is shown, with what it was before."""

    def slow_down(route: Route) -> None:
        answer = route.fetch().json()
        for api in answer["apis"]:
            if api["groups"]["operation"] == "list-items":
                moved = {"significant": True, "delta_ms": 120, "before_ms": 50}
                still = {"significant": False, "delta": 0.01, "before": 0}
                api["changes"] = [{"against": "day", "p95": moved, "error_ratio": still}]
        route.fulfill(json=answer)

    page = opener.new()
    page.route("**/api/v1/apis*", slow_down)
    opener.go(page, "", drawn=".apis")
    moved = page.locator(".apis tr", has_text="list-items").locator(".moved")
    expect(moved).to_have_count(1)
    expect(moved).to_contain_text("▲ 120 ms")
    expect(moved).to_contain_text("more than a day ago")
    expect(moved).to_have_attribute("title", "a day ago: 50.0 ms")
    page.unroute_all(behavior="ignoreErrors")


def test_home_warns_of_late_sources_and_new_findings(opener: Opener) -> None:
    """A source that fell silent or cannot be read, and a finding that was not there before."""
    opener.allow("429|50[34]")  # a busy machine answers late; the page asks again
    now = datetime.now(UTC)

    def find_now(route: Route) -> None:
        answer = route.fetch()
        if not answer.ok:
            route.fulfill(response=answer)
            return
        told = answer.json()
        since = (now - timedelta(minutes=2)).isoformat()
        for finding in told["findings"]:
            finding |= {"first_seen": since, "affected": 1, "requests": 60}
        route.fulfill(json=told)

    page = opener.new()
    page.route("**/api/v1/doctor*", find_now)
    opener.go(page, "", drawn=".strip")
    doctor = page.locator(".strip-item", has_text="New since")
    expect(doctor).to_contain_text("catalog")
    expect(doctor).to_have_class(re.compile("is-warn"))

    def silence(route: Route) -> None:
        answer = route.fetch().json()
        for source in answer["sources"]:
            silence = timedelta(hours=20 if source["source"] == "orders" else 0)
            source["last_received"] = (datetime.now(UTC) - silence).isoformat()
        route.fulfill(json=answer)

    page.route("**/api/v1/sources*", silence)
    late = page.locator(".strip-item", has_text="orders quiet, last heard 20 h ago")
    expect(late).to_contain_text("what comes from there may be missing here")
    expect(late).to_have_class(re.compile("is-warn"))
    late.click()
    page.wait_for_url(re.compile("sources"))
    expect(page.locator("tr", has_text="orders").first).to_contain_text("quiet")
    page.unroute_all(behavior="ignoreErrors")


def test_what_is_asked_early_is_asked_once(opener: Opener, scene: Scene) -> None:
    """What was asked before the scripts were there is taken by them, and not asked again."""
    for name, params, early in (
        ("", {}, "/api/v1/apis"),
        ("", {"by": "api", "start": "-6h"}, "/api/v1/apis"),
        ("request", {"id": scene.refused.id, "raw": "true"}, "/api/page/timeline"),
    ):
        page = opener.go(opener.new(), name, params)
        asked: list[str] = page.evaluate(
            "performance.getEntriesByType('resource').map(entry => entry.name)"
        )
        assert len([url for url in asked if early in url]) == 1, asked
        page.close()  # a page that stays goes on asking


def test_doctor_says_what_to_do(opener: Opener) -> None:
    """A finding has its place, its share, its meaning, a fix to copy and requests to look at."""
    page = opener.open("doctor", drawn=".finding-card")
    card = page.locator(".finding-card", has_text="clock")
    expect(card).to_contain_text("of its traffic")
    card.get_by_role("button", name="Copy the fix").click()
    assert "NTP" in page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Copy as Markdown").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "Fix: " in page.evaluate("navigator.clipboard.readText()")
    card.get_by_role("link", name="1", exact=True).click()
    page.wait_for_selector(".wf-row")
    expect(page.locator(".wf-row [title^='moved']").first).to_be_visible()


def test_outcomes_compare_inside_and_outside(opener: Opener, scene: Scene) -> None:
    """What failed inside and was not noticed stands beside what failed, with examples."""
    page = opener.open("outcomes", drawn=".outcome-card")
    row = page.locator(".grid tbody tr", has_text="masked").filter(
        has=page.locator(f"a[href*='{scene.slowest.id}']")
    )
    expect(row).to_contain_text("2xx")
    row.get_by_role("link", name="1", exact=True).click()
    expect(page.locator(".verdict")).to_contain_text("Answered well, but")


def test_sources_say_who_is_heard(opener: Opener) -> None:
    """Every source with its lag, and how the records of each API could be joined."""
    page = opener.open("sources", drawn=".grid")
    expect(page.locator("tr", has_text="gateway-logs")).to_contain_text("on time")
    door = page.locator("tr", has_text="all that came in by gateway-http")
    expect(door).to_contain_text("azure-apim")
    joins = page.get_by_role("region", name="What could be joined")
    expect(joins.locator("tr", has_text="shop-api")).to_contain_text("%")
    clocks = page.get_by_role("region", name="Clocks of hosts")
    expect(clocks.locator("tbody tr").first).to_be_visible()


def test_sources_say_which_node_polls(opener: Opener) -> None:
    """A source that nodes take turns at names the one that has the turn."""

    def tell(route: Route) -> None:
        answer = route.fetch().json()
        polled = {**answer["sources"][0], "source": "workspace/Table", "stream": "pull"}
        polled |= {"polled_by": "ingest-0:/data", "polled_since": "2026-03-01T08:50:00Z"}
        answer["sources"].append(polled)
        route.fulfill(json=answer)

    page = opener.new()
    page.route("**/api/v1/sources*", tell)
    opener.go(page, "sources", drawn=".grid")
    row = page.locator("tr", has_text="workspace/Table")
    expect(row).to_contain_text("polled by ingest-0:/data since")
    page.unroute_all(behavior="ignoreErrors")


def test_storage_says_what_another_time_would_change(opener: Opener) -> None:
    """What each kind takes, how long it is kept and by which setting, and what fewer days free."""
    page = opener.open("sources", {"keep": "1"}, drawn=".size-fill")
    storage = page.get_by_role("region", name="Storage")
    expect(storage.locator("tr", has_text="Spans")).to_contain_text("HOPLINE_SPAN_TTL_DAYS")
    records = storage.locator("tr", has_text="Gateway records")
    expect(records).to_contain_text("90 days HOPLINE_TTL_DAYS")
    expect(records).to_contain_text("frees nothing yet")
    page.get_by_label("if kept").select_option("90")
    expect(records).to_contain_text("as now")
    page.get_by_role("button", name="Copy as Markdown").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "| Gateway records | 90 days |" in page.evaluate("navigator.clipboard.readText()")
    page.route("**/api/v1/storage", _grow)
    page.reload()
    expect(page.get_by_label("if kept")).to_have_value("90")
    page.get_by_label("if kept").select_option("30")
    expect(records).to_contain_text("frees 5.00 GB at once, saves 60.0 GB in the long run")
    page.get_by_label("if kept").select_option("180")
    expect(records).to_contain_text("takes 90.0 GB more in the long run")
    page.unroute_all(behavior="ignoreErrors")


def _grow(route: Route) -> None:
    """Answer as the service would if records had come for weeks."""
    answer = route.fetch().json()
    for kind in answer["kinds"]:
        if kind["kind"] == "records":
            kind |= {"bytes_per_day": 10**9, "expected_bytes": 90 * 10**9}
            for choice in kind["choices"]:
                freed = 5 * 10**9 if choice["days"] < 90 else 0
                choice |= {"expected_bytes": choice["days"] * 10**9, "freed_bytes": freed}
    route.fulfill(json=answer)


def test_a_wrong_clock_of_the_browser_changes_nothing(opener: Opener, scene: Scene) -> None:
    """Ages and ranges go by the server's clock, in whatever zone the reader is."""
    page = opener.new(zone="Pacific/Apia")
    page.clock.install(time=datetime.now(UTC) + timedelta(hours=5, minutes=7))
    opener.go(page, "sources", drawn=".grid")
    expect(page.locator("tr", has_text="gateway-logs")).to_contain_text("on time")
    expect(page.locator("tr", has_text="gateway-logs")).not_to_contain_text(re.compile(r"\d h ago"))
    expect(page.locator(".zone")).to_contain_text("UTC+13:00")
    opener.go(page, "requests", drawn=".requests tbody tr")
    page.get_by_role("button", name="Earlier").click()
    page.wait_for_url(re.compile("end="))
    end = datetime.fromisoformat(parse_qs(urlsplit(page.url).query)["end"][0])
    assert abs(end - (datetime.now(UTC) - timedelta(hours=1))) < timedelta(minutes=2)
    opener.go(page, "request", {"id": scene.slowest.id})
    begun = datetime.fromtimestamp(scene.slowest.start_ns // 10**9, UTC) + timedelta(hours=13)
    expect(page.locator(".facts")).to_contain_text(f"{begun:%H:%M:%S}")


def test_empty_store_says_how_to_begin_and_fills_itself(
    browser: Browser, tmp_path: Path, axe: str
) -> None:
    """The commands have the real ports; once they are run the page shows what arrived."""
    with start_service(tmp_path / "empty") as service:
        opener = Opener(browser, service.api_url, tmp_path)
        page = opener.open("", drawn=".step")
        commands = page.locator(".step pre").all_inner_texts()
        assert len(commands) == 2
        look_at(page, "empty-store", axe)
        for command, kind in zip(commands, ("/v1/traces", "/v1/gateway/kong"), strict=True):
            matched = re.fullmatch(r"curl (\S+) -H \"(.+): (.+)\" -d '(.+)'", command)
            assert matched, command
            assert matched[1] == service.ingest_url + kind
            status, answer = service.post(kind, matched[4].encode(), matched[3])
            assert status == 200, answer
        expect(page.locator(".short-row")).to_contain_text("GET /hello")
        expect(page.locator(".step")).to_have_count(0)
        page.click(".short-row")
        page.wait_for_selector(".evidence")
        expect(page.locator(".wf-row")).to_have_count(2)
        opener.close()
