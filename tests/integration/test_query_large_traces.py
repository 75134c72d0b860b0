"""Lists that hold a trace larger than what a list reads, over HTTP and a real embedded engine."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from collector.model import Span
from collector.store import Store
from tests.api_client import Asker, serving
from tests.stories import MINUTE, NOW, SECOND, asking, joined_story, number_id

# one of many spans, with others before and behind it in the order of trace ids
STORIES = [joined_story(n, NOW - 30 * MINUTE + n * SECOND) for n in range(50, 60)]
LARGE = STORIES[4]
LARGE.spans += [replace(LARGE.spans[-1], span_id=number_id(9_000 + n, 16)) for n in range(200)]


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    folder = tmp_path_factory.mktemp("large")
    with asking(STORIES, folder) as (questions, _), serving(questions) as found:
        yield found


def test_a_trace_too_large_for_a_list_costs_those_beside_it_nothing(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a trace larger than a page all others are stitched, and only once is it looked at."""
    monkeypatch.setattr("collector.query.timelines.rows.MAX_PAGE_SPANS", 150)
    read: list[str] = []
    get_spans = Store.get_spans

    def counted(self: Store, traces: Sequence[str], **given: Any) -> list[Span]:
        read.extend(traces)
        return get_spans(self, traces, **given)

    monkeypatch.setattr(Store, "get_spans", counted)
    for looked_at in (1, 0):
        read.clear()
        found = asker.get("/api/v1/requests?start=-1h")["requests"]
        verdicts = {summary["id"]: summary["verdict"] for summary in found}
        assert len(verdicts) == len(STORIES)
        assert [id_ for id_, verdict in verdicts.items() if not verdict] == [
            LARGE.records[0].record_id
        ]
        assert read.count(LARGE.spans[0].trace_id) == looked_at


def test_a_trace_too_large_for_a_timeline_is_said_to_be_one(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is cut is the trace, and not a number of requests under one id."""
    for module in ("resolve", "timelines"):
        monkeypatch.setattr(f"collector.query.timelines.{module}.MAX_SPANS", 100)
    found = asker.get(f"/api/v1/requests/{LARGE.spans[0].trace_id}")["findings"]
    (finding,) = (each for each in found if each["rule"] == "TOO_MUCH_UNDER_THIS_ID")
    assert finding["title"] == "The trace has more spans than are read at once"
    assert finding["message"] == "100 of its spans were taken."
