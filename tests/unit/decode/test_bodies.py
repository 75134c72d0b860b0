"""Bodies into entries: every way senders put records together, and what one bad entry costs."""

import json

import pytest

from collector.decode.bodies import split_body
from collector.errors import Undecodable
from collector.model import RecordError

A, B = {"n": 1}, {"n": 2, "text": '}{ "\n '}


@pytest.mark.parametrize(
    "body",
    [
        json.dumps([A, B]),
        f"{json.dumps(A)}\n{json.dumps(B)}\n",
        f"{json.dumps(A)}\r\n\r\n{json.dumps(B)}",
        f"{json.dumps(A)},\n{json.dumps(B)},\n",
        json.dumps(A) + json.dumps(B),
        json.dumps(A) + " " + json.dumps(B),
        json.dumps(A, indent=2) + "\n" + json.dumps(B, indent=2),
        "\ufeff" + json.dumps([A, B]),
    ],
    ids=["array", "lines", "crlf", "commas", "back-to-back", "blank", "pretty", "bom"],
)
def test_every_way_of_putting_objects_together_is_read(body: str) -> None:
    """Array, lines, back to back and pretty-printed give the same entries in the same order."""
    assert list(split_body(body.encode()).entries) == [A, B]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_what_windows_saved_is_read(encoding: str) -> None:
    """PowerShell's `>` writes UTF-16 with a mark before it; half a character at the end is lost."""
    mark = "" if encoding == "utf-16" else "\ufeff"
    body = (mark + json.dumps(A) + "\r\n" + json.dumps(B)).encode(encoding)
    assert list(split_body(body).entries) == [A, B]
    assert list(split_body(body + b"\n").entries)[:1] == [A]


def test_a_bad_line_costs_itself_only_and_keeps_its_place() -> None:
    """Lines before and after it are read, and its index is its place in the body."""
    entries = split_body(b'{"n":1}\n{"n":\n{"n":2}\n').entries
    assert entries[0] == {"n": 1}
    assert isinstance(entries[1], RecordError)
    assert entries[1].index == 1
    assert entries[2] == {"n": 2}


def test_what_follows_the_last_whole_object_is_one_rejected_entry() -> None:
    """Back to back, nothing after the damage can be trusted; what came before it can."""
    entries = split_body(b'{"n":1}{"n":2}{"n":').entries
    assert list(entries[:2]) == [{"n": 1}, {"n": 2}]
    assert isinstance(entries[2], RecordError)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b'{"n":1',
        b"7",
        b"null",
        b"{" * 100_000,
        b'{"n":' * 100_000,
        b'{"n":NaN}',
        b'{"n":"\\ud800"}',
    ],
    ids=lambda body: repr(body[:14]),
)
def test_a_body_without_any_entry_is_undecodable(body: bytes) -> None:
    """Empty, cut off, too deep, or JSON that JSON does not allow: nothing is taken."""
    with pytest.raises(Undecodable):
        split_body(body)


def test_text_lines_and_json_lines_may_be_mixed() -> None:
    """A container's log holds both; JSON lines are parsed, the others stay text."""
    entries = split_body(b'[12] "GET"\n{"n":1}\n\n{"n":\nplain\n').entries
    assert entries[0] == '[12] "GET"'
    assert entries[1] == {"n": 1}
    assert isinstance(entries[2], RecordError)
    assert entries[3] == "plain"


def test_broken_json_is_no_text_line() -> None:
    """A single object cut off is a broken request, not a line of an unknown format."""
    with pytest.raises(Undecodable):
        split_body(b'{"n":1,"m"')


def test_hostile_bodies_are_split_in_linear_time() -> None:
    """A megabyte of almost-objects takes no more steps than a megabyte of objects."""
    for body in (b'{"a":[\n' * 40_000, b'{"a":"}{' * 60_000, b"}{" * 200_000, b'{"a":1}' * 60_000):
        try:
            entries = split_body(body).entries
        except Undecodable:
            continue
        assert len(entries) <= 60_000
