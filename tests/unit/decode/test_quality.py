"""The truth check: which times are flagged, and which are not although they look odd."""

from dataclasses import replace
from typing import Any

import pytest

from collector.decode.quality import (
    ABSURD_DURATION,
    BACKEND_GT_TOTAL,
    BODY_UPLOAD_INCLUDED,
    CLIENT_TIME_MISSING,
    CLOCK_FUTURE,
    LEFT_OUT_OF_PERCENTILES,
    LONGEST_CONNECTION_NS,
    LONGEST_NS,
    MEANINGS,
    NEGATIVE_SELF,
    RETRY_INCLUDED,
    SECOND_GRANULARITY,
    STREAMING,
    Profile,
    check,
    check_clock,
)
from collector.model import GatewayRecord

MS, S = 10**6, 10**9
PROFILE = Profile(
    stamped="start",
    is_client_in_total=True,
    are_tries_included=True,
    is_body_upload_included=True,
)
PLAIN = Profile(
    stamped="start",
    is_client_in_total=False,
    are_tries_included=False,
    is_body_upload_included=False,
)


def _record(**fields: Any) -> GatewayRecord:
    return GatewayRecord(gateway="toy", record_id="1", start_ns=S, **fields)


def test_a_backend_longer_than_the_whole_is_flagged_and_no_measurement() -> None:
    """A self-hosted gateway has logged backendTime 8659 beside totalTime 4348."""
    record = _record(duration_ns=4348 * MS, backend_ns=8659 * MS)
    record.quality = check(record, PLAIN)
    assert record.quality == (BACKEND_GT_TOTAL,)
    assert not LEFT_OUT_OF_PERCENTILES.isdisjoint(record.quality)
    assert record.backend_ns == 8659 * MS


@pytest.mark.parametrize("excess_ms", [0, 1])
def test_rounding_of_whole_milliseconds_is_no_lie(excess_ms: int) -> None:
    """Two rounded values may differ by one step without contradiction."""
    record = _record(duration_ns=100 * MS, backend_ns=(100 + excess_ms) * MS)
    assert check(record, PLAIN) == ()


def test_parts_that_exceed_the_whole_are_flagged() -> None:
    """If the parts add up to more than the whole, some part is counted twice."""
    parts = {"client_ns": 40 * MS, "gateway_ns": 30 * MS, "backend_ns": 50 * MS}
    record = _record(duration_ns=100 * MS, **parts)
    assert check(record, PLAIN) == (NEGATIVE_SELF,)
    assert check(replace(record, duration_ns=120 * MS), PLAIN) == ()


def test_parts_may_exceed_the_whole_by_what_rounding_explains() -> None:
    """Three rounded parts and a rounded whole may miss each other by two steps."""
    parts = {"client_ns": MS, "gateway_ns": MS, "backend_ns": MS}
    assert check(_record(duration_ns=MS, **parts), PLAIN) == ()
    assert check(_record(duration_ns=0, **parts), PLAIN) == (NEGATIVE_SELF,)


def test_a_total_with_an_unreported_client_part_says_so() -> None:
    """A slow client hides in the total of products that do not report its part."""
    assert check(_record(duration_ns=MS), PROFILE) == (CLIENT_TIME_MISSING,)
    assert check(_record(duration_ns=MS, client_ns=0), PROFILE) == ()
    assert check(_record(duration_ns=MS), PLAIN) == ()
    assert check(_record(), PROFILE) == ()


def test_several_tries_in_one_time_are_flagged() -> None:
    """Only where the product's time spans all tries, and only if there were several."""
    assert check(_record(attempts=2), PROFILE) == (RETRY_INCLUDED,)
    assert check(_record(attempts=1), PROFILE) == ()
    assert check(_record(attempts=2), PLAIN) == ()


def test_a_large_upload_in_the_backend_s_time_is_flagged() -> None:
    """A body of one flight adds nothing, an unknown size says nothing."""
    assert check(_record(backend_ns=MS, request_bytes=100_000), PROFILE) == (BODY_UPLOAD_INCLUDED,)
    assert check(_record(backend_ns=MS, request_bytes=14_000), PROFILE) == ()
    assert check(_record(backend_ns=MS, method="POST"), PROFILE) == ()
    assert check(_record(request_bytes=100_000), PROFILE) == ()


def test_a_start_of_whole_seconds_is_flagged() -> None:
    """The notation decides, not whether the fraction happens to be zero."""
    assert check(_record(), PLAIN, start_resolution_ns=S) == (SECOND_GRANULARITY,)
    assert check(_record(), PLAIN, start_resolution_ns=MS) == ()


@pytest.mark.parametrize(
    "fields",
    [{"status": 101}, {"kind": "websocket"}, {"method": "CONNECT", "status": 200}],
)
def test_a_connection_s_life_is_no_latency(fields: dict[str, Any]) -> None:
    """An open WebSocket is not a slow request."""
    record = _record(duration_ns=60 * S, **fields)
    record.quality = check(record, PLAIN)
    assert record.quality == (STREAMING,)
    assert not LEFT_OUT_OF_PERCENTILES.isdisjoint(record.quality)


def test_a_connect_that_is_refused_is_an_answer() -> None:
    """Nothing was opened: its time is that of a refusal."""
    assert check(_record(method="CONNECT", status=403), PLAIN) == ()


def test_an_event_stream_is_flagged_by_its_adapter() -> None:
    """Only the adapter sees the content type."""
    assert check(_record(), PLAIN, is_streaming=True) == (STREAMING,)


def test_flags_are_kept_and_not_repeated() -> None:
    """What an adapter flagged itself stays first and stands once."""
    record = _record(quality=(NEGATIVE_SELF,), duration_ns=MS, gateway_ns=9 * MS)
    assert check(record, PLAIN) == (NEGATIVE_SELF,)


def test_a_record_from_the_future_is_flagged_on_arrival() -> None:
    """A request cannot end after its record was received, but for two clocks' difference."""
    record = _record(duration_ns=5 * S)
    assert check_clock(record, 4 * S) == ()
    assert check_clock(record, 3 * S) == (CLOCK_FUTURE,)
    record.quality = (CLOCK_FUTURE,)
    assert check_clock(record, S) == (CLOCK_FUTURE,)


def test_every_flag_has_a_meaning() -> None:
    """What is shown to people is explained, and what is left out is a flag."""
    assert set(MEANINGS) >= LEFT_OUT_OF_PERCENTILES
    assert all(MEANINGS.values())


@pytest.mark.parametrize("excess_ns", [0, 1])
def test_a_time_longer_than_a_day_is_taken_back(excess_ns: int) -> None:
    """An epoch logged as a duration is no duration, and no part of it is one; a day still is."""
    record = _record(duration_ns=LONGEST_NS + excess_ns, gateway_ns=LONGEST_NS, backend_ns=5 * MS)
    assert (ABSURD_DURATION in check(record, PLAIN)) == bool(excess_ns)
    assert record.backend_ns == 5 * MS
    if excess_ns:
        assert (record.duration_ns, record.gateway_ns) == (None, None)
    else:
        assert record.duration_ns == LONGEST_NS


def test_an_absurd_part_is_taken_back_alone() -> None:
    """A backend's time of years says nothing against the whole."""
    record = _record(duration_ns=80 * MS, backend_ns=LONGEST_NS + 1, client_ns=2 * MS)
    assert check(record, PLAIN) == (ABSURD_DURATION,)
    assert (record.duration_ns, record.client_ns, record.backend_ns) == (80 * MS, 2 * MS, None)


def test_a_start_that_was_reckoned_from_an_absurd_duration_is_the_stamp() -> None:
    """Products that stamp the end: without a duration the end is the best that is known."""
    stamp_ns, absurd_ns = 1_900_000_000 * S, 1_900_000_000 * S
    record = replace(_record(duration_ns=absurd_ns), start_ns=stamp_ns - absurd_ns)
    assert ABSURD_DURATION in check(record, replace(PLAIN, stamped="end"))
    assert record.start_ns == stamp_ns


@pytest.mark.parametrize("more", [{"kind": "websocket"}, {"kind": "grpc"}, {"status": 101}])
def test_a_connection_may_be_open_for_a_month(more: dict[str, Any]) -> None:
    """What is kept open is not measured by what a request may take."""
    record = _record(duration_ns=LONGEST_CONNECTION_NS, **more)
    assert ABSURD_DURATION not in check(record, PLAIN)
    assert ABSURD_DURATION in check(_record(duration_ns=LONGEST_CONNECTION_NS + 1, **more), PLAIN)


def test_an_event_stream_may_be_open_for_a_month() -> None:
    """The adapter knows it by its content type."""
    record = _record(duration_ns=2 * LONGEST_NS)
    assert ABSURD_DURATION not in check(record, PLAIN, is_streaming=True)
