"""The page of one request: what a person does with it, and what it says."""

import json
import random
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Page, Route, expect

from collector.query.timelines.bundle import read_bundle
from tests.pages.opening import Opener, count_colours, rows_of
from tests.pages.scene import (
    STACK,
    Scene,
    Told,
    now_ns,
    query,
    send_records,
    send_spans,
    visit,
    with_record,
)
from tests.service import Service


def test_the_slow_hop_is_two_clicks_from_home(opener: Opener, scene: Scene) -> None:
    """From `/` the slowest order and then its slow hop are one click each."""
    page = opener.open("", drawn=".short-row")
    page.click(f".short-row[href*='{scene.slowest.id}'] >> nth=0")
    page.wait_for_selector(".wf-row")
    expect(page.locator(".slow")).to_contain_text("held up by postgresql/shop")
    expect(page.locator(".slow-share")).to_have_text("84 %")
    page.click(".slow button:has-text('Show')")
    panel = page.locator(".panel")
    expect(panel.locator(".span-name")).to_have_text("SELECT reservations FOR UPDATE")
    expect(panel).to_contain_text("1.85 s")
    assert scene.slowest.id in page.url


def test_head_tells_the_whole_story(opener: Opener, scene: Scene) -> None:
    """Duration, status, failure, phases and their sum stand above the rows."""
    page = opener.open("request", {"id": scene.failed.id})
    expect(page.locator("h1")).to_have_text("POST /shop/orders")
    expect(page.locator(".facts .status")).to_have_text("503")
    expect(page.locator(".verdict")).to_contain_text("failed first")
    told: Any = page.evaluate(
        "fetch('api/v1/requests/' + new URLSearchParams(location.search).get('id'))"
        ".then(answer => answer.json())"
    )
    drawn = page.eval_on_selector_all(
        ".phase-bar span", "bars => bars.map(bar => parseFloat(bar.style.flexGrow))"
    )
    assert sum(drawn) == pytest.approx(1, abs=0.01)
    assert len(drawn) == sum(1 for phase in told["phases"] if phase["duration_ms"] > 0)


def test_span_panel_has_values_exception_and_stack(opener: Opener, scene: Scene) -> None:
    """Events and exceptions are shown with their stack, and every value can be copied."""
    page = opener.open("request", {"id": scene.slowest.id})
    page.click(".wf-row:has-text('reserve stock')")
    panel = page.locator(".panel")
    expect(panel).to_contain_text("orders.stock.OutOfStock")
    for line in STACK.splitlines():
        expect(panel.locator(".stack .block")).to_contain_text(line.strip())
    expect(panel).to_contain_text("retry.reason")
    panel.get_by_role("button", name="Copy the stack").click()
    assert page.evaluate("navigator.clipboard.readText()") == STACK
    page.click(".wf-row:has-text('SELECT reservations')")
    expect(panel).to_contain_text("SELECT reservations FOR UPDATE WHERE id = $1")
    panel.get_by_role("button", name="Copy db.query.text").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "SELECT reservations FOR UPDATE WHERE id = $1"


def test_a_value_leads_to_requests_with_it(opener: Opener, scene: Scene) -> None:
    """What the search knows as a filter is one click away from a value."""
    page = opener.open("request", {"id": scene.slowest.id, "panel": "gateway"})
    page.get_by_role("link", name="Requests with this consumer").click()
    page.wait_for_selector(".requests")
    consumer = scene.slowest.record["ApimSubscriptionId"] if scene.slowest.record else ""
    assert f"consumer={consumer}" in page.url
    expect(page.locator(".chip-value")).to_have_text(consumer)


def test_gateway_record_has_every_raw_field(opener: Opener, scene: Scene) -> None:
    """The gateway's row is shown as it was written, field by field."""
    page = opener.open("request", {"id": scene.slowest.id, "panel": "gateway"})
    raw = page.locator(".panel pre").first.inner_text()
    record = scene.slowest.record
    assert record is not None
    for name in record:
        assert f'"{name}"' in raw
    expect(page.locator(".panel .values").first).to_contain_text("backend_ms")


def test_evidence_of_the_join_is_literal(opener: Opener, scene: Scene) -> None:
    """The compared values stand side by side."""
    page = opener.open("request", {"id": scene.slowest.id})
    evidence = page.locator(".evidence").first
    assert evidence.inner_text().count(scene.slowest.trace_id) == 2


def test_keyboard_alone_suffices(opener: Opener, scene: Scene) -> None:
    """Arrows walk and fold, Enter opens, Escape closes and zooms out, / finds, ? tells the keys."""
    page = opener.open("request", {"id": scene.slowest.id})
    page.locator(".wf-scroll").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".wf-row.is-selected")).to_contain_text("istio-ingressgateway")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".wf-row")).to_have_count(2)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".wf-row")).to_have_count(19)
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_focused()
    expect(page.locator(".panel")).to_contain_text("outbound|8080||storefront")
    page.keyboard.press("Escape")
    expect(page.locator(".wf-row.is-selected")).to_have_count(0)
    page.keyboard.press("+")
    expect(page.locator(".mm.is-zoomed")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".mm.is-zoomed")).to_have_count(0)
    page.keyboard.press("/")
    page.keyboard.type("charge")
    page.keyboard.press("Enter")
    expect(page.locator(".wf-row.is-match.is-selected")).to_contain_text("POST /charge")
    page.keyboard.press("Escape")
    expect(page.locator(".wf-scroll")).to_be_focused()
    page.keyboard.press("n")
    expect(page.locator(".wf-row.is-selected")).to_contain_text("INSERT charge")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("critical path alone")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_dragging_zooms_and_everything_is_in_the_address(opener: Opener, scene: Scene) -> None:
    """Zoom, folding, find, selection and panel come back with link, reload and the way back."""
    page = opener.open("request", {"id": scene.slowest.id})
    bars = page.locator(".wf-bars").first.bounding_box()
    assert bars
    page.mouse.move(bars["x"] + bars["width"] * 0.25, bars["y"] + 100)
    page.mouse.down()
    page.mouse.move(bars["x"] + bars["width"] * 0.75, bars["y"] + 120, steps=4)
    page.mouse.up()
    expect(page.locator(".mm.is-zoomed")).to_have_count(1)
    page.get_by_role("button", name="Hops").click()
    page.fill("[data-find]", "inventory")
    page.click(".wf-row:has-text('SELECT reservations')")
    expect(page.locator(".panel .span-name")).to_be_visible()
    page.wait_for_url(re.compile("zoom.*span=|span=.*zoom"))
    page.get_by_role("button", name="Copy link").click()
    shared = str(page.evaluate("navigator.clipboard.readText()"))
    before = _look(page)
    assert before["zoomed"] == 1
    page.reload()
    page.wait_for_selector(".panel .span-name")
    assert _look(page) == before
    other = opener.new()
    other.goto(shared)
    other.wait_for_selector(".panel .span-name")
    assert _look(other) == before
    page.click(".crumbs a")
    page.wait_for_selector(".requests")
    page.go_back()
    page.wait_for_selector(".panel .span-name")
    assert _look(page) == before
    page.go_forward()
    page.wait_for_selector(".requests")


def _look(page: Page) -> dict[str, Any]:
    return {
        "rows": rows_of(page),
        "zoomed": page.locator(".mm.is-zoomed").count(),
        "ticks": page.locator(".wf-tick").all_inner_texts(),
        "matches": page.locator(".find-count").inner_text(),
        "span": page.locator(".panel .span-name").inner_text(),
        "title": page.title(),
    }


def test_folding_by_hop_and_by_service_keeps_the_sums(opener: Opener, scene: Scene) -> None:
    """However rows are folded, the shares of what held the answer up stay whole."""
    page = opener.open("request", {"id": scene.slowest.id})
    expect(page.locator(".tools-count")).to_have_text("19 of 19 spans shown")
    whole = _shares(page)
    page.get_by_role("button", name="Hops").click()
    expect(page.locator(".tools-count")).to_have_text(re.compile(r"^9 of 19|^1\d of 19"))
    assert _shares(page) == pytest.approx(whole, abs=1.5)
    page.get_by_role("button", name="Services").click()
    expect(page.locator(".wf-head .wf-name")).to_have_text(re.compile(r"^\d+ services$"))
    assert _shares(page) == pytest.approx(whole, abs=1.5)
    page.get_by_role("button", name="Spans").click()
    page.get_by_role("button", name="Critical path").click()
    expect(page.locator(".wf-row:has-text('SELECT reservations')")).to_have_count(1)
    assert _shares(page) == pytest.approx(whole, abs=1.5)


def _shares(page: Page) -> float:
    texts = page.locator(".wf-share-value").all_inner_texts()
    return sum(0.05 if "<" in text else float(text.split()[0]) for text in texts)


def test_wide_request_is_whole_and_only_drawn_in_sight(opener: Opener, scene: Scene) -> None:
    """Of 10,000 rows a screenful exists, and scrolling, finding and folding reach all of them."""
    page = opener.open("request", {"id": scene.wide.id})
    expect(page.locator(".tools-count")).to_have_text("10,001 of 10,001 spans shown")
    assert page.locator(".wf-row").count() < 80
    page.eval_on_selector(".wf-scroll", "box => { box.scrollTop = box.scrollHeight; }")
    expect(page.locator(".wf-row[aria-rowindex='10001']")).to_have_count(1)
    page.fill("[data-find]", "worker-07")
    expect(page.locator(".find-count")).to_contain_text("of")
    page.keyboard.press("Enter")
    expect(page.locator(".wf-row.is-selected.is-match")).to_be_visible()
    page.get_by_role("button", name="Hops").click()
    expect(page.locator(".tools-count")).to_contain_text("of 10,001 spans shown")
    page.get_by_role("button", name="Services").click()
    expect(page.locator(".wf-row").first).to_contain_text("storefront")


def test_lean_answer_is_a_tenth(service: Service, scene: Scene) -> None:
    """10,000 spans for the page are less than a tenth of what programs get."""
    _, lean = service.get(f"/api/page/timeline?id={scene.wide.id}")
    _, full = service.get(f"/api/v1/requests/{scene.wide.id}")
    assert lean["spans"]["total"] == len(full["spans"]) == 10_001
    assert len(json.dumps(lean)) * 8 < len(json.dumps(full))
    assert len(json.dumps(lean, separators=(",", ":"))) < 1_000_000


def test_deep_request_keeps_names_in_sight(opener: Opener, scene: Scene) -> None:
    """200 levels down a row still has its name and its bar."""
    page = opener.open("request", {"id": scene.deep.id})
    page.eval_on_selector(".wf-scroll", "box => { box.scrollTop = box.scrollHeight; }")
    last = page.locator(".wf-row:has-text('descend 199')")
    box = last.locator(".wf-label").bounding_box()
    assert box
    assert box["width"] > 80
    expect(last.locator(".wf-bar")).to_be_visible()


def test_minimap_shows_the_whole_and_chooses_a_stretch(opener: Opener, scene: Scene) -> None:
    """All rows in their colours; a drag chooses, moves and widens, two clicks show all again."""
    page = opener.open("request", {"id": scene.failed.id})
    layers = ["--gateway", "--edge", "--proxy", "--app", "--bad"]
    assert min(count_colours(page.locator(".mm canvas"), *layers)) > 10
    strip = page.locator(".mm-strip")

    def drag(begin: float, end: float) -> list[float]:
        box = strip.bounding_box()
        assert box
        for at in (begin, (begin + end) / 2, end):
            page.mouse.move(box["x"] + box["width"] * at, box["y"] + 20)
            if at == begin:
                page.mouse.down()
        page.mouse.up()
        expect(page.locator(".mm.is-zoomed")).to_have_count(1)
        return [
            round(width / box["width"], 1)
            for width in page.locator(".mm-shade").evaluate_all(
                "all => all.map(each => each.getBoundingClientRect().width)"
            )
        ]

    assert drag(0.2, 0.6) == [0.2, 0.4]
    expect(page.locator(".wf-tick").first).not_to_have_text("0 ms")
    assert drag(0.4, 0.5) == [0.3, 0.3]
    assert drag(0.7, 0.9) == [0.3, 0.1]
    strip.dblclick()
    expect(page.locator(".mm.is-zoomed")).to_have_count(0)
    expect(page.locator(".wf-tick").first).to_have_text("0 ms")


def test_legend_tells_the_layers_apart(opener: Opener, scene: Scene) -> None:
    """Each layer that is there has a name and a colour of its own, which its rows have too."""
    page = opener.open("request", {"id": scene.slowest.id})
    colours: dict[str, dict[str, str]] = page.evaluate(_COLOURS)
    assert colours["legend"] == colours["rows"]
    assert len(set(colours["legend"].values())) == len(colours["legend"]) == 5
    legend = page.get_by_label("Legend")
    for word in ("Gateway", "Edge", "Mesh proxy", "Application", "Dependency"):
        expect(legend).to_contain_text(word)
    for word in ("critical path", "event", "exception", "clock corrected"):
        expect(legend).to_contain_text(word)
    opener.go(page, "request", {"id": scene.refused.id})
    assert list(page.evaluate(_COLOURS)["legend"]) == ["layer-gateway"]


_COLOURS = """
() => {
  const collect = (where, what) => Object.fromEntries([...document.querySelectorAll(where)]
    .map(node => [[...node.classList].find(name => name.startsWith('layer-')),
      getComputedStyle(node.querySelector(what)).backgroundColor]).sort());
  return {
    legend: collect('.legend [class^=layer-]', '.legend-bar'),
    rows: collect('.wf-row', '.wf-dot'),
  };
}
"""


def test_neighbours_are_a_click_away(opener: Opener, scene: Scene, service: Service) -> None:
    """Requests with the same request id, and what the same consumer asked for around it."""
    shared = "5f0c1e2a-7d3b-4c55-9a41-0c8f2b9e6d10"
    told = []
    for number in range(2):
        root = visit("istio-ingressgateway", "tracker", f"GET /track/{number}", 0, 20)
        root.attributes["guid:x-request-id"] = shared
        told.append(Told(f"{number + 0xABCD5:032x}", now_ns() - (number + 1) * 60 * 10**9, root))
    send_spans(service, told)
    for each in told:
        service.wait_for(f"/api/page/timeline?id={each.trace_id}", lambda status, _: status == 200)
    page = opener.open("request", {"id": told[0].trace_id})
    neighbours = page.locator(".section", has_text="Ids and neighbours")
    neighbours.locator("summary").click()
    neighbours.get_by_role("link", name="x request id").click()
    expect(page.locator(".chip-value")).to_have_text(shared)
    for each in told:
        expect(page.locator(f"a.row-link[href*='{each.trace_id}']")).to_be_visible()
    expect(page.locator(".requests tbody tr")).to_have_count(2)

    opener.go(page, "request", {"id": scene.slowest.id})
    neighbours.locator("summary").click()
    assert scene.slowest.record
    consumer = scene.slowest.record["ApimSubscriptionId"]
    neighbours.get_by_role("link", name=f"What {consumer} asked for").click()
    expect(page.locator(f"a.row-link[href*='{scene.slowest.id}']")).to_be_visible()
    expect(page.locator(".chip-value", has_text=consumer)).to_be_visible()
    given = parse_qs(urlsplit(page.url).query)
    begin, end = (datetime.fromisoformat(given[name][0]) for name in ("start", "end"))
    assert end - begin == timedelta(minutes=20)


def test_log_lines_stand_beside_their_span(opener: Opener, scene: Scene, service: Service) -> None:
    """A proxy's access log line and an application's line are shown with the span they are of."""
    _, timeline = service.get(f"/api/v1/requests/{scene.slowest.id}")
    edge, app = (
        next(span for span in timeline["spans"] if span["role"] == role) for role in ("edge", "app")
    )
    line = '[2026-03-01T10:00:00.000Z] "POST /shop/orders HTTP/1.1" 200 - via_upstream - "-" 412 9'
    bodies = ((edge, f"{line} 2190 2188"), (app, "order 4711 is placed"))
    records = [
        {
            "timeUnixNano": str(scene.slowest.start_ns),
            "traceId": scene.slowest.trace_id,
            "spanId": span["raw_span_id"],
            "severityText": "INFO",
            "body": {"stringValue": body},
        }
        for span, body in bodies
    ]
    message = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
    status, answer = service.post("/v1/logs", json.dumps(message).encode())
    assert status == 200, answer
    asked = f"/api/page/span?id={scene.slowest.id}&span={edge['span_id']}"
    service.wait_for(
        f"/api/page/timeline?id={scene.slowest.id}",
        lambda *_: len(service.get(asked)[1]["logs"]) == 1,
    )
    page = opener.new()
    lines = page.locator(".section", has_text="Log lines")
    for span, body in bodies:
        shown = {"id": scene.slowest.id, "panel": "span", "span": span["span_id"]}
        opener.go(page, "request", shown)
        expect(lines.locator("pre")).to_have_text(body)
    page.locator(".wf-row", has_text="reserve stock").click()
    expect(page.locator(".span-name")).to_have_text("reserve stock")
    expect(page.locator(".panel .values").first).to_be_visible()
    expect(lines).to_have_count(0)


def test_a_verdict_settles_itself_while_one_looks(
    opener: Opener, scene: Scene, service: Service
) -> None:
    """What is still expected is said with its time; it is drawn when it comes; then nobody asks."""
    opener.allow("429|50[34]")  # a busy machine answers late; the page asks again
    chance = random.Random("settling")
    failing = query("orders", "SELECT price", 2, 30)
    failing.error, failing.link_to = "no price", scene.slowest.trace_id
    root = visit("istio-ingressgateway", "orders", "GET /price", 0, 60, failing, status=503)
    told = with_record(chance, now_ns() - 10**9, root, "ask-price", 503)
    send_records(service, [told])
    timeline = f"/api/page/timeline?id={told.id}"
    service.wait_for(timeline, lambda status, _: status == 200)
    page = opener.new()
    page.clock.install()
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url) if "page/timeline" in each.url else None)
    opener.go(page, "request", {"id": told.id})
    expect(page.locator(".settled")).to_contain_text("spans still to come")
    panel = page.locator(".panel")
    expect(panel).to_contain_text("This verdict may still change")
    # with its day, where that is another one
    expect(panel).to_contain_text(re.compile(r"spans \(expected until (\S+ )?\d\d:\d\d:\d\d"))
    expect(panel).to_contain_text("Still expected")
    expect(page.locator(".wf-row")).to_have_count(1)
    send_spans(service, [told])
    service.wait_for(timeline, lambda status, body: status == 200 and body["spans"]["total"] == 5)
    page.clock.fast_forward(60_000)
    expect(page.locator(".wf-row")).to_have_count(5)
    expect(page.locator(".verdict")).to_contain_text("failed first")
    page.locator(".wf-row", has_text="SELECT price").click()
    link = page.locator(".section", has_text="Links").get_by_role("link")
    expect(link).to_have_text(re.compile(scene.slowest.trace_id))

    def settle(route: Route) -> None:
        answer = route.fetch().json()
        answer["request"] |= {"state": "final", "expected": []}
        answer["request"]["verdict"] |= {"provisional": False, "settled_by": []}
        route.fulfill(json=answer)

    page.route("**/api/page/timeline*", settle)
    page.clock.fast_forward(600_000)
    expect(page.locator(".facts .state-final")).to_be_visible()
    expect(page.locator(".settled")).to_have_count(0)
    count = len(asked)
    page.clock.fast_forward(3_600_000)
    page.wait_for_timeout(50)
    assert len(asked) == count > 2
    page.unroute_all(behavior="ignoreErrors")


def test_findings_come_with_their_fix(opener: Opener, scene: Scene) -> None:
    """What is wrong with the request's context or clocks is said, with a fix to copy."""
    page = opener.open("request", {"id": scene.ordinary[-1].id})
    findings = page.locator(".section", has_text="Findings")
    expect(findings.locator(".finding")).not_to_have_count(0)
    findings.get_by_role("button", name="Copy the fix").first.click()
    copied = str(page.evaluate("navigator.clipboard.readText()"))
    assert copied
    expect(findings.locator(".fix").first).to_contain_text(copied)


def test_exports_hold_the_request(opener: Opener, scene: Scene, tmp_path: Path) -> None:
    """Markdown, SVG and PNG can be saved, and each is what its name says."""
    page = opener.open("request", {"id": scene.slowest.id})
    saved = {}
    for label in ("Markdown", "Picture, SVG", "Picture, PNG", "Bundle, JSON, redacted"):
        page.get_by_role("button", name="Export").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=label).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        saved[label] = path.read_bytes()
    assert b"postgresql/shop" in saved["Markdown"]
    picture = ElementTree.fromstring(saved["Picture, SVG"])
    texts = " ".join(each.text or "" for each in picture.iter() if each.text)
    assert "SELECT reservations FOR UPDATE" in texts
    assert "19 of 19 spans shown" in texts
    assert "Answered well, but inventory failed" in texts
    assert saved["Picture, PNG"].startswith(b"\x89PNG")
    bundle = next(tmp_path.glob("*.json"))
    assert read_bundle(bundle)["timeline"]["id"] == scene.slowest.id
    assert scene.slowest.record is not None
    assert scene.slowest.record["ApimSubscriptionId"] not in bundle.read_text()
    page.get_by_role("button", name="Copy as Markdown").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = str(page.evaluate("navigator.clipboard.readText()"))
    assert "postgresql/shop" in copied
    assert page.url in copied


def test_links_for_jaegers_pages_lead_here(opener: Opener, scene: Scene) -> None:
    """`/trace/<id>`, which tools write for Jaeger's own pages, shows the request."""
    page = opener.new()
    page.goto(f"{opener.url}/trace/{scene.slowest.trace_id}")
    page.wait_for_selector(".wf-row")
    expect(page.locator("h1")).to_have_text("POST /shop/orders")
    page.goto(f"{opener.url}/#{scene.slowest.trace_id}")
    page.wait_for_selector(".wf-row")


def test_times_are_shown_in_the_zone_asked_for(opener: Opener, scene: Scene) -> None:
    """Local or UTC is part of the address and stays from page to page."""
    page = opener.open("request", {"id": scene.slowest.id})
    page.click(".zone")
    page.wait_for_url(re.compile("tz=utc"))
    expect(page.locator(".zone")).to_contain_text("UTC")
    page.click(".crumbs a")
    page.wait_for_selector(".requests")
    assert "tz=utc" in page.url
