"""The pages that answer questions about many requests: why slow, the map, changes."""

import re

import pytest
from playwright.sync_api import expect

from tests.pages.opening import Opener
from tests.pages.scene import Scene
from tests.service import Service


@pytest.fixture(scope="module", autouse=True)
def stitched(told: tuple[Service, Scene]) -> None:
    """Requests are stitched in the background; here they all are."""
    told[0].wait_for(
        "/api/v1/slow?slower_than_ms=300",
        lambda status, body: status == 200 and len(body["differences"]) > 1,
        limit_s=240,
    )


def test_the_slow_have_one_consumer_in_common(opener: Opener) -> None:
    """From a list one click asks why; the planted cause is first, with bounds and examples."""
    page = opener.open("requests", {"min_duration_ms": "300"})
    page.get_by_role("link", name="Why slow", exact=True).last.click()
    first = page.locator(".difference").first
    expect(first).to_contain_text("consumer team-batch")
    shares = first.get_by_role("img")
    expect(shares).to_have_attribute("aria-label", re.compile("of the slow.*is between"))
    expect(page.locator(".sets-told")).to_contain_text("came from consumer team-batch")
    expect(page.locator(".columns")).to_contain_text("Dependencies")
    assert "slower_than_ms=300" in page.url
    same = first.get_by_role("link", name="requests").get_attribute("href") or ""
    assert "min_duration_ms=300" in same
    assert "consumer=team-batch" in same
    page.get_by_label("Slow from, in ms").fill("2s")
    page.keyboard.press("Enter")
    expect(page.locator(".state-nothing")).to_contain_text("are needed")
    page.go_back()
    first.get_by_role("link", name="1", exact=True).first.click()
    page.wait_for_selector(".wf-row")


def test_brushing_the_picture_chooses(opener: Opener) -> None:
    """A drag over durations and time filters the list; on the other page it says what is slow."""
    for name, wanted in (("requests", "min_duration_ms="), ("slow", "slower_than_ms=")):
        page = opener.open(name, drawn=".heat-field canvas")
        page.wait_for_selector(".requests tbody tr, .difference, .state-nothing")
        box = page.locator(".heat-field .u-over").bounding_box()
        assert box
        page.mouse.move(box["x"] + 40, box["y"] + 1)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] / 2, steps=4)
        chosen = "e => getComputedStyle(e).backgroundColor"
        assert "58, 95, 224, 0.18" in page.locator(".u-select").evaluate(chosen)
        page.mouse.up()
        page.wait_for_url(re.compile(wanted))
        assert "end=" in page.url
        page.go_back()
        page.wait_for_url(re.compile(f"{name}$"))


def test_keys_choose_from_the_picture(opener: Opener) -> None:
    """Arrows go to a time and a duration, Shift widens, the words say what is there."""
    page = opener.open("requests", drawn=".heat-field canvas")
    page.wait_for_selector(".requests tbody tr")
    page.focus(".heat-field")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".heat-at")).to_contain_text("1 request of")
    for key in ("Shift+ArrowLeft", "Shift+ArrowDown"):
        page.keyboard.press(key)
    expect(page.locator(".u-select")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("start=.*end=.*min_duration_ms="))
    expect(page.locator(".u-select")).to_be_hidden()
    expect(page.locator(".requests tbody tr").first).to_be_visible()


def test_map_moves_and_zooms(opener: Opener) -> None:
    """Keys, buttons and the wheel zoom, a drag moves, the address keeps it, no line is cut off."""
    page = opener.open("map", drawn=".map-node")
    inside = """([...paths]) => paths.every(path => { const box = path.getBBox();
        const { width, height } = path.ownerSVGElement;
        return box.x >= 0 && box.y >= 0 && box.x + box.width <= width.baseVal.value
            && box.y + box.height <= height.baseVal.value; })"""
    assert page.locator(".map-edge path").evaluate_all(inside)
    space = page.locator(".map-space")
    before = space.bounding_box()
    assert before
    page.focus(".map-scroll")
    for _ in range(3):
        page.keyboard.press("+")
    page.wait_for_url(re.compile(r"zoom=1\.95"))
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_url(re.compile(r"zoom=2\.44"))
    after = space.bounding_box()
    assert after
    assert after["width"] == pytest.approx(before["width"] * 2.44, rel=0.01)
    scroller = page.locator(".map-scroll")
    left = scroller.evaluate("box => box.scrollLeft")
    box = scroller.bounding_box()
    assert box
    # below the boxes, where nothing but the map is
    page.mouse.move(box["x"] + 400, box["y"] + box["height"] - 8)
    page.mouse.down()
    page.mouse.move(box["x"] + 330, box["y"] + box["height"] - 8)
    page.mouse.up()
    assert scroller.evaluate("box => box.scrollLeft") == pytest.approx(left + 70, abs=2)
    page.keyboard.down("Control")
    page.mouse.wheel(0, 100)
    page.keyboard.up("Control")
    page.wait_for_url(re.compile(r"zoom=1\.9"))
    page.reload()
    page.wait_for_selector(".map-node")
    page.get_by_role("button", name="Fit", exact=True).click()
    page.wait_for_url(re.compile("map$"))


def test_map_shows_who_calls_whom(opener: Opener) -> None:
    """Nodes and calls with their numbers, the same as tables; a node leads on."""
    page = opener.open("map", {"operation": "place-order"}, drawn=".map-node")
    node = page.get_by_role("button", name="orders", exact=False).first
    expect(page.locator(".map-node")).to_have_count(7)
    expect(page.locator(".map-node.is-inferred")).to_contain_text("postgresql/shop")
    expect(page.locator(".map-edge")).to_have_count(7)
    node.focus()
    page.keyboard.press("Enter")
    chosen = page.get_by_role("region", name="The chosen node")
    expect(chosen).to_contain_text("storefront")
    expect(chosen).to_contain_text("1.14.2")
    page.wait_for_url(re.compile("node=orders"))
    page.reload()
    expect(chosen).to_be_visible()
    calls = page.get_by_role("region", name="Calls", exact=True)
    expect(calls.locator("tr", has_text="payments").first).to_contain_text("160 ms")
    chosen.get_by_role("link", name="Why slow").click()
    page.wait_for_url(re.compile("slow.*service=orders"))


def test_a_map_of_many_calls_is_readable(opener: Opener, service: Service) -> None:
    """Where many call many, the busiest way to each box is drawn, and all of a box on demand."""
    _, told = service.get("/api/v1/edges?operation=export-orders")
    calls = [edge for edge in told["edges"] if edge["caller"] != edge["callee"]]
    assert len(told["nodes"]) > 20
    assert len(calls) > 2 * len(told["nodes"])
    page = opener.open("map", {"operation": "export-orders", "all": "1"}, drawn=".map-node")
    expect(page.locator(".map-node")).to_have_count(len(told["nodes"]))
    failing = min(10, sum(edge["error_ratio"] >= 0.01 for edge in calls))
    assert page.locator(".map-edge").count() < len(told["nodes"]) + failing
    assert page.evaluate(_LINES_OVER_BOXES) <= failing
    expect(page.locator(".map-count")).to_contain_text("choose one to see all of its own")
    name = "worker-01"
    own = {(e["caller"], e["callee"]) for e in calls if name in (e["caller"], e["callee"])}
    page.get_by_role("button", name=name).first.click()
    expect(page.locator(".map-edge:not(.is-far)")).to_have_count(len(own))
    table = page.get_by_role("region", name="Calls", exact=True)
    expect(table.locator("tbody tr").first).to_be_visible()


_LINES_OVER_BOXES = """
() => {
  const boxes = [...document.querySelectorAll('.map-node')]
    .map(node => node.getBoundingClientRect());
  return [...document.querySelectorAll('.map-edge > path')].filter(path => {
    const length = path.getTotalLength();
    const onto = path.getScreenCTM();
    return [...Array(40).keys()].some(step => {
      const { x, y } = path.getPointAtLength(length * (step + 1) / 41).matrixTransform(onto);
      return boxes.some(({ left, right, top, bottom }) =>
        x > left + 3 && x < right - 3 && y > top + 3 && y < bottom - 3);
    });
  }).length;
}
"""


def test_map_marks_calls_that_fail(opener: Opener) -> None:
    """A call of which one in a hundred or more fails is red, with its share."""
    page = opener.open("map", {"status": "503"}, drawn=".map-node")
    bad = page.locator(".map-edge.is-bad")
    expect(bad.first).to_be_attached()
    expect(bad.locator(".map-failing").first).to_have_text("100 %")
    good = page.locator(".map-edge:not(.is-bad)").count()
    opener.go(page, "map", {"operation": "list-items"}, drawn=".map-node")
    expect(bad).to_have_count(0)
    assert page.locator(".map-edge").count() > good


def test_changes_say_what_came_and_what_came_of_it(opener: Opener) -> None:
    """A revision with its effect, and what a tool told by the command that the page gives."""
    page = opener.open("changes", drawn=".change")
    revision = page.locator(".change", has_text="Revision")
    expect(revision).to_contain_text("2 → 3")
    expect(revision).to_contain_text("rests on")
    page.get_by_text("Report deployments").click()
    page.get_by_role("button", name="Copy the command").click()
    command = str(page.evaluate("navigator.clipboard.readText()"))
    matched = re.search(r"'(http\S+)' .* -d '(.+)'", command)
    assert matched, command
    told = page.request.post(
        matched[1], data=matched[2], headers={"Content-Type": "application/json"}
    )
    assert told.status == 201, told.text()
    page.get_by_label("Kind of change").select_option("told")
    expect(page.locator(".change")).to_have_count(1)
    expect(page.locator(".change")).to_contain_text("Release 1.4.2")
    assert "kind=told" in page.url
    page.reload()
    expect(page.locator(".change")).to_have_count(1)
