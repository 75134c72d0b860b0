"""What is asked of Log Analytics, and who reads the answer."""

from datetime import UTC, datetime

import pytest

from collector.errors import ConfigError
from collector.pull.tables import get_table, time_span

T0 = 1_900_000_000_123_456_700


def test_query_bounds_are_exact_to_100_ns() -> None:
    """Two windows that touch neither overlap nor leave a gap: the literals carry all digits."""
    text = get_table("ApiManagementGatewayLogs").query(T0, T0 + 100, None)
    assert "start=datetime(2030-03-17T17:46:40.1234567Z)" in text
    assert "end=datetime(2030-03-17T17:46:40.1234568Z)" in text


def test_time_span_holds_late_rows_and_early_clocks() -> None:
    """Azure accepts rows two days old and one day ahead; the span leaves none of them out."""
    low, high = time_span(T0, T0 + 1)
    assert low == datetime(2030, 3, 15, 17, 46, 40, tzinfo=UTC)
    assert high == datetime(2030, 3, 18, 17, 46, 41, tzinfo=UTC)


def test_unknown_table_lists_the_known_ones() -> None:
    """A typing error in the setting is answered with what could have been meant."""
    with pytest.raises(ConfigError) as caught:
        get_table("ApiManagementGatewayLog")
    assert "ApiManagementGatewayLogs" in caught.value.hint
