"""Lag and watermarks out of what the store counted."""

from typing import Any

import pytest

from collector.query.learned.freshness import lags_of, lying_clocks_of
from collector.store import SourceStat
from tests.stories import MINUTE, NOW, SECOND


def stat(source: str, *, stream: str = "trace", rows: int = 1_000, **given: Any) -> SourceStat:
    values = {
        "first_event_ns": NOW - 60 * MINUTE,
        "last_event_ns": NOW - MINUTE,
        "last_received_ns": NOW - SECOND,
        "lag_p50_ns": SECOND,
        "lag_p90_ns": 2 * SECOND,
        "lag_p99_ns": 4 * SECOND,
        **given,
    }
    return SourceStat(stream=stream, source=source, rows=rows, **values)


def test_a_source_that_sends_is_known_up_to_its_lag() -> None:
    """Events older than the p99 lag have arrived, whatever the last event was."""
    lags = lags_of([stat("log-analytics", stream="record", lag_p99_ns=3 * MINUTE)], NOW)
    assert lags["log-analytics"].watermark_ns == NOW - 3 * MINUTE
    assert lags["log-analytics"].p99_lag_ns == 3 * MINUTE


def test_a_silent_source_is_known_up_to_its_last_event() -> None:
    """A source that may be down does not complete requests by the clock alone."""
    silent = stat("kong", stream="record", last_received_ns=NOW - 40 * MINUTE)
    assert lags_of([silent], NOW)["kong"].watermark_ns == silent.last_event_ns


def test_an_event_of_the_future_moves_no_watermark_past_now() -> None:
    """A wrong clock cannot complete what has not happened."""
    future = stat(
        "kong", stream="record", last_event_ns=NOW + MINUTE, last_received_ns=NOW - 40 * MINUTE
    )
    assert lags_of([future], NOW)["kong"].watermark_ns == NOW


def test_spans_of_all_services_are_one_source() -> None:
    """The slowest service counts, unless it sends less than a percent of the spans."""
    services = [
        stat("orders", rows=990, lag_p99_ns=5 * SECOND),
        stat("batch", rows=9, lag_p99_ns=MINUTE),
    ]
    assert lags_of(services, NOW)["spans"].p99_lag_ns == 5 * SECOND
    services.append(stat("mailer", rows=500, lag_p99_ns=20 * SECOND))
    assert lags_of(services, NOW)["spans"].p99_lag_ns == 20 * SECOND


def test_no_lag_is_shorter_than_loading_takes() -> None:
    """Even a source without lag of its own is behind by a few seconds, also with a fast clock."""
    lags = lags_of([stat("orders", lag_p99_ns=-MINUTE)], NOW)
    assert lags["spans"].p99_lag_ns == 3 * SECOND


def test_logs_and_metrics_are_no_sources_of_a_timeline() -> None:
    """Only gateway records and spans are waited for."""
    assert lags_of([stat("orders", stream="log"), stat("orders", stream="metric")], NOW) == {}


def _pod_behind(source: str, rows: int = 1_000) -> SourceStat:
    """Return a service one of whose pods has a clock two hours behind."""
    return stat(source, rows=rows, lag_p99_ns=120 * MINUTE)


def test_one_pod_that_is_hours_behind_does_not_hold_the_world() -> None:
    """The lag of a service's last tenth alone is far from all others: a clock, not lateness."""
    group = [stat("shop", rows=600), _pod_behind("stock", 300)]
    lags = lags_of(group, NOW)
    assert lags["spans"].watermark_ns == NOW - 4 * SECOND
    [lying] = lying_clocks_of(group)
    assert (lying.source, lying.off_ns, lying.most_share) == ("stock", 120 * MINUTE, 0.1)
    assert "a clock is behind" in lying.note
    assert "2.00 h" in lying.note


@pytest.mark.parametrize("hours", [1, 2, 24])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_part_of_a_service_whose_clock_is_behind(hours: int, share: float) -> None:
    """Whether a tenth, a half or all of it: a constant that is far from the rest is a clock."""
    far = hours * 60 * MINUTE
    names = {0.1: ["lag_p99_ns"], 0.5: ["lag_p99_ns", "lag_p90_ns"]}
    lie: dict[str, Any] = dict.fromkeys(
        names.get(share, ["lag_p99_ns", "lag_p90_ns", "lag_p50_ns"]), far
    )
    group = [stat("shop", rows=2_000), stat("stock", rows=900, **lie)]
    assert lags_of(group, NOW)["spans"].p99_lag_ns == 4 * SECOND
    assert [(c.source, c.most_share) for c in lying_clocks_of(group)] == [("stock", share)]


def test_a_service_that_delivers_late_is_waited_for() -> None:
    """Lateness varies, a clock does not: a batch that is sent every hour counts as it is."""
    batch = stat(
        "batch", rows=900, lag_p50_ns=30 * MINUTE, lag_p90_ns=54 * MINUTE, lag_p99_ns=60 * MINUTE
    )
    group = [stat("shop", rows=2_000), batch]
    assert lags_of(group, NOW)["spans"].p99_lag_ns == 60 * MINUTE
    assert lying_clocks_of(group) == []


def test_a_source_that_is_slow_by_nature_has_no_wrong_clock() -> None:
    """Log Analytics takes minutes, and half an hour at worst: all of that is lateness."""
    slow = stat(
        "log-analytics",
        stream="record",
        lag_p50_ns=2 * MINUTE,
        lag_p90_ns=6 * MINUTE,
        lag_p99_ns=35 * MINUTE,
    )
    assert lags_of([slow], NOW)["log-analytics"].p99_lag_ns == 35 * MINUTE
    assert lying_clocks_of([slow]) == []


def test_one_service_of_a_thousand_decides_nothing() -> None:
    """A thousand equal services: the one that is late does not make the others wait."""
    group = [stat(f"s{n}", rows=100) for n in range(999)]
    group.append(stat("slow", rows=100, lag_p90_ns=8 * MINUTE, lag_p99_ns=9 * MINUTE))
    assert lags_of(group, NOW)["spans"].p99_lag_ns == 4 * SECOND


def test_a_clock_that_is_ahead_is_named() -> None:
    """What is stamped after it was received is of a clock that is ahead; nothing waits for it."""
    group = [stat("shop"), stat("stock", lag_p50_ns=-90 * SECOND, lag_p90_ns=-89 * SECOND)]
    [lying] = lying_clocks_of(group)
    assert (lying.source, lying.off_ns) == ("stock", -90 * SECOND)
    assert "a clock is ahead" in lying.note


def test_sources_of_records_are_judged_each_for_itself() -> None:
    """A gateway whose clock is behind holds neither spans nor another gateway."""
    behind = dict.fromkeys(("lag_p50_ns", "lag_p90_ns", "lag_p99_ns"), 60 * MINUTE)
    lags = lags_of(
        [stat("kong", stream="record"), stat("apim", stream="record", **behind), stat("shop")], NOW
    )
    assert lags["kong"].p99_lag_ns == lags["spans"].p99_lag_ns == 4 * SECOND
    # Alone it has nothing to be compared with: it may be as late as it seems.
    assert lags["apim"].p99_lag_ns == 60 * MINUTE
