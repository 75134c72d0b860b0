"""Bodies into entries: every way senders put records together, and what one bad entry costs."""

import json
from typing import Any

import pytest

from collector.decode.bodies import (
    decode_rows,
    split_documents,
    split_lines,
    unwrap,
)
from collector.decode.fields import FieldError, Row, read_int, write_raw
from collector.errors import Undecodable
from collector.model import GatewayRecord, RecordError

A, B = {"n": 1}, {"n": 2, "text": '}{ "\n '}


def _read(row: Row) -> GatewayRecord | None:
    number = read_int(row, "n")
    if number is None:
        raise FieldError("n", "is missing")
    if number == 0:
        return None
    return GatewayRecord(gateway="toy", record_id=str(number), start_ns=1, raw=write_raw(row))


def _numbers(body: bytes) -> list[str]:
    return [record.record_id for record in decode_rows(body, _read).records]


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
    assert list(split_documents(body.encode()).entries) == [A, B]


def test_a_bad_line_costs_itself_only_and_keeps_its_place() -> None:
    """Lines before and after it are read, and its index is its place in the body."""
    entries = split_documents(b'{"n":1}\n{"n":\n{"n":2}\n').entries
    assert entries[0] == {"n": 1}
    assert isinstance(entries[1], RecordError)
    assert entries[1].index == 1
    assert entries[2] == {"n": 2}


def test_what_follows_the_last_whole_object_is_one_rejected_entry() -> None:
    """Back to back, nothing after the damage can be trusted; what came before it can."""
    entries = split_documents(b'{"n":1}{"n":2}{"n":').entries
    assert list(entries[:2]) == [{"n": 1}, {"n": 2}]
    assert isinstance(entries[2], RecordError)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"nothing",
        b'{"n":1',
        b'[{"n":1},{"n"',
        b"7",
        b'"text"',
        b"null",
        b"{" * 100_000,
        b'{"n":' * 100_000,
        b"[" * 100_000,
        b'{"n":NaN}',
        b'{"n":"\\ud800"}',
    ],
    ids=lambda body: repr(body[:14]),
)
def test_a_body_without_any_entry_is_undecodable(body: bytes) -> None:
    """Empty, cut off, too deep, or JSON that JSON does not allow: nothing is taken."""
    with pytest.raises(Undecodable):
        split_documents(body)


def test_an_empty_batch_is_a_batch() -> None:
    """A sender with nothing to say is told that all of it is stored."""
    assert decode_rows(b"[]", _read).records == []


def test_readers_reject_by_index_and_pass_over_what_is_no_request() -> None:
    """A `FieldError` rejects the entry, `None` does not count it at all."""
    decoded = decode_rows(b'[{"n":1},{"n":0},{"n":"x"},17,{"n":2}]', _read)
    assert [record.record_id for record in decoded.records] == ["1", "2"]
    assert [(error.index, error.field) for error in decoded.rejected] == [(2, "n"), (3, "")]


def test_bytes_that_are_not_utf_8_are_replaced_and_their_records_counted() -> None:
    """Real gateways log Latin-1 headers: the record is kept, the byte becomes U+FFFD."""
    for body in (b'[{"n":1,"ua":"caf\xe9"},{"n":2}]', b'{"n":1,"ua":"caf\xe9"}\n{"n":2}\n'):
        decoded = decode_rows(body, _read)
        assert decoded.repaired == 1
        assert "\ufffd" in decoded.records[0].raw


def test_text_lines_and_json_lines_may_be_mixed() -> None:
    """A container's log holds both; JSON lines are parsed, the others stay text."""
    entries = split_lines(b'[12] "GET"\n{"n":1}\n\n{"n":\nplain\n').entries
    assert entries[0] == '[12] "GET"'
    assert entries[1] == {"n": 1}
    assert isinstance(entries[2], RecordError)
    assert entries[3] == "plain"


def test_broken_json_is_no_text_line() -> None:
    """A single object cut off is a broken request, not a line of an unknown format."""
    with pytest.raises(Undecodable):
        split_lines(b'{"n":1,"m"')


@pytest.mark.parametrize(
    ("row", "inner", "instance"),
    [
        ({"log": '{"n":1}\n', "kubernetes": {"pod_name": "p"}}, {"n": 1}, "p"),
        ({"message": "GET / 200"}, "GET / 200", ""),
        ({"log": "2026-01-01T00:00:00.1Z stderr F GET /"}, "GET /", ""),
        ({"jsonPayload": {"n": 1}}, {"n": 1}, ""),
        ({"kubernetes": "odd", "message": 7}, None, ""),
        ({}, None, ""),
    ],
)
def test_what_log_shippers_wrap_is_unwrapped(row: Row, inner: Any, instance: str) -> None:
    """The line of a shipper's object is found, with the pod and without the runtime's prefix."""
    assert unwrap(row) == (inner, instance)


def test_a_wrapped_line_that_is_broken_is_rejected_by_its_field() -> None:
    """The field that holds the broken line is named."""
    with pytest.raises(FieldError) as caught:
        unwrap({"log": '{"n":'})
    assert caught.value.field == "log"


def test_hostile_bodies_are_split_in_linear_time() -> None:
    """A megabyte of almost-objects takes no more steps than a megabyte of objects."""
    for body in (b'{"a":[\n' * 40_000, b'{"a":"}{' * 60_000, b"}{" * 200_000, b'{"a":1}' * 60_000):
        try:
            entries = split_documents(body).entries
        except Undecodable:
            continue
        assert len(entries) <= 60_000
