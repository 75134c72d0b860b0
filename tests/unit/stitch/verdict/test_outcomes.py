"""The matrix of what consumers got against what happened inside."""

import pytest

from collector.stitch.verdict.outcomes import OutcomeCount, count_outcomes
from tests.unit.stitch.building import LONG_AFTER, TraceBuilder, stitch
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


@pytest.mark.parametrize("kind", ["Internal", "Client"])
def test_a_failure_below_spans_that_say_nothing_is_no_masked_one(kind: str) -> None:
    """A job's own spans are silent however it ends: what failed inside may have ended it."""
    trace = TraceBuilder()
    job = trace.span("rollup", 0, 100, kind=kind)
    step = trace.span("rollup", 5, 60, job)
    trace.span("rollup", 10, 40, step, status="Error", status_message="no such table")
    trace.span("rollup", 66, 30, job)
    verdict = stitch([], trace.spans, now_ns=LONG_AFTER).verdict
    assert (verdict.layer, verdict.component, verdict.outcome) == ("app", "rollup", "failed")
    assert verdict.confidence == 0.5
    assert verdict.reason.endswith("no span above it says how that ended")


@pytest.mark.parametrize(
    ("status", "attributes"),
    [("Ok", {}), ("Unset", {"http.response.status_code": "200"})],
)
def test_a_failure_below_a_span_that_ended_well_is_masked(
    status: str, attributes: dict[str, str]
) -> None:
    """Whoever says that all is well has dealt with it."""
    trace = TraceBuilder()
    job = trace.span("rollup", 0, 100, status=status, attributes=attributes)
    trace.span("rollup", 10, 40, job, status="Error", status_message="no such table")
    verdict = stitch([], trace.spans, now_ns=LONG_AFTER).verdict
    assert (verdict.layer, verdict.outcome) == ("none", "masked")
