"""Search parameters: each is checked, and the error names it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import BadQuestion, UnknownParameter
from collector.query.results import Found
from collector.query.search.cursors import Cursor, decode_cursor, encode_cursor
from collector.query.search.described import DESCRIBED, find_described
from collector.query.search.filters import PARAMETERS, Search, parse_search
from collector.query.search.tail import TAIL_PARAMETERS, parse_tail

NOW = 1_772_357_400_000_000_000
HOUR = 3_600_000_000_000
NAMES = [parameter.name for parameter in PARAMETERS]


def parse(**given: str) -> Search:
    return parse_search(given.items(), now_ns=NOW)


def test_without_parameters_the_last_hour_is_searched() -> None:
    """The default range is [now - 1 h, now), marked as default, slowest first."""
    search = parse()
    assert (search.wanted.start_ns, search.wanted.end_ns) == (NOW - HOUR, NOW)
    assert search.range_texts == ("", "")
    assert (search.wanted.order, search.limit) == ("-duration", 50)


def test_the_default_range_ends_at_a_given_end() -> None:
    """With `end` alone the hour before it is searched."""
    search = parse(end="2026-03-01T08:00:00Z")
    assert search.wanted.end_ns - search.wanted.start_ns == HOUR


def test_every_documented_parameter_is_read() -> None:
    """The example of each parameter in the documentation is accepted."""
    examples = {
        p.name: str(p.example).lower() if isinstance(p.example, bool) else str(p.example)
        for p in PARAMETERS
        if p.example is not None
    }
    search = parse(**examples)
    assert search.wanted.status == 504
    assert search.wanted.status_class == 5
    assert search.wanted.is_error is True
    assert search.wanted.is_joined is False
    assert search.wanted.min_duration_ns == 250_000_000
    assert search.wanted.max_duration_ns == 10_000_000_000
    assert search.wanted.text == "orders/42"


def test_empty_values_count_as_not_given() -> None:
    """A form that sends every field, most of them empty, is a search."""
    assert parse(**dict.fromkeys(NAMES, " ")) == parse()


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [("250", 250_000_000), ("0.5", 500_000), ("1.5s", 1_500_000_000), ("90 us", 90_000), ("0", 0)],
)
def test_durations_are_milliseconds_unless_they_say_otherwise(text: str, duration_ns: int) -> None:
    """A bare number is milliseconds; a unit may follow."""
    assert parse(min_duration_ms=text).wanted.min_duration_ns == duration_ns


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start", "soon"),
        ("end", "2026-99-01"),
        ("start", "now"),
        ("start", "2020-01-01T00:00:00Z"),
        ("status", "6xx"),
        ("status", "50x"),
        ("status", "42"),
        ("status", "-1"),
        ("status", "1000"),
        ("status", "200,500"),
        ("status_class", "fine"),
        ("status_class", "6xx"),
        ("error", "maybe"),
        ("joined", "2"),
        ("state", "done"),
        ("order", "duration"),
        ("min_duration_ms", "fast"),
        ("min_duration_ms", "-1"),
        ("max_duration_ms", "nan"),
        ("limit", "0"),
        ("limit", "501"),
        ("limit", "1.5"),
        ("limit", "٣"),
        ("gateway", "x" * 513),
        ("api", "a\x00b"),
        ("q", "x" * 513),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, value: str) -> None:
    """The message opens with the parameter's name."""
    with pytest.raises(BadQuestion, match=rf"^{name}: "):
        parse(**{name: value})


def test_an_unknown_parameter_is_refused_with_the_nearest_one() -> None:
    """A misspelt filter must not silently find everything."""
    with pytest.raises(BadQuestion, match="^'min_duration': ") as caught:
        parse(min_duration="5")
    assert caught.value.hint.startswith("did you mean min_duration_ms? Known: start, end, gateway")
    assert caught.value.http_status == 422


def test_what_is_said_to_be_known_is_taken() -> None:
    """A question about a tail or a description names no parameter as known that it refuses."""

    def search(_: object) -> Found:
        raise AssertionError("it was searched")

    with pytest.raises(UnknownParameter) as caught:
        parse_tail([("xyzzy", "1")], now_ns=NOW)
    assert caught.value.hint == f"Known: {', '.join(each.name for each in TAIL_PARAMETERS)}."
    with pytest.raises(UnknownParameter) as caught:
        find_described([("xyzzy", "1")], search, NOW)
    assert caught.value.hint == f"Known: {', '.join(each.name for each in DESCRIBED)}."


def test_a_repeated_parameter_is_refused() -> None:
    """Two values of one filter are not silently reduced to the last."""
    with pytest.raises(BadQuestion, match="^api: given more than once"):
        parse_search([("api", "a"), ("api", "b")], now_ns=NOW)


def test_a_shortest_above_the_longest_is_refused() -> None:
    """A range of durations that nothing can match is a mistake, not an empty answer."""
    with pytest.raises(BadQuestion, match="^min_duration_ms: "):
        parse(min_duration_ms="10", max_duration_ms="5")


CURSOR = Cursor(NOW - HOUR, NOW, "1234|azure-apim/0b1c")


def test_a_cursor_reads_back() -> None:
    """The last row's key and the range of the first page survive."""
    word = encode_cursor(CURSOR, parse(api="orders", start="-2h"))
    assert decode_cursor(parse(api="orders", limit="7", cursor=word, start="-2h")) == CURSOR


def test_a_cursor_of_another_search_is_refused() -> None:
    """Range, filters and order are part of a cursor; mixing pages of two searches is an error."""
    same = {"api": "orders", "start": "-2h", "end": "-1h"}
    word = encode_cursor(CURSOR, parse(**same))
    others: tuple[dict[str, str], ...] = (
        {**same, "api": "carts"},
        {**same, "order": "-start"},
        {**same, "start": "-3h"},
        {**same, "end": "-5m"},
        {"api": "orders", "start": "-2h"},
        {},
    )
    for other in others:
        with pytest.raises(BadQuestion, match="^cursor: is one of another search"):
            decode_cursor(parse(cursor=word, **other))


@given(st.integers(0, 200), st.integers(1, 127))
def test_an_edited_cursor_is_refused(place: int, change: int) -> None:
    """No single changed character goes unnoticed."""
    word = encode_cursor(CURSOR, parse())
    at = place % len(word)
    edited = word[:at] + chr((ord(word[at]) + change) % 128) + word[at + 1 :]
    try:
        assert decode_cursor(replace(parse(), cursor=edited)) == CURSOR
    except BadQuestion as error:
        assert error.message.startswith("cursor: ")
    else:
        # Base64 has a few spare bits at the end: those characters may differ and mean the same.
        assert at == len(word) - 1


@given(st.text(max_size=2000))
def test_any_text_as_cursor_is_refused(text: str) -> None:
    """No text makes reading a cursor fail in any other way."""
    with pytest.raises(BadQuestion, match="^cursor: "):
        decode_cursor(replace(parse(), cursor=text))


@given(st.lists(st.tuples(st.sampled_from([*NAMES, "x"]), st.text(max_size=40)), max_size=6))
def test_any_pairs_are_a_search_or_a_bad_question(pairs: list[tuple[str, str]]) -> None:
    """No query string makes the reading fail in any other way."""
    try:
        search = parse_search(pairs, now_ns=NOW)
    except BadQuestion:
        return
    assert search.wanted.start_ns < search.wanted.end_ns
    assert 1 <= search.limit <= 500


@pytest.mark.parametrize(
    ("name", "written", "field", "kept"),
    [
        ("host", "API.Shop.Example", "host", "api.shop.example"),
        ("host", "https://api.shop.example:8443/orders", "host", "api.shop.example:8443"),
        ("q", "7d3c5e0a91…", "text", "7d3c5e0a91"),
        ("q", "7d3c5e0a91...", "text", "7d3c5e0a91"),
        ("q", "/v1.0", "text", "/v1.0"),
        ("method", "get", "method", "GET"),
    ],
)
def test_texts_are_looked_for_as_they_are_kept(
    name: str, written: str, field: str, kept: str
) -> None:
    """Hosts have no case and no scheme, methods are upper case, an ellipsis is no text."""
    assert getattr(parse_search([(name, written)], now_ns=NOW).wanted, field) == kept
