"""What is kept of requests told as stories, of posted traces and of what real proxies sent."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import orjson

from collector.model import Span
from collector.query.background.facts import facts_of
from collector.stitch.timeline import Timeline
from tests.golden_file import GOLDEN, check_golden
from tests.unit.stitch.building import LONG_AFTER, stitch
from tests.unit.stitch.captures import FOLDER, load_capture
from tests.unit.stitch.posted import load_posted
from tests.unit.stitch.scenarios import load_stories


def test_golden_facts() -> None:
    """Each request leaves the row that is committed, field by field."""
    rows = [_row(*request) for request in _requests()]
    check_golden(GOLDEN / "facts.jsonl", "\n".join(rows) + "\n")


def _requests() -> Iterator[tuple[str, Timeline, Sequence[Span]]]:
    for story in load_stories():
        yield story.name, story.stitch(), story.spans()
    for posted in load_posted():
        yield posted.title, stitch([], posted.spans, now_ns=LONG_AFTER), posted.spans
    for path in sorted(FOLDER.glob("*.json")):
        sent = load_capture(path.stem)
        yield path.stem, stitch([], sent.spans, sent.logs, now_ns=LONG_AFTER), sent.spans


def _row(name: str, timeline: Timeline, spans: Sequence[Span]) -> str:
    """Write the facts of a request as a line of JSON, without what nobody says."""
    facts = facts_of(timeline, spans, place=1, one_of=2, stratum="rest", received_ns=3)
    values = asdict(facts)
    hops = [_said(hop) for hop in values.pop("hops")]
    return orjson.dumps({"told": name, **_said(values), "hops": hops}).decode()


def _said(values: dict[str, object]) -> dict[str, object]:
    return {
        key: value
        for key, value in values.items()
        if not (value is None or value is False or value in ("", [], ()))
    }
