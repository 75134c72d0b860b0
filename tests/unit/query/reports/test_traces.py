"""Parameters as Jaeger's clients send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import BadQuestion
from collector.query.reports.trace_search import (
    DEFAULT_LIMIT,
    DEFAULT_RANGE_NS,
    MAX_LIMIT,
    parse_trace_query,
    parse_trace_search,
)
from tests.stories import MS, NOW, SECOND


def test_only_the_service_is_needed() -> None:
    """Without anything else the last two days are searched, a hundred traces at most."""
    search = parse_trace_search([("service", "orders")], now_ns=NOW)
    assert (search.start_ns, search.end_ns) == (NOW - DEFAULT_RANGE_NS, NOW)
    assert search.limit == DEFAULT_LIMIT


def test_what_grafana_and_kiali_send() -> None:
    """Microseconds, Go durations, tags as JSON and as repeated pairs."""
    pairs = [
        ("service", "orders"),
        ("operation", "GET /orders/{id}"),
        ("start", str((NOW - SECOND) // 1_000)),
        ("end", str(NOW // 1_000)),
        ("minDuration", "100ms"),
        ("maxDuration", "1m1.5s"),
        ("tags", '{"error": "true", "http.status_code": 500}'),
        ("tag", "team:shop:a"),
        ("limit", "20"),
        ("prettyPrint", "true"),
    ]
    search = parse_trace_search(pairs, now_ns=NOW)
    assert search.start_ns == NOW - SECOND
    assert search.min_duration_ns == 100 * MS
    assert search.max_duration_ns == 61_500 * MS
    assert search.tags == {"error": "true", "http.status_code": "500", "team": "shop:a"}
    assert search.limit == 20


def test_a_huge_limit_is_cut() -> None:
    """A client that asks for everything gets as much as one answer may hold."""
    pairs = [("service", "orders"), ("limit", "999999999")]
    assert parse_trace_search(pairs, now_ns=NOW).limit == MAX_LIMIT


NAMES = [
    "service",
    "operation",
    "start",
    "end",
    "minDuration",
    "maxDuration",
    "tag",
    "tags",
    "limit",
]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.text(max_size=30)), max_size=8))
def test_any_pairs_are_a_search_or_a_bad_question(pairs: list[tuple[str, str]]) -> None:
    """No query string makes the reading fail in any other way."""
    try:
        search = parse_trace_search(pairs, now_ns=NOW)
    except BadQuestion as error:
        assert error.message.split(":")[0] in NAMES
    else:
        assert search.service


@pytest.mark.parametrize("text", ["5", "1.2", "ms", "-1s", "1y", "1s1", "∞s"])
def test_durations_need_units(text: str) -> None:
    """A duration is written as Go does, with a unit on every number."""
    pairs = [("service", "a"), ("minDuration", text)]
    with pytest.raises(BadQuestion, match="^minDuration: "):
        parse_trace_search(pairs, now_ns=NOW)


RANGE = [
    ("query.startTimeMin", "2026-03-01T09:00:00Z"),
    ("query.startTimeMax", "2026-03-01T10:00:00Z"),
]


def test_what_grafana_and_jaegers_pages_send_to_the_third_api() -> None:
    """Names of today and of yesterday; an offset whose sign was decoded to a space."""
    pairs = [
        ("query.service_name", "orders"),
        ("query.start_time_min", "2026-03-01T10:00:00.123456789 01:00"),
        ("query.start_time_max", "2026-03-01T10:00:00Z"),
        ("query.num_traces", "20"),
        ("query.duration_min", "100ms"),
        ("query.attributes", '{"error":"true"}'),
        ("query.raw_traces", "true"),
    ]
    search = parse_trace_query(pairs, now_ns=NOW)
    assert (search.service, search.limit, search.is_raw) == ("orders", 20, True)
    assert search.start_ns == NOW - 3_600 * SECOND + 123_456_789
    assert search.min_duration_ns == 100 * MS
    assert search.tags == {"error": "true"}


def test_the_name_of_today_wins() -> None:
    """A client that sends both names means what it says under the newer one."""
    pairs = [*RANGE, ("query.service_name", "old"), ("query.serviceName", "new")]
    assert parse_trace_query(pairs, now_ns=NOW).service == "new"
    pairs = [*RANGE, ("query.num_traces", "3"), ("query.search_depth", "2")]
    assert parse_trace_query(pairs, now_ns=NOW).limit == 2


THIRD_NAMES = [
    f"query.{name}"
    for name in (
        "serviceName", "service_name", "operationName", "startTimeMin", "start_time_max",
        "durationMin", "duration_max", "attributes", "searchDepth", "num_traces", "rawTraces",
        "filter",
    )
]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(THIRD_NAMES), st.text(max_size=30)), max_size=8))
def test_any_pairs_of_the_third_api_are_a_search_or_a_bad_question(
    pairs: list[tuple[str, str]],
) -> None:
    """The error begins with the name as it was written."""
    try:
        parse_trace_query([*RANGE, *pairs], now_ns=NOW)
    except BadQuestion as error:
        assert error.message.split(":")[0].split(" ")[0] in THIRD_NAMES + [RANGE[1][0]]
