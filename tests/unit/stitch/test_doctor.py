"""The propagation doctor: each rule on its fixture, support before a diagnosis, a fix for each."""

from dataclasses import replace

import pytest

from collector.model import GatewayRecord
from collector.stitch.doctor.catalogue import RULES, RULES_OF_MANY, RULES_OF_REQUESTS
from collector.stitch.doctor.diagnose import diagnose, find_symptoms
from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import LONG_AFTER, MS, START, TraceBuilder, record, stitch
from tests.unit.stitch.scenarios import load_stories

STORIES = {story.name: story for story in load_stories()}


def told(name: str) -> Timeline:
    """Return the timeline of a story."""
    return STORIES[name].stitch()


def many(timeline: Timeline, count: int) -> list[Timeline]:
    """Return as many requests that look the same."""
    return [replace(timeline, id=f"{timeline.id}-{n}") for n in range(count)]


def well(number: int) -> Timeline:
    """Return a healthy request through gateway, edge and orders."""
    trace = TraceBuilder(trace_id=f"{number + 1:032x}".replace("0", "b", 1))
    edge = trace.edge(20, 60, "c0ffee0000000001")
    trace.sidecar_in("orders", 22, 56, edge)
    known = record(
        record_id=f"well-{number}",
        total=100,
        backend=70,
        trace_id=trace.trace_id,
        outgoing_span_id="c0ffee0000000001",
        start_ns=START + number * 1000 * MS,
    )
    for span in trace.spans:
        span.start_ns += number * 1000 * MS
        span.end_ns += number * 1000 * MS
    return stitch([known], trace.spans, now_ns=LONG_AFTER)


def test_every_rule_for_one_request_has_a_fixture() -> None:
    """Each rule that looks at one request fires on a story built from the cited problem."""
    shown = {
        code
        for name in STORIES
        for code in (
            *(rule.code for rule, _ in find_symptoms(told(name))),
            *(finding.rule for finding in told(name).findings),
        )
    }
    assert shown == RULES.keys() - {rule.code for rule in RULES_OF_MANY}


def test_the_catalogue_is_complete() -> None:
    """Every rule says in words what is wrong and what comes of it; of the context, the cure."""
    for code, rule in RULES.items():
        assert rule.code == code
        assert rule.title[0].isupper()
        assert not rule.title.endswith(".")
        assert rule.meaning[0].isupper()
        assert rule.meaning.endswith(".")
        assert "_" not in rule.title
    of_context = {rule.code for rule in RULES_OF_REQUESTS} | {rule.code for rule in RULES_OF_MANY}
    for code in of_context - {"SOURCE_MISSING", "SOURCE_LATE"}:
        assert RULES[code].fixes[""]


def test_a_fix_is_chosen_for_the_product() -> None:
    """API Management gets its policy, everybody else the general text."""
    rule = RULES["ZERO_PARENT"]
    assert "<set-header" in rule.fix_for("azure-apim")
    assert "<set-header" not in rule.fix_for("kong")
    assert rule.fix_for("unheard-of") == rule.fix_for("")


def test_the_recommended_policy_is_not_the_broken_one() -> None:
    """No fix writes a zero parent id, which is the mistake it is to cure."""
    assert not any(
        "0000000000000000" in text for rule in RULES.values() for text in rule.fixes.values()
    )


def test_healthy_requests_have_no_symptoms() -> None:
    """A request that is joined by the sent span id shows nothing at all."""
    assert find_symptoms(well(0)) == []


def test_a_diagnosis_needs_twenty_requests() -> None:
    """Nineteen broken requests are nineteen findings; the twentieth makes a diagnosis."""
    broken = told("doctor-stale-b3")
    assert diagnose(many(broken, 19)) == ()
    [found] = diagnose(many(broken, 20))
    assert (found.rule, found.place, found.requests, found.share) == (
        "B3_SINGLE_STALE",
        "orders.shop",
        20,
        1.0,
    )
    assert len(found.examples) == 5


def test_a_diagnosis_needs_a_share_of_the_traffic() -> None:
    """Twenty requests in a thousand are an accident, in two hundred a habit."""
    broken = many(told("doctor-sampled-out"), 20)
    assert diagnose([*broken, *many(well(1), 400)]) == ()
    [found] = diagnose([*broken, *many(well(1), 180)])
    assert (found.rule, found.place, found.requests, found.passing) == (
        "SAMPLED_00",
        "shop-apim",
        20,
        200,
    )


def test_diagnoses_do_not_depend_on_the_order() -> None:
    """The same requests in any order give the same diagnoses."""
    broken = many(told("doctor-sampled-out"), 30)
    assert diagnose(broken) == diagnose(broken[::-1])


def test_an_edge_without_server_span_is_normal_if_all_are_so() -> None:
    """Before Istio 1.28 every edge is a CLIENT span: only a mixture is reported."""
    old = told("edge-as-a-single-client-span")
    new = told("join-by-sent-span-id")
    assert diagnose(many(old, 30)) == ()
    [found] = diagnose(many(old, 30) + many(new, 30))
    assert (found.rule, found.requests) == ("SERVER_KIND_MISSING", 30)


def test_a_waypoint_that_falls_silent() -> None:
    """A service whose visits mostly have a waypoint span is missed where there is none."""
    told_with = told("ambient-waypoint")
    without = replace(
        told_with,
        spans=tuple(
            span if span.role != "waypoint" or span.hop != 2 else replace(span, role="app")
            for span in told_with.spans
        ),
    )
    [found] = diagnose(many(told_with, 40) + many(without, 20))
    assert (found.rule, found.place, found.requests) == ("WAYPOINT_SILENT", "stock", 20)


def _decided(number: int, sampled: bool, has_spans: bool) -> Timeline:
    timeline = well(number)
    merged = timeline.gateway_records[0]
    known: GatewayRecord = replace(merged.record, is_sampled=sampled)
    spans = timeline.spans if has_spans else timeline.spans[:1]
    return replace(
        timeline, gateway_records=(replace(merged, record=known),), spans=spans, state="final"
    )


def test_sampling_decided_twice_is_a_mismatch() -> None:
    """Where gateway and mesh each keep a part of their own, most joins are wasted."""
    apart = [_decided(n, n % 2 == 0, n % 3 == 0) for n in range(60)]
    rules = {found.rule: found for found in diagnose(apart)}
    assert "SAMPLING_MISMATCH" in rules
    together = [_decided(n, n % 2 == 0, n % 2 == 0) for n in range(60)]
    assert "SAMPLING_MISMATCH" not in {found.rule for found in diagnose(together)}


def test_what_was_answered_at_the_gateway_says_nothing_of_sampling() -> None:
    """A request that never left the gateway has no spans, whoever sampled it."""
    refused = [replace(_decided(n, True, False), is_answered_at_gateway=True) for n in range(60)]
    good = [_decided(n, True, True) for n in range(60)]
    assert "SAMPLING_MISMATCH" not in {found.rule for found in diagnose([*refused, *good])}
    off = replace(_decided(0, False, False), is_answered_at_gateway=True)
    assert "SAMPLED_00" not in {rule.code for rule, _ in find_symptoms(off)}


def _logged_only(name: str, *, is_sampled: bool | None = None) -> Timeline:
    """Return a story as it is with access logs in the place of its spans."""
    timeline = told(name)
    spans = tuple(
        replace(span, flags=("access_log",), raw_parent_span_id="")
        if span.role != "gateway"
        else span
        for span in timeline.spans
    )
    [merged] = timeline.gateway_records
    known = replace(merged, record=replace(merged.record, is_sampled=is_sampled))
    return replace(timeline, gateway_records=(known,), spans=spans)


def test_access_logs_are_no_spans_that_arrived() -> None:
    """Of a request that the gateway sampled out, lines of access logs do not count as spans."""
    timeline = _logged_only("join-by-trace-id", is_sampled=False)
    [found] = [symptom for rule, symptom in find_symptoms(timeline) if rule.code == "SAMPLED_00"]
    assert found.detail == "its traceparent says not sampled; 0 spans arrived"


def test_access_logs_say_nothing_of_the_context() -> None:
    """A line has no parent and a kind by its direction: no rule about spans reads these."""
    lines = many(replace(_logged_only("join-by-trace-id", is_sampled=False), state="final"), 60)
    assert [found.rule for found in diagnose(lines)] == ["SAMPLED_00"]
    single = _logged_only("edge-as-a-single-client-span")
    assert diagnose(many(single, 30) + many(told("join-by-sent-span-id"), 30)) == ()
    off = told("doctor-correlation-protocol-off")
    assert [rule.code for rule, _ in find_symptoms(off)] == ["APIM_W3C_OFF"]
    assert find_symptoms(_logged_only("doctor-correlation-protocol-off")) == []


@pytest.mark.parametrize("name", sorted(n for n in STORIES if n.startswith("doctor-")))
def test_findings_of_a_request_carry_their_fix(name: str) -> None:
    """What the doctor tells of one request says what to change."""
    timeline = told(name)
    codes = {rule.code for rule in RULES_OF_REQUESTS}
    assert all(finding.fix for finding in timeline.findings if finding.rule in codes)
