"""A timeline in words: complete, with its proofs, and the same every time."""

import random

from collector.model import GatewayRecord, LogRecord, Span
from collector.query.timelines.explanation import SECTIONS, Explanation, build_explanation
from collector.stitch.completeness import SourceLag, SourceLags
from tests.stories import (
    MINUTE,
    MS,
    NOW,
    SECOND,
    Story,
    joined_story,
    make_record,
    refused_story,
    unrecorded_story,
)
from tests.unit.stitch.building import stitch
from tests.unit.stitch.scenarios import load_stories

T = NOW - 20 * MINUTE
LAGS = SourceLags(
    by_source={
        "log-analytics": SourceLag(watermark_ns=T - MINUTE, p99_lag_ns=4 * MINUTE),
        "spans": SourceLag(watermark_ns=NOW - SECOND, p99_lag_ns=SECOND),
    },
    expected=("log-analytics", "spans"),
)


def tell(story: Story, lags: SourceLags | None = None) -> Explanation:
    records: list[GatewayRecord] = list(story.records)
    spans: list[Span] = list(story.spans)
    logs: list[LogRecord] = []
    return build_explanation(stitch(records, spans, logs, now_ns=NOW, lags=lags))


def text_of(account: Explanation, section: str) -> str:
    return " ".join(s.text for s in account.sentences if s.section == section)


def test_a_failed_request_is_told_from_end_to_end() -> None:
    """What happened, where the time went, what failed first and how it was joined."""
    account = tell(joined_story(1, T, 1_400 * MS, failed=True))
    assert account.title == "GET /orders/1"
    assert "ended with status 500 after 1424.0 ms" in text_of(account, "happened")
    assert "dependencies took 1400.0 ms (98.3%)" in text_of(account, "time")
    assert "failed first" in text_of(account, "failure")
    assert "the same trace id, and the span's parent" in text_of(account, "join")


def test_every_sentence_has_a_rule_and_a_known_section() -> None:
    """No statement stands without the rule and the ids behind it; sections keep their order."""
    for story in (joined_story(1, T), refused_story(2, T), unrecorded_story(3, T)):
        account = tell(story, lags=LAGS)
        assert all(s.rule and s.text and s.refs for s in account.sentences)
        order = [list(SECTIONS).index(sentence.section) for sentence in account.sentences]
        assert order == sorted(order)


def test_sentences_end_in_one_full_stop() -> None:
    """Reasons and fixes from the rules are punctuated once."""
    for story in (joined_story(1, T, failed=True), refused_story(2, T)):
        for sentence in tell(story, lags=LAGS).sentences:
            assert sentence.text.endswith(".")
            assert not sentence.text.endswith("..")


def test_what_is_missing_says_until_when() -> None:
    """A source that has not reported is named with the moment at which hope ends."""
    account = tell(unrecorded_story(3, T), lags=LAGS)
    missing = text_of(account, "missing")
    assert "log-analytics has not reported yet; it may still come until 2026-03-01T" in missing
    assert "provisional" in missing


def test_a_refused_request_has_no_services() -> None:
    """Of a request that the gateway answered itself no service is told."""
    account = tell(refused_story(2, T))
    assert "No span of a service behind the gateway is known." in text_of(account, "happened")
    assert "azure-apim (gateway) failed first" in text_of(account, "failure")


def test_a_cache_hit_is_told() -> None:
    """An answer from the gateway's cache is said to be one."""
    record = make_record(9, T, cache="hit", cache_ns=MS, backend_ns=None, backend_status=None)
    assert "answered from the gateway's cache" in text_of(tell(Story([record])), "happened")


def test_the_order_of_arrival_changes_no_word() -> None:
    """Twenty shuffles of the same rows give the same account."""
    story = joined_story(1, T, failed=True)
    expected = tell(story, lags=LAGS)
    chance = random.Random(5)
    for _ in range(20):
        spans = list(story.spans)
        chance.shuffle(spans)
        assert tell(Story(story.records, spans), lags=LAGS) == expected


def test_layers_that_act_against_each_other_are_told() -> None:
    """The chain of the verdict, what each layer did and the overlap each have a sentence."""
    [story] = [each for each in load_stories() if each.name == "retries-multiply"]
    timeline = story.stitch()
    account = build_explanation(timeline)
    acts = [s for s in account.sentences if s.section == "layers"]
    assert {s.rule for s in acts} >= {"ACT_RETRY"}
    assert len(acts) == len(timeline.acts)
    findings = [s for s in account.sentences if s.rule == "RETRIES_MULTIPLIED"]
    assert "Fix: let one layer retry" in findings[0].text
    chain = [step.what for step in timeline.verdict.chain]
    assert chain
    assert all(what.rstrip(".") in text_of(account, "failure") for what in chain)


def test_candidates_that_were_not_joined_are_told() -> None:
    """An ambiguous join names its candidates with confidence and reason."""
    [story] = [each for each in load_stories() if each.name == "join-is-ambiguous"]
    timeline = story.stitch()
    [link] = [each for each in timeline.links if each.rejected]
    told = text_of(build_explanation(timeline), "join")
    assert all(item.to in told and item.reason in told for item in link.rejected[:5])


def test_a_doctor_rule_is_told_with_its_fix() -> None:
    """What the doctor sees in this one request stands among the findings, fix included."""
    [story] = [each for each in load_stories() if each.name == "doctor-zero-parent"]
    account = build_explanation(story.stitch())
    [found] = [s for s in account.sentences if s.rule == "ZERO_PARENT"]
    assert found.section == "findings"
    assert "Fix: " in found.text
    assert found.refs
