"""Reading JSON fields: what counts as missing, what is taken, and which field an error names."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.decode.fields import (
    FieldError,
    derive_record_id,
    describe,
    read_bool,
    read_float,
    read_headers,
    read_int,
    read_list,
    read_ns_from_ms,
    read_ns_from_s,
    read_object,
    read_status,
    read_text,
    read_timestamp,
    require_text,
    require_timestamp,
)

MISSING = [None, "", "-", "None", "null"]
READERS: list[Callable[..., Any]] = [
    read_int,
    read_float,
    read_bool,
    read_timestamp,
    read_ns_from_ms,
    read_ns_from_s,
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("spelling", MISSING)
def test_every_spelling_of_missing_is_none(read: Callable[..., Any], spelling: object) -> None:
    """No key, null, "", "-", "None" and "null" all mean that the product has no value."""
    assert read({"a": spelling}, "a") is None
    assert read({}, "a") is None


@pytest.mark.parametrize("spelling", MISSING)
def test_missing_text_is_empty(spelling: object) -> None:
    """Text has no None: missing is ""."""
    assert read_text({"a": spelling}, "a") == ""


def test_the_first_name_that_is_there_wins() -> None:
    """Names are tried in order, and a missing spelling does not stop at the first."""
    row = {"a": "-", "b": None, "c": 7, "d": 8}
    assert read_int(row, "a", "b", "c", "d") == 7
    assert read_text(row, "a", "b", "c") == "7"


@pytest.mark.parametrize("read", [*READERS, read_text, read_object, read_list, read_headers])
def test_errors_name_the_field_with_its_parents(read: Callable[..., Any]) -> None:
    """An error says which field of which object it is about."""
    wrong = [1] if read in (read_object, read_headers) else {"x": 1}
    with pytest.raises(FieldError) as caught:
        read({"a": wrong}, "a", within="outer.")
    assert caught.value.field == "outer.a"
    assert caught.value.reason
    assert "outer.a" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "number"),
    [(7, 7), ("7", 7), (" 7 ", 7), (7.0, 7), ("7.0", 7), ("-3", -3), ("1e3", 1000), (2**62, 2**62)],
)
def test_whole_numbers_are_read_in_every_notation(value: object, number: int) -> None:
    """Text, floats without a fraction and exponents give the same whole number."""
    assert read_int({"a": value}, "a") == number


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        "1.5",
        "seven",
        True,
        2**63,
        -(2**63) - 1,
        "9" * 5000,
        "1e999",
        "٣",
        "1_000",
        "0x10",
        "inf",
        "nan",
    ],
)
def test_what_is_no_64_bit_whole_number_is_refused(value: object) -> None:
    """Fractions, booleans, other alphabets, underscores and too large numbers are errors."""
    with pytest.raises(FieldError):
        read_int({"a": value}, "a")


def test_a_number_of_64_bits_keeps_every_digit() -> None:
    """A large id written as text does not pass through a float."""
    assert read_int({"a": "9007199254740993"}, "a") == 9_007_199_254_740_993


@pytest.mark.parametrize(
    ("value", "status"), [(200, 200), ("404", 404), (0, 0), ("-", None), (599.0, 599)]
)
def test_status_codes_are_read_in_every_notation(value: object, status: int | None) -> None:
    """0 is a status: Envoy writes it when there was no answer."""
    assert read_status({"a": value}, "a") == status


@pytest.mark.parametrize("value", [1000, -1, "2000000000000000000", "OK", 200.5])
def test_what_is_no_status_code_is_refused(value: object) -> None:
    """A number that no protocol has is a damaged record."""
    with pytest.raises(FieldError) as caught:
        read_status({"a": value}, "a", within="response.")
    assert caught.value.field == "response.a"


@pytest.mark.parametrize(
    ("value", "ns"), [(1.5, 1_500_000), ("41", 41_000_000), (0, 0), (-1, None), ("-1", None)]
)
def test_milliseconds_become_nanoseconds_and_negative_ones_none(
    value: object, ns: int | None
) -> None:
    """Kong's -1 means that it did not happen."""
    assert read_ns_from_ms({"a": value}, "a") == ns


def test_seconds_become_nanoseconds_without_noise() -> None:
    """0.243 s is 243 ms exactly although no double is 0.243."""
    assert read_ns_from_s({"a": 0.243}, "a") == 243_000_000
    assert read_ns_from_s({"a": "0.001"}, "a") == 1_000_000


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        ("12ms", 12_000_000),
        ("0.012 s", 12_000_000),
        ("250us", 250_000),
        ("250 µs", 250_000),
        ("7ns", 7),
        ("1m2.5s", 62_500_000_000),
        ("1h", 3_600_000_000_000),
        ("999999999999999h", 2**63 - 1),
    ],
)
def test_a_unit_that_is_written_wins_over_the_products(written: str, ns: int) -> None:
    """Whatever the unit of the field is otherwise, seconds or milliseconds."""
    assert read_ns_from_ms({"a": written}, "a") == read_ns_from_s({"a": written}, "a") == ns


@pytest.mark.parametrize("written", ["ms", "1.5x s", "1 2ms", "-1ms", "1,5ms", "s1s"])
def test_text_with_a_unit_and_more_is_no_duration(written: str) -> None:
    """It is refused with the field's name, as any other text."""
    with pytest.raises(FieldError, match="a: expected a number"):
        read_ns_from_ms({"a": written}, "a")


@given(st.floats(-10, 1e11))
def test_seconds_are_the_same_as_number_and_as_text(seconds: float) -> None:
    """The short way of numbers gives what text gives, the limits included."""
    results: list[int | str | None] = []
    for value in (seconds, f"{seconds:.17e}"):
        try:
            results.append(read_ns_from_s({"a": value}, "a"))
        except FieldError as exc:
            results.append(exc.field)
    assert results[0] == results[1]


@pytest.mark.parametrize("value", [1e300, "1e300", 2**63, 1e308])
def test_durations_over_64_bits_are_the_longest_that_fit(value: object) -> None:
    """No request takes 292 years: the truth check takes it back, and the record is kept."""
    for read in (read_ns_from_ms, read_ns_from_s):
        assert read({"a": value}, "a") == 2**63 - 1


@pytest.mark.parametrize(
    ("value", "is_true"),
    [(True, True), ("true", True), (1, True), ("0", False), (False, False), ("no", False)],
)
def test_flags_are_read_in_every_notation(value: object, is_true: bool) -> None:
    """JSON booleans, words and 0/1 agree."""
    assert read_bool({"a": value}, "a") is is_true


def test_objects_and_arrays_may_be_text_and_lua_s_empty_table_is_both() -> None:
    """Products write nested JSON as text; Lua cannot tell an empty array from an empty object."""
    assert read_object({"a": '{"b":1}'}, "a") == {"b": 1}
    assert read_list({"a": "[1,2]"}, "a") == [1, 2]
    assert read_object({"a": []}, "a") == {}
    assert read_list({"a": {}}, "a") == []
    assert read_object({"a": "-"}, "a") == {}
    with pytest.raises(FieldError, match="JSON"):
        read_object({"a": "{broken"}, "a")


def test_headers_have_lower_case_names_and_one_value_each() -> None:
    """Names in any case, arrays of repeated headers, numbers and nulls become a flat map."""
    written = {"X-Request-ID": "a", "accept": ["b", "c"], "content-length": 12, "empty": None}
    expected = {"x-request-id": "a", "accept": "b, c", "content-length": "12"}
    assert read_headers({"h": written}, "h") == expected
    assert read_headers({"h": '{"X-Request-ID":"a"}'}, "h") == {"x-request-id": "a"}
    assert read_headers({}, "h", "g") == {}
    with pytest.raises(FieldError) as caught:
        read_headers({"h": {"x": {"y": 1}}}, "h")
    assert caught.value.field == "h.x"


@pytest.mark.parametrize(
    "written",
    [
        [["X-Request-ID", "a"], ["Accept", "b"], ["accept", "c"]],
        [{"name": "X-Request-ID", "value": "a"}, {"name": "Accept", "value": ["b", "c"]}],
        [{"Key": "X-Request-ID", "Value": "a"}, {"Key": "Accept", "Value": "b, c"}],
        [{"X-Request-ID": "a"}, {"Accept": "b"}, {"Accept": "c"}],
        ["X-Request-ID", "a", "Accept", "b", "Accept", "c"],
        ["X-Request-ID: a", "Accept: b", "Accept:c"],
        "X-Request-ID: a\r\nAccept: b\r\nAccept: c\r\n",
        "X-Request-ID: a\nAccept: b, c",
    ],
)
def test_headers_may_be_lists_and_lines(written: object) -> None:
    """Pairs, objects of a name and a value, Node's flat list, and lines of HTTP are one map."""
    expected = {"x-request-id": "a", "accept": "b, c"}
    assert read_headers({"h": written}, "h") == expected
    if isinstance(written, list):
        assert read_headers({"h": json.dumps(written)}, "h") == expected


@pytest.mark.parametrize(
    "written",
    [7, True, [7], [[1, 2]], ["a", "b", "c"], [{"a": "b", "c": "d"}], "no header", [["a"]]],
)
def test_what_is_no_header_map_is_refused(written: object) -> None:
    """Nothing is guessed from what has no names."""
    with pytest.raises(FieldError) as caught:
        read_headers({"h": written}, "h")
    assert caught.value.field == "h"


@pytest.mark.parametrize(
    ("written", "ms"),
    [("152,5", 152.5), ("0,523", 0.523), ("7,25 ", 7.25), ("1,2e3", None), ("1,234", None)],
)
def test_a_comma_that_can_only_be_decimal_is_one(written: str, ms: float | None) -> None:
    """Three digits behind a comma may be thousands: that is refused, and not taken for either."""
    if ms is None:
        with pytest.raises(FieldError, match="number"):
            read_ns_from_ms({"a": written}, "a")
    else:
        assert read_ns_from_ms({"a": written}, "a") == ms * 10**6


def test_required_fields_are_required() -> None:
    """A missing required field is an error that names the first of its names."""
    with pytest.raises(FieldError, match="a: is missing"):
        require_text({"b": "-"}, "a", "b")
    with pytest.raises(FieldError, match="a: is missing"):
        require_timestamp({}, "a", "b")


def test_a_derived_id_is_stable_and_marked() -> None:
    """The same text has the same id, another text another, and `~` tells it from a real one."""
    assert derive_record_id("a") == derive_record_id("a") != derive_record_id("b")
    assert derive_record_id("a").startswith("~")


def test_a_derived_id_does_not_depend_on_the_order_of_fields() -> None:
    """A shipper that reorders keys, also within, or writes spaces sends the same record again."""
    sent = derive_record_id('{"status":200,"to":{"host":"a.example","port":80},"tries":[2,1]}')
    again = '{"tries": [2, 1], "to": {"port": 80, "host": "a.example"}, "status": 200}'
    assert derive_record_id(again) == sent
    assert derive_record_id(again.replace("[2, 1]", "[1, 2]")) != sent
    assert derive_record_id("{no object") != derive_record_id("{no other object")


def test_descriptions_are_short() -> None:
    """An error message never repeats a megabyte of input."""
    assert len(describe("x" * 10**6)) < 80
    assert len(describe(10**4000)) < 80
    assert describe(None) == "null"
    assert describe([1]) == "an array"
    assert describe({"a": 1}) == "an object"
    assert describe(False) == "false"


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        ("00:00:00.1205000", 120_500_000),
        ("1.02:03:04", 93_784 * 10**9),
        ("PT0.127S", 127_000_000),
        ("PT1M2.5S", 62_500_000_000),
        ("P1DT1H", 90_000 * 10**9),
    ],
)
def test_durations_of_net_and_java(written: str, ns: int) -> None:
    """Whatever unit the field has otherwise, these have theirs."""
    assert read_ns_from_ms({"a": written}, "a") == read_ns_from_s({"a": written}, "a") == ns


@pytest.mark.parametrize("written", ["12:30", "P", "PT1X", "00:00:61x", "POST"])
def test_what_is_no_duration_is_refused(written: str) -> None:
    """A time of day without seconds is none, nor is a word."""
    with pytest.raises(FieldError, match="number"):
        read_ns_from_ms({"a": written}, "a")
