"""Timelines as documents: every field, exact milliseconds, exact moments."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter

from collector.answers import Answer, encode
from collector.query.learned.clocks import ClockReport
from collector.query.reports.apis import Apis
from collector.query.reports.doctor import DoctorReport
from collector.query.reports.joins import JoinReport
from collector.query.reports.services import Edges, Services
from collector.query.reports.slow import Slow
from collector.query.results import Found, Sources, Stored
from collector.query.timelines.explanation import Explanation, Sentence, build_explanation
from collector.query.timelines.markdown import read_explanation, write_explanation
from collector.stitch.timeline import Timeline
from tests.api_client import check_answer
from tests.golden_file import GOLDEN, check_golden
from tests.stories import MINUTE, MS, NOW, Story, joined_story, refused_story, unrecorded_story
from tests.unit.stitch.building import stitch
from tests.unit.stitch.scenarios import load_stories

T = NOW - 20 * MINUTE
TOLD = {story.name: story for story in load_stories()}
# One with retries, one without spans behind the gateway, one whose records contradict each other.
GOLDEN_STORIES = ["gateway-times-out-first", "refused-with-401", "times-that-can-not-be-true"]
STORIES = [joined_story(1, T, failed=True), refused_story(2, T), unrecorded_story(3, T)]


def read_back(answer: Answer) -> Any:
    """Return the JSON that an answer is written as."""
    return json.loads(encode(answer))


@pytest.mark.parametrize("story", STORIES)
def test_a_timeline_has_exactly_the_documented_fields(story: Story) -> None:
    """What is written is what the OpenAPI document describes."""
    timeline = stitch(story.records, story.spans, now_ns=NOW)
    check_answer(Timeline, read_back(timeline))


@pytest.mark.parametrize("name", GOLDEN_STORIES)
def test_golden_answers(name: str) -> None:
    """A story's timeline and its sentences read as the committed ones, field by field."""
    timeline = TOLD[name].stitch()
    answers = {"timeline": timeline, "explanation": build_explanation(timeline)}
    lines = "\n".join(
        line for part, answer in answers.items() for line in _lines(part, read_back(answer))
    )
    check_golden(GOLDEN / "answers" / f"{name}.txt", lines + "\n")


def _lines(path: str, value: Any) -> Iterator[str]:
    """Yield a JSON value with a line for each thing in it that holds no further things."""
    if isinstance(value, dict) and any(isinstance(each, (dict, list)) for each in value.values()):
        plain = {k: v for k, v in value.items() if not isinstance(v, (dict, list))}
        if plain:
            yield f"{path} {json.dumps(plain, ensure_ascii=False)}"
        for name, inner in value.items():
            if name not in plain:
                yield from _lines(f"{path}.{name}", inner)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, inner in enumerate(value):
            yield from _lines(f"{path}[{index}]", inner)
    else:
        yield f"{path} {json.dumps(value, ensure_ascii=False)}"


def test_every_moment_and_duration_says_its_unit() -> None:
    """Text of a moment never stands under a name in milliseconds, nor a number under another."""
    kinds = (
        Timeline, Found, Stored, Sources, Apis, Services, Edges, Slow, ClockReport, DoctorReport,
        JoinReport,
    )  # fmt: skip
    for kind in kinds:
        schema = TypeAdapter(kind).json_schema(mode="serialization")
        for each in (schema, *schema.get("$defs", {}).values()):
            for name, described in each.get("properties", {}).items():
                is_number = "'number'" in str(described)
                is_moment = "date-time" in str(described)
                assert not name.endswith("_ns"), (each["title"], name)
                assert is_number or not name.endswith("_ms"), (each["title"], name)
                assert not is_moment or not name.endswith("_ms"), (each["title"], name)


def test_nanoseconds_survive_as_milliseconds() -> None:
    """A duration of 1,234,567 ns is 1.234567 ms, and a moment keeps nine digits."""
    story = unrecorded_story(4, T + 1)
    story.spans[0].end_ns = story.spans[0].start_ns + 51 * MS + 234_567
    timeline = read_back(stitch([], story.spans, now_ns=NOW))
    assert timeline["duration_ms"] == 51.234567
    assert timeline["start"] == "2026-03-01T09:40:00.000000001Z"


def test_a_row_that_is_no_json_stays_text() -> None:
    """A gateway's log line is shown as it was, a JSON row as the object it is."""
    story = refused_story(2, T)
    for raw, shown in (("GET /x 401", "GET /x 401"), ('{"a": [1]}', {"a": [1]}), ("", {})):
        story.records[0].raw = raw
        stored = Stored(id="x", records=tuple(story.records), spans=(), logs=(), is_cut=False)
        assert read_back(stored)["records"][0]["raw"] == shown


@pytest.mark.parametrize("story", STORIES)
def test_an_account_survives_its_document(story: Story) -> None:
    """Markdown made from the JSON of an account is the Markdown of the account."""
    account = build_explanation(stitch(story.records, story.spans, now_ns=NOW))
    document = read_back(account)
    check_answer(Explanation, document)
    assert write_explanation(read_explanation(document)) == write_explanation(account)


def test_reading_directions_are_escaped_in_json() -> None:
    """What a reader of the answer could obey stands as an escape, and reads back as it was."""
    name = "a\u202eb\u2066c\x85d\u2028e für हिन्दी —"
    answer = Explanation(name, "t", "final", 1, ())
    body = encode(answer).decode()
    assert not set("\u202e\u2066\x85\u2028") & set(body)
    assert "für हिन्दी —" in body
    assert json.loads(body)["id"] == name


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
