"""JSON of log formats that do not escape is read as it was meant, and nothing else is bent."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.decode.unescaped import load_unescaped


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r'{"q":"a \x22b\x22"}', {"q": 'a "b"'}),
        (r'{"q":"\xC3\xBC and \xFF"}', {"q": "ü and \ufffd"}),
        (r'{"q":"a \\x22 b", "n": -}', {"q": r"a \x22 b", "n": None}),
        ('{"n": -}', {"n": None}),
        ('{"n": , "m":1}', {"n": None, "m": 1}),
        ('{"n": 0.5, 0.3, "m": "x"}', {"n": "0.5, 0.3", "m": "x"}),
        ('{"n": 0.5, 0.3}', {"n": "0.5, 0.3"}),
        ('{"n": 10.0.0.1:80 : -, "m": true}', {"n": "10.0.0.1:80 : -", "m": True}),
        ('{"n": DE, "m": {"o": -}}', {"n": "DE", "m": {"o": None}}),
        ('{"e":""Forbidden"", "n":1}', {"e": "Forbidden", "n": 1}),
        ('{"a":"\\"n\\": -, \\"m\\": 1", "b": -}', {"a": '"n": -, "m": 1', "b": None}),
    ],
)
def test_what_a_template_left_unescaped_is_read(written: str, meant: object) -> None:
    """Escapes of nginx, bare dashes and lists, and texts in two pairs of marks are understood."""
    assert load_unescaped(written) == meant


@pytest.mark.parametrize(
    "text", ["", "{", "{}}", '{"n":NaN}', '{"n":-Infinity}', '{"n" 1}', "{-}", '["a", -]', "{a: -}"]
)
def test_what_cannot_be_told_is_left(text: str) -> None:
    """Cut off, no object, or numbers that are none: nothing is guessed."""
    assert load_unescaped(text) is None


@given(
    st.dictionaries(
        st.text(max_size=9), st.text(max_size=30) | st.integers(-9, 9) | st.none(), max_size=6
    )
)
def test_good_json_with_one_bare_dash_keeps_all_its_other_members(row: dict[str, object]) -> None:
    """Whatever the other names and texts are, they come out as they went in."""
    row.pop("bare", None)
    text = orjson.dumps({**row, "bare": None}).decode()
    assert load_unescaped(text[: -len("null}")] + "-}") == {**row, "bare": None}


def test_a_long_hostile_line_takes_time_that_grows_with_it() -> None:
    """Sixty thousand marks, commas and colons that fit nothing are given up at once."""
    for piece in ('"', '",', '":', "\\x", "\\x22", ',"', "{", ":-", ':-,"'):
        assert load_unescaped("{" + piece * (60_000 // len(piece)) + "}") is None
    assert load_unescaped('{"a":-' + " " * 60_000 + '"}') is None
    assert load_unescaped('{"a":' + " " * 60_000 + "-}") == {"a": None}
    assert load_unescaped('{"a":-' + ", " * 30_000 + '"b":1}') is not None


def test_json_that_is_right_stays_so() -> None:
    """The reader is asked about broken lines only, and would not harm others."""
    row = {"a": 'x "y": -,', "b": [1, {"c": "}"}], "d": "\\x41"}
    assert load_unescaped(json.dumps(row)) == row
