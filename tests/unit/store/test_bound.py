"""Lists as bound parameters are the text that the driver would write."""

from typing import Any

from clickhouse_connect.driver.binding import bind_query
from hypothesis import given
from hypothesis import strategies as st

from collector.model import Stream
from collector.store.bound import bind_lists

_TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("\\'`\"\t\n\r\0,)]")), max_size=8)
_PAIRS = st.tuples(st.integers(), _TEXTS)
_ITEMS = st.one_of(_TEXTS, st.integers(), _PAIRS, st.tuples(_TEXTS), st.sampled_from(Stream))


@given(st.one_of(st.lists(_TEXTS), st.lists(_ITEMS)))
def test_lists_are_written_as_the_driver_writes_them(values: list[Any]) -> None:
    """Whatever the texts contain, quotes and backslashes among it."""
    assert _bound(bind_lists({"keys": values})) == _bound({"keys": values})


def test_other_parameters_are_left_to_the_driver() -> None:
    """A text, a number, a moment that nobody gave."""
    given_: dict[str, Any] = {"name": "a'b", "limit": 3, "until_ns": None}
    assert bind_lists(given_) == given_


def _bound(parameters: dict[str, Any]) -> dict[str, str]:
    return bind_query("SELECT {keys:Array(String)}", parameters)[1]
