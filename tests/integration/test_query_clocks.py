"""Clocks that are learned from stored requests, published, and used where they are surely wrong."""

from collections.abc import Iterator

import pytest

from collector.model import Span
from tests.api_client import Asker, serving
from tests.stories import MINUTE, MS, NOW, SECOND, Story, asking, number_id

T = NOW - 4 * MINUTE
SKEWS_MS = {"stock": 200, "mail": -200, "cart": 0}
CALLS = 12


def call(number: int, callee: str, *, slack_ms: int = 4) -> Story:
    """Tell one request of 50 ms between two pods; the callee waits *slack_ms* at each end."""
    trace, start = number_id(number), T + number * SECOND
    skew = SKEWS_MS[callee] * MS
    ids = [number_id(number * 10 + place, 16) for place in range(3)]
    rows = [
        ("shop", "Server", "", start, 60 * MS),
        ("shop", "Client", ids[0], start + 5 * MS, 50 * MS),
        (callee, "Server", ids[1], start + (5 + slack_ms) * MS + skew, (50 - 2 * slack_ms) * MS),
    ]
    spans = [
        Span(
            trace_id=trace,
            span_id=ids[place],
            parent_span_id=parent,
            name=f"call {service}",
            service=service,
            start_ns=begin,
            end_ns=begin + duration,
            kind=kind,
            resource={"service.name": service, "k8s.pod.name": f"{service}-0"},
        )
        for place, (service, kind, parent, begin, duration) in enumerate(rows)
    ]
    return Story([], spans)


STORIES = {
    callee: [call(number + 100 * place, callee) for number in range(1, CALLS + 1)]
    for place, callee in enumerate(SKEWS_MS)
}
# Its own bounds are 20 ms wide; only what was learned from the others can narrow them.
WIDE = call(50, "stock", slack_ms=20)


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """Three dozen requests between four pods."""
    folder = tmp_path_factory.mktemp("clocks")
    stories = [*(story for told in STORIES.values() for story in told), WIDE]
    with asking(stories, folder) as (questions, _), serving(questions) as found:
        yield found


def test_offsets_are_published_with_their_bounds(asker: Asker) -> None:
    """Each true offset lies within what is published, and only wrong clocks are called so."""
    document = asker.get("/api/v1/clocks")
    found = {(pair["first"], pair["second"]): pair for pair in document["pairs"]}
    assert document["calls"] == len(SKEWS_MS) * CALLS + 1
    for callee, skew_ms in SKEWS_MS.items():
        first, second = sorted(("shop-0", f"{callee}-0"))
        pair = found[first, second]
        truth = skew_ms if second.startswith(callee) else -skew_ms
        assert abs(pair["offset_ms"] - truth) <= pair["bound_ms"]
        assert pair["bound_ms"] == 4.0
        assert pair["health"] == ("off" if skew_ms else "ok")


def test_equal_clocks_move_nothing(asker: Asker) -> None:
    """Where zero lies within the bounds every span stays."""
    for story in STORIES["cart"]:
        timeline = asker.timeline(story.spans[0].trace_id)
        assert [span["adjusted_by_ms"] for span in timeline["spans"]] == [0, 0, 0]


@pytest.mark.parametrize("callee", ["stock", "mail"])
def test_a_wrong_clock_is_moved_and_said_so(asker: Asker, callee: str) -> None:
    """The span is moved by the offset, with half-width and reason; raw=true leaves it alone."""
    trace = STORIES[callee][0].spans[0].trace_id
    moved = asker.timeline(trace)["spans"][2]
    assert abs(moved["adjusted_by_ms"] + SKEWS_MS[callee]) <= moved["adjusted_bound_ms"] == 4.0
    side = "ahead of" if SKEWS_MS[callee] > 0 else "behind"
    assert moved["adjusted_reason"].startswith(f"the clock of {callee} is ")
    assert f" ms {side} shop, learned" in moved["adjusted_reason"]
    raw = asker.timeline(trace, "?raw=true")["spans"][2]
    assert raw["adjusted_by_ms"] == 0
    assert raw["start_offset_ms"] == 9 + SKEWS_MS[callee]


def test_what_was_learned_narrows_one_request(asker: Asker) -> None:
    """A request that bounds the offset badly takes the bound of all the others."""
    asker.get("/api/v1/clocks")
    moved = asker.timeline(WIDE.spans[0].trace_id)["spans"][2]
    assert moved["adjusted_bound_ms"] == 4.0
    assert moved["adjusted_reason"].endswith("learned over many requests")
