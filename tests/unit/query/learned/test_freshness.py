"""Lag and watermarks out of what the store counted."""

from collector.query.learned.freshness import lags_of
from collector.store import SourceStat
from tests.stories import MINUTE, NOW, SECOND


def stat(source: str, *, stream: str = "trace", rows: int = 1_000, **given: int) -> SourceStat:
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
