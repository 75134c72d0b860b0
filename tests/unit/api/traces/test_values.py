"""Types of attribute values, read from their text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.api.traces.values import type_value


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("http.status_code", "200", 200),
        ("http.response.status_code", "503", 503),
        ("retry.count", "0", 0),
        ("offset", "-12", -12),
        ("error", "true", True),
        ("cache.hit", "false", False),
        ("share", "0.25", 0.25),
        ("share", "-0.5", -0.5),
    ],
)
def test_what_is_written_as_a_number_or_a_boolean_is_one(
    key: str, text: str, value: object
) -> None:
    """The usual measurements and flags get back the types that they were sent with."""
    found = type_value(key, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("order.number", "4711"),
        ("order.id", "4711"),
        ("orderId", "4711"),
        ("service.version", "2"),
        ("istio.canonical_revision", "1"),
        ("http.request.header.x-retry", "3"),
        ("http.flavor", "1.10"),
        ("code", "007"),
        ("code", "+1"),
        ("code", "-0"),
        ("code", "1e3"),
        ("code", "١٢"),
        ("code", " 1"),
        ("code", "9007199254740993"),
        ("flag", "True"),
        ("flag", ""),
        ("response_flags", "-"),
        ("number", "nan"),
    ],
)
def test_what_may_be_a_name_stays_text(key: str, text: str) -> None:
    """Ids, versions, codes with leading zeros and what no number is written as are not touched."""
    assert type_value(key, text) == text
    assert isinstance(type_value(key, text), str)


@given(st.one_of(st.text(max_size=30), st.from_regex(r"-?[0-9.]{1,24}", fullmatch=True)))
def test_a_typed_value_is_written_as_it_was(text: str) -> None:
    """Nothing of a text is lost: what it is typed as reads the same."""
    value = type_value("x", text)
    written = str(value).lower() if isinstance(value, bool) else str(value)
    assert written == text
    assert not isinstance(value, int) or isinstance(value, bool) or abs(value) < 2**53
