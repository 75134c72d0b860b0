"""Traces of kinds that people post are told as who knows them would."""

import pytest

from tests.unit.stitch.building import LONG_AFTER, stitch
from tests.unit.stitch.posted import Posted, load_posted
from tests.unit.stitch.scenarios import picture
from tests.unit.stitch.test_bad_input import check_invariants


@pytest.mark.parametrize("posted", load_posted(), ids=lambda posted: posted.title)
def test_a_posted_trace_is_told_as_it_was(posted: Posted) -> None:
    """Its hops and tries are those that were made, and the verdict is what happened."""
    timeline = stitch([], posted.spans, now_ns=LONG_AFTER)
    check_invariants(timeline)
    assert picture(timeline) == posted.hops
    told = timeline.verdict
    parts = (told.layer, told.component, told.class_, told.outcome)
    words = " ".join(part for part in parts if part)
    if told.confidence < 0.9:
        words += f" {told.confidence:g}"
    assert (f"{words}: {told.reason}" if told.reason else words) == posted.verdict


def test_every_posted_trace_has_a_title_of_its_own() -> None:
    """Many kinds, and none of them twice."""
    titles = [posted.title for posted in load_posted()]
    assert len(set(titles)) == len(titles) >= 60
