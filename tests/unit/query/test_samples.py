"""Answers about many requests: parameters, the doctor's words, the matrix of outcomes."""

from dataclasses import replace

import pytest

from collector.errors import BadQuestion
from collector.query.learned.lateness import LyingClock
from collector.query.reports.doctor import examine
from collector.query.reports.outcomes import tabulate
from collector.query.reports.sampling import Sample, parse_sample
from collector.query.results import TimeRange
from collector.stitch.timeline import Timeline
from tests.unit.stitch.scenarios import load_stories

NOW = 1_772_359_200_000_000_000
HOUR = 3_600_000_000_000
STORIES = {story.name: story for story in load_stories()}
WISH = parse_sample([], now_ns=NOW)


def many(name: str, count: int) -> tuple[Timeline, ...]:
    """Return as many requests that look like the story."""
    timeline = STORIES[name].stitch()
    return tuple(replace(timeline, id=f"{timeline.id}-{n}") for n in range(count))


def sample(timelines: tuple[Timeline, ...]) -> Sample:
    """Return a sample of the last hour."""
    searched = TimeRange(start_ns=WISH.start_ns, end_ns=WISH.end_ns)
    return Sample(range=searched, api="", timelines=timelines)


def test_the_last_hour_is_looked_at_by_default() -> None:
    """Without parameters 400 requests of the last hour are drawn, of any API."""
    assert (WISH.start_ns, WISH.end_ns, WISH.api, WISH.limit) == (NOW - HOUR, NOW, "", 400)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "5001"),
        ("limit", "many"),
        ("limit", "-1"),
        ("limit", "٥"),
        ("api", "x" * 513),
        ("api", "a\x00b"),
        ("start", "soon"),
        ("end", "1st of May"),
        ("apis", "orders"),
    ],
)
def test_a_bad_parameter_is_named(name: str, value: str) -> None:
    """The error begins with the name of what cannot be understood."""
    with pytest.raises(BadQuestion, match=rf"^'?{name}'?: "):
        parse_sample([(name, value)], now_ns=NOW)


def test_a_diagnosis_has_a_layer_and_examples() -> None:
    """An application that drops headers is blamed as such, with requests to look at."""
    report = examine(sample(many("doctor-header-stripped-by-app", 20)))
    [found] = [f for f in report.findings if f.rule == "HEADER_STRIPPED_BY_APP"]
    assert found.layer == "app"
    assert found.example_ids
    assert report.looked_at == 20
    assert report.note == ""


def test_the_doctor_counts_overlaps_too() -> None:
    """Retries of two layers are among the doctor's findings, at the gateway's layer."""
    report = examine(sample(many("retries-multiply", 6)))
    [found] = [f for f in report.findings if f.rule == "RETRIES_MULTIPLIED"]
    assert found.affected == 6
    assert found.layer == "gateway"


@pytest.mark.parametrize(("count", "why"), [(3, "too few"), (50, "often enough")])
def test_no_finding_says_why(count: int, why: str) -> None:
    """An empty answer tells too few requests from healthy ones."""
    report = examine(sample(many("join-by-sent-span-id", count)))
    assert report.findings == ()
    assert why in report.note


def test_outcomes_add_up() -> None:
    """The counts of the matrix and of the outcomes are those of the requests."""
    names = (
        "gateway-times-out-first",
        "fallback-hides-a-failure",
        "consumer-went-away",
        "gateway-fails-after-a-good-answer",
        "backend-failure-that-nobody-saw",
    )
    timelines = [each for name in names for each in many(name, 3)]
    apis = tabulate(timelines)
    assert sum(api.requests for api in apis) == len(timelines)
    counted: dict[str, int] = {}
    for api in apis:
        assert sum(row.requests for row in api.matrix) == api.requests
        assert all(row.examples for row in api.matrix)
        for outcome, count in api.outcomes.items():
            counted[outcome] = counted.get(outcome, 0) + count
    assert counted == {
        "zombie": 3,
        "masked": 3,
        "abandoned": 3,
        "manufactured": 3,
        "phantom": 3,
    }


def test_a_clock_that_a_sources_lag_gives_away_is_told() -> None:
    """Three requests are too few for a diagnosis; the lag of the source says that it is a clock."""
    timelines = many("clock-ahead", 3)
    clock = LyingClock(
        source="stock", stream="trace", rows=60, most_share=0.1, off_ns=HOUR, typical_ns=10**9
    )
    [found] = examine(sample(timelines), [clock]).findings
    assert (found.rule, found.hop, found.layer) == ("SOURCE_CLOCK", "stock", "host")
    assert (found.requests, found.affected) == (3, 3)
    assert "a clock is behind" in found.message
    assert "NTP" in found.fix
