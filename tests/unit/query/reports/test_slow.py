"""What is compared with what, and what is told of it."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from collector.errors import BadQuestion
from collector.query.reports import features
from collector.query.reports.cohorts import Feature
from collector.query.reports.slow import compare_cohorts, parse_slow, tell
from collector.store import ObservedHop, ObservedRequest

NOW_NS = 1_772_359_200 * 1_000_000_000
HOUR_NS = 3_600 * 1_000_000_000
MS = 1_000_000
FIELDS: dict[str, Any] = {
    "gateway": "kong", "instance": "kong-1", "api": "orders", "api_revision": "3",
    "operation": "list", "product": "", "consumer": "acme", "client": "okhttp", "region": "",
    "method": "GET", "host": "api.test", "status": 200, "cache": "", "policies": [],
    "backend_host": "mesh.test", "error_reason": "", "request_bytes": 100,
    "response_bytes": 4_000, "flags": [], "retries": 0,
}  # fmt: skip


def make_hop(service: str, pod: str, critical_ms: int) -> ObservedHop:
    """Return a visit to a service."""
    return ObservedHop("service", service, "list", pod, "", "", "", "", critical_ms * MS, ())


def make_request(number: int, pod: str, duration_ms: int, **given: Any) -> ObservedRequest:
    """Return a request that passed orders and, on *pod*, payments."""
    values = {
        "id": f"request-{number}",
        "weight": 1.0,
        "duration_ns": duration_ms * MS,
        "is_error": False,
        "is_joined": True,
        "fields": FIELDS,
        "phases_ns": {"app": duration_ms * MS, "gateway": None},
        "hops": [
            make_hop("orders", f"orders-{number % 3}", 10),
            make_hop("payments", pod, duration_ms - 10),
        ],
    }
    return ObservedRequest(**{**values, **given})


def slow_and_rest(**given: Any) -> tuple[list[ObservedRequest], list[ObservedRequest]]:
    """Return slow requests, nearly all on one pod of payments, and others."""
    slow = [make_request(n, "payments-2", 400 + n, **given) for n in range(40)]
    rest = [make_request(100 + n, f"payments-{n % 6}", 50 + n % 9, **given) for n in range(160)]
    return slow, rest


def test_the_pod_that_is_slow_is_told_first_and_in_words() -> None:
    """A pod behind the slow requests leads, with the call where they wait."""
    found = compare_cohorts(*slow_and_rest())
    assert (found.differences[0].feature.name, found.differences[0].feature.value) == (
        "pod", "payments-2",
    )  # fmt: skip
    (sentence,) = tell("slow", found.differences[:1], ())
    assert sentence.text.startswith(
        "100 % of the slow requests ran on pod payments-2 of payments, but only 17 % of the others"
    )
    assert found.times[0].key in (("phase", "app"), ("call", "payments", "list"))


def test_without_spans_the_gateways_words_are_compared() -> None:
    """Where no request is joined, a consumer is still found and no pod is named."""
    slow, rest = slow_and_rest(is_joined=False, hops=[])
    slow = [replace(each, fields={**FIELDS, "consumer": "batch"}) for each in slow]
    found = compare_cohorts(slow, rest)
    assert [each.feature.name for each in found.differences] == ["consumer"]


def test_a_symptom_of_requests_without_spans_comes_after_a_cause() -> None:
    """How a request ended says less than where it ran, whichever of the two is compared first."""
    _, rest = slow_and_rest()
    traced = [make_request(n, f"payments-{2 if n % 10 < 7 else n % 6}", 400) for n in range(100)]
    fields = {**FIELDS, "error_reason": "Timeout"}
    lost = [
        make_request(500 + n, "", 400, is_joined=False, hops=[], fields=fields) for n in range(150)
    ]
    names = [each.feature.name for each in compare_cohorts([*traced, *lost], rest).differences]
    assert names.index("pod") < names.index("error reason")


def test_a_side_without_spans_is_not_called_absent() -> None:
    """When nothing of one side is traced, nobody says that its requests skipped the services."""
    slow, rest = slow_and_rest()
    bare = [replace(each, is_joined=False, hops=[]) for each in rest]
    assert compare_cohorts(slow, bare).differences == []


def test_traced_requests_stand_for_those_without_spans() -> None:
    """When spans of slow requests are kept more often, shares are still those of all requests."""
    slow, rest = slow_and_rest()
    untraced = [
        replace(make_request(500 + n, "", 50 + n % 9), is_joined=False, hops=[]) for n in range(300)
    ]
    found = compare_cohorts(slow, [*rest, *untraced])
    (pod,) = [each for each in found.differences if each.feature.name == "pod"]
    assert pod.share_baseline == pytest.approx(1 / 6, abs=0.03)
    assert pod.selected == 40


def test_a_call_that_only_some_make_is_a_feature() -> None:
    """A service that the slow requests do not call is told as absent."""
    slow, rest = slow_and_rest()
    slow = [replace(each, hops=each.hops[:1]) for each in slow]
    told = [
        (each.name, each.value, each.service)
        for difference in compare_cohorts(slow, rest).differences
        for each in (difference.feature, *difference.also)
    ]
    assert ("hop", "absent", "payments") in told


@pytest.mark.parametrize("name", [*features._SAID, "hop"])
def test_every_feature_has_words(name: str) -> None:
    """Each kind of feature reads as what requests did."""
    said = features.say(Feature(name, "x7", "payments"))
    assert "x7" in said or "payments" in said
    assert "{" not in said


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([("select", "fast")], "select"),
        ([("select", "all")], "baseline"),
        ([("slower_than_ms", "quick")], "min_duration_ms"),
        ([("slower_than_ms", "5"), ("select", "failed")], "slower_than_ms"),
        ([("select", "failed"), ("error", "true")], "error"),
        ([("baseline", "yesterday")], "baseline"),
        ([("baseline", "colour=red")], "baseline"),
        ([("baseline", "status=abc")], "baseline"),
        ([("api", "a"), ("baseline", "api=a")], "baseline"),
        ([("speed", "1")], "speed"),
        ([("start", "-1h"), ("end", "-2h")], "start"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(pairs: list[tuple[str, str]], said: str) -> None:
    """The parameter at fault is named."""
    with pytest.raises(BadQuestion, match=said):
        parse_slow(pairs, now_ns=NOW_NS)


def test_a_baseline_is_a_range_or_filters() -> None:
    """The range before, the same time a day ago, or filters beside those given."""
    given = [("api", "orders"), ("revision", "8"), ("start", "-1h")]
    before = parse_slow([*given, ("baseline", "previous")], now_ns=NOW_NS).baseline
    assert before is not None
    assert (before.end_ns, before.start_ns) == (NOW_NS - HOUR_NS, NOW_NS - 2 * HOUR_NS)
    day = parse_slow([*given, ("baseline", "day")], now_ns=NOW_NS).baseline
    assert day is not None
    assert day.end_ns == NOW_NS - 24 * HOUR_NS
    other = parse_slow([*given, ("baseline", "revision=7")], now_ns=NOW_NS)
    assert other.select == "all"
    assert other.baseline is not None
    assert (other.baseline.api, other.baseline.revision) == ("orders", "7")
    text = "consumer=" + quote("a&b") + "&start=-3h&end=-2h"
    apart = parse_slow([*given, ("baseline", text)], now_ns=NOW_NS).baseline
    assert apart is not None
    assert (apart.consumer, apart.end_ns) == ("a&b", NOW_NS - 2 * HOUR_NS)


def test_nothing_is_longer_than_the_times_of_nobody() -> None:
    """Where there are no others, no time of theirs is told, and none is zero."""
    slow, rest = slow_and_rest()
    for some, others in ((slow, rest[:0]), (slow[:0], rest)):
        found = compare_cohorts(some, others)
        assert not found.times
        assert not found.differences
