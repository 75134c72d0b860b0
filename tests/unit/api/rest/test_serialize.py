"""Timelines as documents: every field, exact milliseconds, exact moments."""

import orjson
import pytest

from collector.api.rest import models as documents
from collector.api.rest.serialize import render_explanation, render_stored, render_timeline
from collector.query.results import Stored
from collector.query.timelines.explanation import Explanation, Sentence, build_explanation
from collector.query.timelines.markdown import read_explanation, write_explanation
from tests.stories import MINUTE, MS, NOW, Story, joined_story, refused_story, unrecorded_story
from tests.unit.stitch.building import stitch

T = NOW - 20 * MINUTE
STORIES = [joined_story(1, T, failed=True), refused_story(2, T), unrecorded_story(3, T)]


@pytest.mark.parametrize("story", STORIES)
def test_a_timeline_has_exactly_the_documented_fields(story: Story) -> None:
    """What orjson writes is what the OpenAPI document describes."""
    timeline = stitch(story.records, story.spans, now_ns=NOW)
    written = orjson.loads(orjson.dumps(render_timeline(timeline)))
    documents.TimelineDocument.model_validate(written)


def test_nanoseconds_survive_as_milliseconds() -> None:
    """A duration of 1,234,567 ns is 1.234567 ms, and a moment keeps nine digits."""
    story = unrecorded_story(4, T + 1)
    story.spans[0].end_ns = story.spans[0].start_ns + 51 * MS + 234_567
    timeline = render_timeline(stitch([], story.spans, now_ns=NOW))
    assert timeline["duration_ms"] == 51.234567
    assert timeline["start"] == "2026-03-01T09:40:00.000000001Z"


def test_a_row_that_is_no_json_stays_text() -> None:
    """A gateway's log line is shown as it was, a JSON row as the object it is."""
    story = refused_story(2, T)
    for raw, shown in (("GET /x 401", "GET /x 401"), ('{"a": [1]}', {"a": [1]}), ("", {})):
        story.records[0].raw = raw
        stored = Stored(id="x", records=tuple(story.records), spans=(), logs=(), is_cut=False)
        assert render_stored(stored)["records"][0]["raw"] == shown


@pytest.mark.parametrize("story", STORIES)
def test_an_account_survives_its_document(story: Story) -> None:
    """Markdown made from the JSON of an account is the Markdown of the account."""
    account = build_explanation(stitch(story.records, story.spans, now_ns=NOW))
    document = orjson.loads(orjson.dumps(render_explanation(account)))
    documents.ExplanationDocument.model_validate(document)
    assert write_explanation(read_explanation(document)) == write_explanation(account)


def test_names_can_not_write_markdown() -> None:
    """Links, emphasis, code and line breaks in names are shown, not obeyed."""
    sentence = Sentence("happened", "a *b* [c](http://d) <e>\n# f _g_ h_i", "R`x", ("r`\n1",))
    text = write_explanation(Explanation("i`d", "t\n# u", "final", 1, (sentence,)))
    assert r"a \*b\* \[c\](http://d) \<e\> # f \_g\_ h_i" in text
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# t # u",
        "## What happened",
    ]
    assert "(`R'x` `r' 1`)" in text
