"""What an answer says that found nothing: where else to look, and what may still come."""

from pathlib import Path

import pytest

from collector.config import load_settings
from collector.errors import NotFound
from collector.query.learned.freshness import Freshness
from collector.query.service import QueryService
from collector.store import open_store
from collector.telemetry import Metrics
from tests.manual_clock import ManualClock
from tests.stories import MINUTE, MS, NOW, joined_story, tell

SLOW = joined_story(1, NOW - 20 * MINUTE, 1_400 * MS, failed=True)
TRACE = SLOW.spans[0].trace_id
CORRELATION = SLOW.records[0].record_id
ANOTHER = joined_story(2, NOW).records[0].record_id


def test_what_is_not_found_says_where_else_to_look(tmp_path: Path) -> None:
    """The beginning of an id is for a search; what came a moment ago has come."""
    settings = load_settings(data_dir=tmp_path, ttl_days=0)
    clock = ManualClock(NOW)
    store = open_store(settings.store(), clock, Metrics())
    store.migrate()
    questions = QueryService(store, clock, Freshness(store, clock, tmp_path))
    try:
        with pytest.raises(NotFound) as caught:
            questions.timelines.get(TRACE)
        assert caught.value.hint == "no source has sent anything yet"
        tell([SLOW], settings, store, clock)
        with pytest.raises(NotFound) as caught:
            questions.timelines.get(ANOTHER)
        assert "what is newer may still come" in caught.value.hint
        with pytest.raises(NotFound) as caught:
            questions.timelines.get(CORRELATION[:8])
        assert f"a search for q={CORRELATION[:8]}" in caught.value.hint
        found = questions.searches.find([("q", CORRELATION[:8])]).requests
        assert [each.id for each in found] == [CORRELATION]
    finally:
        questions.close()
        store.close()
