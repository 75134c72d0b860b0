"""Every story comes back as it is told to end."""

import random
from dataclasses import replace

import pytest

from collector.stitch.doctor.diagnose import find_symptoms
from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import MS
from tests.unit.stitch.scenarios import Story, load_stories, picture
from tests.unit.stitch.test_bad_input import check_invariants

STORIES = load_stories()


def ends_as(timeline: Timeline) -> dict[str, object]:
    """Return a timeline in the words in which stories end."""
    return {
        "id": timeline.id,
        "trace_id": timeline.trace_id,
        "duration_ms": None if timeline.duration_ns is None else timeline.duration_ns / MS,
        "status": timeline.status,
        "state": timeline.state,
        "expected": {e.source: e.status for e in timeline.expected},
        "sources": [list(merged.sources) for merged in timeline.gateway_records],
        "others": list(timeline.others),
        **_shape(timeline),
        **_joints(timeline),
        **_judgement(timeline),
    }


def _shape(timeline: Timeline) -> dict[str, object]:
    sent = {span.raw_span_id.lstrip("0"): span for span in timeline.spans if span.raw_span_id}
    moved = {name: span.adjusted_by_ns / MS for name, span in sent.items() if span.adjusted_by_ns}
    return {
        "hops": picture(timeline),
        "phases": {p.name: p.duration_ns / MS for p in timeline.phases},
        "phase_bounds": {p.name: [p.lower_ns / MS, p.upper_ns / MS] for p in timeline.phases},
        "directions": {
            way.name: [way.lower_ns / MS, way.upper_ns / MS]
            for phase in timeline.phases
            for way in phase.directions
        },
        "critical_ms": {h.service: h.critical_ns / MS for h in timeline.hops if h.critical_ns},
        "orphans": [name for name, span in sent.items() if span.is_orphan],
        "offsets_ms": {name: span.start_offset_ns / MS for name, span in sent.items()},
        "adjusted_ms": moved,
        "callers": [span.service for span in timeline.callers],
    }


def _joints(timeline: Timeline) -> dict[str, object]:
    links = timeline.links
    return {
        "links": [[k.from_, k.to, k.tier, k.confidence] for k in links if k.to],
        "rejected": [[r.to, r.tier, r.reason] for k in links for r in k.rejected],
        "evidence": [[e.field, e.left, e.right] for k in links for e in k.evidence],
    }


def _judgement(timeline: Timeline) -> dict[str, object]:
    verdict = timeline.verdict
    return {
        "verdict": [verdict.layer, verdict.component, verdict.class_],
        "rule": verdict.rule,
        "reason": verdict.reason,
        "who_closed": verdict.who_closed,
        "chain": [[step.component, step.what] for step in verdict.chain],
        "outcome": verdict.outcome,
        "wasted_ms": verdict.wasted_ns / MS,
        "findings": sorted({finding.rule for finding in timeline.findings}),
        "messages": [finding.message for finding in timeline.findings],
        "acts": [[act.feature, act.layer, act.component] for act in timeline.acts],
        "symptoms": [
            [rule.code, symptom.place]
            for rule, symptom in find_symptoms(timeline)
            if not rule.code.startswith("SOURCE_")
        ],
    }


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_story_ends_as_told(story: Story) -> None:
    """What the story expects is what the timeline says; what it does not mention is free."""
    timeline = story.stitch()
    check_invariants(timeline)
    ends = ends_as(timeline)
    other = {n: (ends[n], told) for n, told in story.expect.items() if ends[n] != told}
    assert not other, "what it is, and what the story says"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_story_does_not_depend_on_the_order_of_arrival(story: Story) -> None:
    """Records and spans in any order make the same timeline."""
    expected = story.stitch()
    shuffled = random.Random(11)
    for _ in range(3):
        told = {**story.told}
        for name in ("records", "spans", "logs"):
            told[name] = list(told.get(name, ()))
            shuffled.shuffle(told[name])
        assert Story(story.name, told).stitch() == expected


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_story_is_prose_with_a_source(story: Story) -> None:
    """A story says what happened and where the case comes from."""
    assert len(story.told["story"]) > 60
    assert story.told["source"]
    assert story.expect


def test_raw_starts_are_shown_on_request() -> None:
    """With raw times nothing is moved, and phases and path stay as they were."""
    story = next(story for story in STORIES if story.name == "clock-ahead")
    adjusted, raw = story.stitch(), story.stitch(is_raw=True)
    assert any(span.adjusted_by_ns for span in adjusted.spans)
    assert not any(span.adjusted_by_ns for span in raw.spans)
    assert raw.phases == adjusted.phases
    assert raw.critical_path == adjusted.critical_path


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_without_the_doctor_all_but_his_findings_is_the_same(story: Story) -> None:
    """A list, which leaves the diagnosis out, says of a request what its timeline says."""
    whole, brief, of_tree = (story.stitch(findings=each) for each in ("all", "none", "of_tree"))
    assert replace(whole, findings=()) == brief == replace(of_tree, findings=())
    assert whole.findings[: len(of_tree.findings)] == of_tree.findings
