"""
Texts that the engine makes of bytes and that Python makes too: both must agree.

The views run in ClickHouse; what asks and what reads is Python. A difference is a join not found.
"""

import base64
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.identity.ids import request_id_key
from collector.store import Store
from collector.store.rendering import fill
from collector.store.values import read_text
from tests.stored import any_value, opened, query_rows, store_settings

_SCALARS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=200),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.binary(max_size=200),
    st.none(),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
_AROUND = '{}" \t'
_WRAPPED = st.builds(
    "{0}{1}{2[0]}{3}{2[1]}{1}{0}".format,
    st.sampled_from(["", " ", "\t "]),
    st.sampled_from(["", '"', '""']),
    st.sampled_from([("", ""), ("{", "}")]),
    st.text("0123456789abcdefABCDEF-" + _AROUND, max_size=40).map(lambda text: text.strip(_AROUND)),
)
_IDS = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda u: u.hex.upper()),
    _WRAPPED,
    st.sampled_from(["", "-", "None", "NULL", "0" * 32, " x ", '"q"', "{A}", "{", "}{", "Ä-1"]),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield an embedded store."""
    with opened(store_settings(tmp_path_factory.mktemp("texts"))) as store:
        yield store


def _texts(store: Store, macro: str, values: list[bytes]) -> list[str]:
    file, _, name = macro.partition(":")
    sql = fill(
        f'{{% from "macros/{file}.sql" import {name} %}}SELECT {{{{ {name}("bytes") }}}} FROM ('
        "SELECT base64Decode(arrayJoin({values:Array(String)})) AS bytes) "
        "SETTINGS output_format_json_escape_forward_slashes = 0, max_block_size = 100000",
        {},
    )
    encoded = [base64.b64encode(each).decode() for each in values]
    return [row[0] for row in query_rows(store, sql, values=encoded)]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


def _expected(value: Any) -> str | float:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(_plain(value))


def _check(stored: str, value: Any) -> None:
    text = read_text(stored)
    if isinstance(value, list | dict):
        assert _is_same(json.loads(text), _plain(value))
    elif isinstance(value, float):
        assert float(text) == value
    else:
        assert text == _expected(value)


def _is_same(read: Any, sent: Any) -> bool:
    """Compare; a float may be written with as many digits as a whole number of its size."""
    if isinstance(sent, list):
        return len(read) == len(sent) and all(map(_is_same, read, sent))
    if isinstance(sent, dict):
        return read.keys() == sent.keys() and all(_is_same(read[k], sent[k]) for k in sent)
    return bool((float(read) if isinstance(sent, float) else read) == sent)


@pytest.mark.parametrize("macro", ["otlp:attribute_text", "otlp:body_text"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.lists(_VALUES, min_size=1, max_size=12))
def test_any_value_is_read_back_whole(macro: str, values: list[Any], store: Store) -> None:
    """Whatever an attribute holds, its text or JSON says all of it, deep lists included."""
    stored = _texts(store, macro, [any_value(each).SerializeToString() for each in values])
    for text, value in zip(stored, values, strict=True):
        _check(text, value)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 128, 129, 16_382, 16_383, 16_384, 70_000])
def test_text_of_any_length_keeps_its_ends(length: int, store: Store) -> None:
    """The length in front of a text has one to three bytes; none of them leaks into the text."""
    texts = ["é" * (length // 2) + "x" * (length % 2), "\n" * length]
    stored = _texts(
        store, "otlp:attribute_text", [any_value(each).SerializeToString() for each in texts]
    )
    assert stored == texts


def test_texts_of_a_list_are_json_in_the_table(store: Store) -> None:
    """Header attributes and command lines are lists of short texts: the table shows JSON itself."""
    values: list[Any] = [[], ["a"], ["", 'say "hi"\n', "ü/✓"], ["x" * 125] * 128]
    stored = _texts(
        store, "otlp:attribute_text", [any_value(each).SerializeToString() for each in values]
    )
    assert [json.loads(text) for text in stored] == values


def test_flat_log_bodies_are_json_in_the_table(store: Store) -> None:
    """A structured log body without lists inside is JSON in the table, whatever its values are."""
    body = {"path": "/a", "status": 200, "ok": True, "ratio": 0.5, "none": None, "raw": b"\x00"}
    (stored,) = _texts(store, "otlp:body_text", [any_value(body).SerializeToString()])
    assert json.loads(stored) == _plain(body)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_numbers_that_json_lacks_do_not_fail(number: float, store: Store) -> None:
    """Infinity and NaN are text in an attribute and null in a list."""
    alone, listed = _texts(
        store,
        "otlp:body_text",
        [any_value(number).SerializeToString(), any_value([number, 1]).SerializeToString()],
    )
    assert alone in ("inf", "-inf", "nan")
    assert json.loads(listed) == [None, 1]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(_IDS, min_size=1, max_size=40))
def test_request_ids_have_one_form(texts: list[str], store: Store) -> None:
    """
    The index is written with the same form of a request id that a question is asked with.

    What is wrapped once: a question takes off what somebody pasted around an id, however often.
    """
    keys = _texts(store, "ids:request_id_key", [text.encode() for text in texts])
    assert keys == [request_id_key(text) for text in texts]


def test_marker_in_a_senders_text_is_only_text(tmp_path: Path) -> None:
    """A text that begins like a stored list but is none is read as it was sent."""
    for tail in ("", "!!!", "AAAA", base64.b64encode(b"\xff\xff").decode()):
        text = f"data:application/x-otlp-value;base64,{tail}"
        assert read_text(text) in (text, "null")
