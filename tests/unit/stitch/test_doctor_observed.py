"""Findings of timelines counted over many requests: overlaps, missing sources, false times."""

from dataclasses import replace

import pytest

from collector.stitch.doctor.catalogue import RULES
from collector.stitch.doctor.diagnose import diagnose
from collector.stitch.timeline import Finding, Timeline
from tests.unit.stitch.scenarios import load_stories

STORIES = {story.name: story for story in load_stories()}


def many(name: str, count: int) -> list[Timeline]:
    """Return as many requests that look like the story."""
    timeline = STORIES[name].stitch()
    return [replace(timeline, id=f"{timeline.id}-{n}") for n in range(count)]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("retries-multiply", "RETRIES_MULTIPLIED"),
        ("gateway-times-out-first", "TIMEOUT_LONGER_INSIDE"),
        ("rate-limit-behind-the-gateway", "RATE_LIMIT_BEHIND_GATEWAY"),
        ("authorization-policy-of-the-mesh", "AUTHORIZATION_BEHIND_GATEWAY"),
        ("two-layers-split-traffic", "SPLIT_DISAGREES"),
    ],
)
def test_layers_against_each_other_are_counted(name: str, rule: str) -> None:
    """Each overlap is a diagnosis from five requests on, however small their share."""
    crowd = [*many(name, 5), *many("join-by-trace-id", 500)]
    [found] = [d for d in diagnose(crowd) if d.rule == rule]
    assert found.requests == 5
    assert found.title == RULES[rule].title
    assert found.fix
    assert found.examples[0].startswith(STORIES[name].stitch().id)
    assert not [d for d in diagnose(many(name, 4)) if d.rule == rule]


def test_spans_that_never_came_are_counted_at_the_gateway() -> None:
    """From twenty requests on, a source that no longer will report is named with its share."""
    crowd = many("spans-that-never-came", 20)
    [found] = [d for d in diagnose(crowd) if d.rule == "SOURCE_MISSING"]
    assert (found.requests, found.share) == (20, 1.0)
    assert "spans" in found.message
    assert "/api/v1/sources" in found.fix
    assert not [d for d in diagnose(crowd[:19]) if d.rule == "SOURCE_MISSING"]


def test_times_that_can_not_be_true_are_counted() -> None:
    """A flag of the truth check is reported with what it means."""
    found = diagnose(many("times-that-can-not-be-true", 25))
    assert {"BACKEND_GT_TOTAL", "NEGATIVE_SELF"} & {d.rule for d in found}
    assert all(d.title[0].isupper() and "_" not in d.title for d in found)


def test_a_finding_counts_once_a_request() -> None:
    """Two spans with the same trouble are one request with it."""
    [timeline] = many("join-by-trace-id", 1)
    twice = tuple(Finding(rule="ORPHAN", title="", hop=0, message=f"span {n}") for n in range(2))
    crowd = [replace(timeline, id=f"r{n}", findings=twice) for n in range(20)]
    [found] = [d for d in diagnose(crowd) if d.rule == "ORPHAN"]
    assert found.requests == found.passing == 20


def test_healthy_requests_have_no_diagnosis() -> None:
    """Where nothing is wrong nothing is found."""
    assert diagnose(many("join-by-sent-span-id", 100)) == ()
