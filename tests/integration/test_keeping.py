"""Spans of requests worth reading later outlive the others, and are read as if nothing had gone."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from collector.config import load_settings
from collector.query.background.keeping import Keeping
from collector.query.background.strata import place_of
from collector.query.learned.freshness import Freshness
from collector.query.service import QueryService
from collector.store import open_store
from collector.store.kept import KEPT_ONE_OF
from collector.telemetry import Metrics
from tests.manual_clock import ManualClock
from tests.stored import Loading, query_rows
from tests.stories import (
    NOW,
    SECOND,
    joined_story,
    number_id,
    tell,
)

_BOUND = (1 << 64) // KEPT_ONE_OF
# by what their traces' hashes are, these are among the one in a hundred, and not
_DRAWN = next(n for n in count(200) if place_of(number_id(n)) < _BOUND)
_PASSED_OVER = next(n for n in count(200) if place_of(number_id(n)) > _BOUND)
_FAILED = 1
_SHORT_LIVED = ("otel_traces", "otel_traces_trace_id_ts", "trace_summary", "otel_logs")


class Shelf:
    """A store in which requests were stitched, and a day went by."""

    def __init__(self, folder: Path) -> None:
        settings = load_settings(data_dir=folder, ttl_days=0, span_ttl_days=20_000)
        self.clock = ManualClock(NOW)
        self.store = open_store(settings.store(), self.clock, Metrics())
        self.store.migrate()
        self.loading = Loading(self.store, folder)
        self.metrics = Metrics()
        freshness = Freshness(self.store, self.clock, folder)
        self.questions = QueryService(self.store, self.clock, freshness, metrics=self.metrics)
        start = NOW - 40 * SECOND
        stories = [
            joined_story(_FAILED, start, failed=True),
            joined_story(_DRAWN, start + SECOND),
            joined_story(_PASSED_OVER, start + 2 * SECOND),
        ]
        self.spans = {
            number: len(each.spans)
            for number, each in zip((_FAILED, _DRAWN, _PASSED_OVER), stories, strict=True)
        }
        for each in stories:
            each.lag_ns = NOW - each.start_ns
        tell(stories, settings, self.store, self.clock)
        self.clock.advance(s=11)
        background = self.questions.background(1.0)
        while background.step().is_behind:
            pass
        self.clock.advance(s=86_400 + 600)
        self.keeping = Keeping(self.store, self.clock, self.metrics, lambda: None)

    def let_go(self, tables: tuple[str, ...] = _SHORT_LIVED) -> None:
        """Let the time to live of spans end."""
        with self.store.connections.writing() as client:
            for table in tables:
                client.command(f"TRUNCATE TABLE hopline.{table}")

    def count_kept(self) -> int:
        """Count the rows of spans that are kept."""
        return int(query_rows(self.store, "SELECT count() FROM hopline.otel_traces_kept")[0][0])

    def close(self) -> None:
        """End."""
        self.questions.close()
        self.store.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """Yield a store whose spans are a day old, before anything was kept."""
    made = Shelf(tmp_path)
    yield made
    made.close()


def test_spans_of_failed_requests_outlive_the_others(shelf: Shelf) -> None:
    """A failed request and one in a hundred others keep their timeline, the rest the record."""
    before = {n: shelf.questions.timelines.get(number_id(n)) for n in shelf.spans}
    while shelf.keeping.step():
        pass
    kept = shelf.spans[_FAILED] + shelf.spans[_DRAWN]
    assert shelf.count_kept() == kept
    assert shelf.metrics.value("hopline_traces_kept_total") == 2

    # a day before the spans go, what came late is added
    late = joined_story(_FAILED, NOW - 40 * SECOND, failed=True).spans[-1]
    late = replace(late, span_id=number_id(77, 16), name="audit", start_ns=late.start_ns + 1)
    shelf.loading.spans(late, received_ns=NOW + 3 * 86_400 * SECOND)
    before[_FAILED] = shelf.questions.timelines.get(number_id(_FAILED))
    while shelf.keeping.step():
        pass
    assert shelf.count_kept() == kept
    shelf.clock.advance(s=19_998 * 86_400)
    while shelf.keeping.step():
        pass
    kept += 1
    assert shelf.count_kept() == kept
    shelf.clock.advance(s=-19_998 * 86_400)

    # beside each other: nothing is there twice
    assert shelf.questions.timelines.get(number_id(_FAILED)) == before[_FAILED]
    # a part of a day's spans goes before the others
    with shelf.store.connections.writing() as client:
        client.command(
            "ALTER TABLE hopline.otel_traces DELETE WHERE cityHash64(SpanId) % 2 = 0",
            settings={"mutations_sync": 2},
        )
    assert shelf.questions.timelines.get(number_id(_FAILED)) == before[_FAILED]

    shelf.let_go()
    for number in (_FAILED, _DRAWN):
        for asked in (number_id(number), number_id(number)[16:]):
            timeline = shelf.questions.timelines.get(asked)
            assert timeline.hops == before[number].hops, asked
            assert timeline.verdict == before[number].verdict, asked
    lost = shelf.questions.timelines.get(number_id(_PASSED_OVER))
    assert [hop.role for hop in lost.hops] == ["gateway"]
    listed = shelf.questions.searches.find([("start", "-2d")]).requests
    assert {each.id: each.is_joined for each in listed} == {
        before[_FAILED].id: True,
        before[_DRAWN].id: True,
        before[_PASSED_OVER].id: False,
    }

    # again after a crash: what is kept is kept once
    assert shelf.store.keep_traces(dict.fromkeys(map(number_id, shelf.spans), "")) == 0
    assert shelf.count_kept() == kept


def test_copies_are_not_taken_for_cut_parts(shelf: Shelf) -> None:
    """Tables of an earlier version have a log of loads, which copies are not in; they stay."""
    with shelf.store.connections.writing() as client:
        client.command(
            "ALTER TABLE hopline.otel_traces_kept "
            "MODIFY SETTING non_replicated_deduplication_window = 1000"
        )
    while shelf.keeping.step():
        pass
    kept = shelf.count_kept()
    late = joined_story(_FAILED, NOW - 40 * SECOND, failed=True).spans[-1]
    shelf.loading.spans(replace(late, span_id=number_id(77, 16)))
    assert shelf.count_kept() == kept > 0
