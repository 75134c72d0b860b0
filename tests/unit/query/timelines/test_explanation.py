"""A timeline in words: complete, with its proofs, and the same every time."""

import random

from collector.model import GatewayRecord, LogRecord, Span, SpanEvent, SpanLink
from collector.query.timelines.explanation import (
    SECTIONS,
    Explanation,
    Sentence,
    build_explanation,
)
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
from tests.unit.stitch.building import LONG_AFTER, START, TraceBuilder, stitch
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
    assert "ended with status 500 after 1.42 s" in text_of(account, "happened")
    assert "1.40 s (98.3%) went by in dependencies" in text_of(account, "time")
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
    assert "It was answered at the gateway, and called no backend" in text_of(account, "happened")
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


def tell_spans(trace: TraceBuilder, *records: GatewayRecord) -> list[Sentence]:
    timeline = stitch(list(records), trace.spans, now_ns=LONG_AFTER)
    return list(build_explanation(timeline).sentences)


def by_rule(sentences: list[Sentence], rule: str) -> list[str]:
    return [sentence.text for sentence in sentences if sentence.rule == rule]


def test_of_parallel_calls_only_the_longest_is_told_to_have_held_up_the_answer() -> None:
    """Three calls at once: the two that ended earlier are on no critical path, in no sentence."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 130, kind="Server")
    for service, ms in (("prices", 100), ("stock", 95), ("reviews", 40)):
        call = trace.span("shop", 10, ms, shop, "Client", attributes={"server.address": service})
        trace.span(service, 11, ms - 2, call, "Server")
    told = by_rule(tell_spans(trace), "CRITICAL_PATH")
    assert [text.split()[4] for text in told] == ["prices", "shop"]
    assert told[0].endswith("alone held the answer up for 100 ms (76.9%).")


def test_a_copy_is_told_as_one_that_nobody_waited_for() -> None:
    """A mirrored request that outlives the original has a sentence of its own and no share."""
    trace = TraceBuilder()
    edge = trace.edge(0, 60)
    for service, ms, suffix in (("basket", 50, ""), ("basket-next", 700, "-shadow")):
        url = {"http.url": f"http://shop.example{suffix}/basket"}
        trace.sidecar_in(service, 5, ms, edge, attributes=url)
    told = tell_spans(trace)
    [text] = by_rule(told, "NOT_WAITED_FOR")
    assert text == "Nobody waited for basket-next.shop, a copy of the request; it took 700 ms."
    assert not any("basket-next" in text for text in by_rule(told, "CRITICAL_PATH"))


def test_a_clock_is_told_once_for_its_host() -> None:
    """Five calls to a host whose clock is wrong make one sentence, with the amount and the cure."""
    trace = TraceBuilder()
    shop = trace.span("shop", 0, 200, kind="Server", resource={"host.name": "node-a"})
    for n in range(5):
        near = {"host.name": "node-a"}
        call = trace.span("shop", 10 + 30 * n, 25, shop, "Client", resource=near)
        far = {"host.name": "node-b"}
        trace.span("price", 311 + 30 * n, 23, call, "Server", resource=far)
    told = [s for s in tell_spans(trace) if "clock" in s.text]
    assert [s.rule for s in told] == ["CLOCK"]
    assert "price: 5 spans moved by -300.000 ± 1.000 ms" in told[0].text


def test_exceptions_are_told_once_and_other_events_counted() -> None:
    """What a service threw is told with type, message and moment, also when it threw it twice."""
    trace = TraceBuilder()
    thrown = {"exception.type": "PoolEmpty", "exception.message": "waited 40 ms"}
    events = [
        SpanEvent(START + 30 * MS, "exception", thrown),
        SpanEvent(START + 31 * MS, "exception", thrown),
        SpanEvent(START + 5 * MS, "cache.miss", {}),
    ]
    trace.span("orders", 0, 50, kind="Server", status="Error", events=events)
    told = tell_spans(trace)
    [text] = by_rule(told, "EXCEPTION")
    assert text == "orders reported an exception at 30.0 ms: PoolEmpty: waited 40 ms."
    assert by_rule(told, "EVENTS") == ["Its spans hold the events 1 × cache.miss."]


def test_a_request_that_nobody_measured_has_no_time_to_tell() -> None:
    """Without duration and spans the end is unknown, and no share of nothing is made up."""
    told = tell_spans(TraceBuilder(), make_record(1, T, duration_ns=None, backend_ns=None))
    assert "after a time that nobody recorded" in told[0].text
    assert not [sentence for sentence in told if sentence.section == "time"]


def test_linked_requests_are_told() -> None:
    """A batch that links the producers of its messages names their traces and spans."""
    links = [SpanLink(trace_id=digit * 32, span_id=digit * 16, attributes={}) for digit in "ab"]
    trace = TraceBuilder()
    trace.span("fulfil", 0, 400, kind="Consumer", links=links)
    told = by_rule(tell_spans(trace), "LINKED_REQUEST")
    assert told == [
        f"A span link leads to another request: trace {'a' * 32}, span {'a' * 16}.",
        f"A span link leads to another request: trace {'b' * 32}, span {'b' * 16}.",
    ]
