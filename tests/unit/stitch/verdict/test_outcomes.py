"""The matrix of what consumers got against what happened inside."""

from collector.stitch.verdict.outcomes import OutcomeCount, count_outcomes
from tests.unit.stitch.scenarios import load_stories

STORIES = {story.name: story for story in load_stories()}


def test_the_matrix_reconciles_to_the_number_of_requests() -> None:
    """Every request that left the gateway is counted once, under its statuses and outcome."""
    told = [story.stitch() for story in STORIES.values() if story.told.get("records")]
    counted = count_outcomes(told)
    left = [timeline for timeline in told if not timeline.is_answered_at_gateway]
    assert sum(row.requests for row in counted) == len(left) < len(told)
    outcomes = {row.outcome for row in counted}
    assert {"ok", "failed", "masked", "manufactured", "phantom", "abandoned", "zombie"} == outcomes


def test_a_zombie_is_counted_with_its_waste() -> None:
    """Two requests that went on for nobody add up their time."""
    story = STORIES["gateway-times-out-first"]
    [row] = count_outcomes([story.stitch(), story.stitch()])
    assert row == OutcomeCount(
        api="",
        consumer="",
        gateway_status="5xx",
        edge_status="error",
        app_status="2xx",
        outcome="zombie",
        requests=2,
        wasted_ns=798_000_000,
        examples=(story.stitch().id,) * 2,
    )
