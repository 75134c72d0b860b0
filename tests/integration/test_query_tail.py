"""Requests as they become known: over HTTP while rows are loaded, filtered, bounded, told once."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from collector.config import Settings, load_settings
from collector.query.learned.freshness import Freshness
from collector.query.results import Summary
from collector.query.search.tail import Tail
from collector.query.service import QueryService
from collector.store import Store, open_store
from collector.telemetry import Metrics
from tests.api_client import Asker, check_answer, serving
from tests.manual_clock import ManualClock
from tests.stories import (
    MINUTE,
    MS,
    NOW,
    SECOND,
    Story,
    joined_story,
    keep,
    load_kept,
    refused_story,
    tell,
)


class Scene:
    """A store that is told stories while somebody reads the tail."""

    def __init__(self, settings: Settings, store: Store, clock: ManualClock) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock

    def tell(self, *stories: Story) -> None:
        """Let stories arrive now."""
        self.clock.advance(ns=SECOND)
        now_ns = self.clock.now_ns()
        moved = [replace(each, lag_ns=now_ns - each.start_ns) for each in stories]
        tell(moved, self.settings, self.store, self.clock)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, QueryService]]:
    folder: Path = tmp_path_factory.mktemp("tail")
    settings = load_settings(data_dir=folder, ttl_days=0)
    clock = ManualClock(NOW)
    store = open_store(settings.store(), clock, Metrics())
    try:
        store.migrate()
        questions = QueryService(store, clock, Freshness(store, clock, folder))
        yield Scene(settings, store, clock), questions
        questions.close()
    finally:
        store.close()


@pytest.fixture(scope="module")
def asker(scene: tuple[Scene, QueryService]) -> Iterator[Asker]:
    with serving(scene[1]) as found:
        yield found


def listen(asker: Asker, query: str = "") -> tuple[list[tuple[str, Any]], Callable[[], None]]:
    """Read the tail in a thread; return where its events gather, and what ends it."""
    events: list[tuple[str, Any]] = []
    is_open, is_over = threading.Event(), threading.Event()

    def read() -> None:
        url = f"{asker.address}/api/v1/tail{query}"
        with httpx.stream("GET", url, timeout=30) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            name = ""
            for line in stream.iter_lines():
                is_open.set()
                if is_over.is_set():
                    return
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    events.append((name, json.loads(line.removeprefix("data: "))))

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    assert is_open.wait(20)

    def close() -> None:
        is_over.set()

    return events, close


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds, for a while."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def test_requests_are_told_when_they_become_known(
    scene: tuple[Scene, QueryService], asker: Asker
) -> None:
    """What comes in after a reader is there is told as a list would show it, each request once."""
    stage, _ = scene
    known = joined_story(1, NOW - MINUTE)
    stage.tell(known)
    events, close = listen(asker)
    stage.tell(joined_story(2, NOW - 30 * SECOND), refused_story(3, NOW - 20 * SECOND))
    stage.tell(joined_story(4, NOW - 10 * SECOND, 1_400 * MS, failed=True))
    wait_for(lambda: {each["status"] for _, each in events} >= {200, 401, 500})
    close()
    for _, summary in events:
        check_answer(Summary, summary)
    assert sum(name == "request" for name, _ in events) == 3
    assert known.records[0].record_id not in {each["id"] for _, each in events}


def test_a_late_record_is_told_as_a_change(scene: tuple[Scene, QueryService], asker: Asker) -> None:
    """Spans alone are a request without a gateway; its record, when it comes, is told too."""
    stage, _ = scene
    whole = joined_story(11, NOW - 8 * SECOND)
    events, close = listen(asker)
    stage.tell(Story([], whole.spans))
    wait_for(lambda: len(events) >= 1)
    stage.tell(Story(whole.records, []))
    wait_for(lambda: len(events) >= 2)
    close()
    assert [name for name, _ in events] == ["request", "update"]
    assert [each["joined"] for _, each in events] == [False, True]
    assert events[1][1]["api"] == "orders-api"


def test_filters_are_those_of_a_search(scene: tuple[Scene, QueryService], asker: Asker) -> None:
    """Only what a search with the same filters would list is told."""
    stage, _ = scene
    events, close = listen(asker, "?status=5xx&api=orders-api")
    stage.tell(joined_story(21, NOW - 6 * SECOND), joined_story(22, NOW - 5 * SECOND, failed=True))
    wait_for(lambda: bool(events))
    close()
    assert {each["status"] for _, each in events} == {500}


@pytest.mark.parametrize("query", ["start=-1h", "limit=5", "colour=red", "status=fine"])
def test_what_has_no_place_in_a_tail_is_refused(asker: Asker, query: str) -> None:
    """A range, a page and unknown words are bad questions before anything is streamed."""
    status = 422 if query.startswith("colour") else 400
    error = asker.get(f"/api/v1/tail?{query}", status)["error"]
    assert query.partition("=")[0] in error["message"]


def test_there_are_only_so_many_readers(
    scene: tuple[Scene, QueryService], asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reader too many is told to come back, and the others stay."""
    monkeypatch.setattr("collector.api.rest.tail.MAX_READERS", 0)
    assert asker.get("/api/v1/tail", 429)["error"]["code"] == "overloaded"


def summaries(count: int) -> list[Summary]:
    """Return rows of made-up requests, the newest first."""
    return [
        Summary(
            id=f"request-{number}",
            trace_id="",
            start_ns=NOW + number,
            duration_ns=MS,
            gateway="kong",
            api="orders",
            operation="",
            route="/orders",
            method="GET",
            status=200,
            is_error=False,
            consumer="",
            backend_ns=None,
            unexplained_ns=None,
            hops=1,
            slowest_hop="",
            slowest_hop_ns=None,
            services=(),
            is_joined=False,
            state="final",
            verdict="none",
        )
        for number in reversed(range(count))
    ]


def test_overlapping_polls_tell_each_request_once() -> None:
    """Rows are read again for a while, for they become visible out of order; none is told twice."""
    clock = ManualClock(NOW)
    since: list[int] = []

    def find(since_ns: int) -> tuple[list[Summary], bool]:
        since.append(since_ns)
        return summaries(len(since)), len(since) == 2

    tail = Tail(find, clock)
    told = []
    for _ in range(3):
        polled = tail.poll()
        told += [event.request.id for event in polled.events]
        assert polled.is_cut == (len(since) == 2)
        clock.advance(ns=30 * SECOND)
    assert told == ["request-0", "request-1", "request-2"]
    assert since == [NOW, NOW, NOW + 20 * SECOND]


def test_what_is_loaded_late_is_told(scene: tuple[Scene, QueryService]) -> None:
    """A request that waited in the journal for a minute becomes known when it is loaded."""
    stage, questions = scene
    tail = questions.searches.open_tail([])
    story = replace(joined_story(970, stage.clock.now_ns()), lag_ns=SECOND)
    stage.clock.advance(ns=SECOND)
    keep([story], stage.settings, stage.clock)
    for _ in range(6):
        stage.clock.advance(ns=10 * SECOND)
        assert not tail.poll().events
    load_kept(stage.settings, stage.store)
    assert [each.request.id for each in tail.poll().events] == [story.records[0].record_id]
    assert not tail.poll().events
    with stage.store.connections.writing() as client:  # the server's clock is ahead of the stories'
        client.command("TRUNCATE TABLE hopline.late_load")
