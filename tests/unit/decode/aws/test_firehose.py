"""Firehose deliveries: what is inside, what is refused, and the answer Firehose waits for."""

import base64
import gzip
import json
from typing import Any

import pytest

from collector.decode.aws import firehose
from collector.decode.aws.firehose import split_delivery, write_answer
from collector.decode.gateways import Answer, get_adapter
from collector.errors import JournalError, TooLarge, Undecodable
from collector.model import Receipt, RecordError

DELIVERY = "c0ffee00-1111-4222-8333-444455556666"
NOW_NS = 1_767_225_610_123_456_789


def _delivery(*contents: bytes) -> bytes:
    records = [{"data": base64.b64encode(content).decode()} for content in contents]
    return json.dumps({"requestId": DELIVERY, "timestamp": 1, "records": records}).encode()


def _envelope(*messages: Any, kind: str = "DATA_MESSAGE") -> dict[str, Any]:
    return {"messageType": kind, "logEvents": [{"id": "1", "message": each} for each in messages]}


def _respond(headers: dict[str, str], outcome: Receipt | JournalError) -> Answer | None:
    respond = get_adapter("aws-api-gateway").http_profile.respond
    assert respond is not None
    return respond(headers, _delivery(), outcome, NOW_NS)


def test_records_hold_lines_objects_back_to_back_and_envelopes() -> None:
    """Whatever stands in a record, its entries come out in order."""
    zipped = gzip.compress(json.dumps(_envelope('{"n":4}', "text 5")).encode())
    body = _delivery(b'{"n":1}\n', b'{"n":2}{"n":3}', zipped)
    entries = split_delivery(body).entries
    assert list(entries) == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}, "text 5"]


def test_envelopes_may_come_bare_or_decompressed() -> None:
    """Firehose can unzip them itself, and other forwarders send them without Firehose."""
    plain = json.dumps(_envelope('{"n":1}')).encode()
    assert list(split_delivery(plain).entries) == [{"n": 1}]
    assert list(split_delivery(_delivery(plain + plain)).entries) == [{"n": 1}, {"n": 1}]


def test_a_control_message_is_no_entry() -> None:
    """It only probes the way: nothing is accepted and nothing is rejected."""
    zipped = gzip.compress(json.dumps(_envelope("probe", kind="CONTROL_MESSAGE")).encode())
    assert list(split_delivery(_delivery(zipped)).entries) == []


@pytest.mark.parametrize(
    "data",
    [
        "%%%",
        "abc",
        None,
        7,
        {},
        base64.b64encode(gzip.compress(b"x" * 99, mtime=0)[:18]).decode(),
        "",
    ],
    ids=repr,
)
def test_a_record_that_can_not_be_read_costs_itself_only(data: object) -> None:
    """Its error names the record, and the ones beside it are read."""
    good = {"data": base64.b64encode(b'{"n":1}').decode()}
    body = {"requestId": DELIVERY, "records": [good, {"data": data}, good]}
    entries = split_delivery(json.dumps(body).encode()).entries
    assert entries[0] == entries[2] == {"n": 1}
    assert isinstance(entries[1], RecordError)
    assert entries[1].index == 1
    assert entries[1].field == "records[1].data"


def test_an_event_without_text_is_rejected_by_its_place() -> None:
    """The event's number within its envelope is in the field."""
    entries = split_delivery(json.dumps(_envelope('{"n":1}', 7)).encode()).entries
    assert isinstance(entries[1], RecordError)
    assert entries[1].field == "logEvents[1].message"


def test_a_bomb_inside_a_record_is_refused_before_it_fills_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The records of one delivery share one budget of decompressed bytes."""
    monkeypatch.setattr(firehose, "_MOST_BYTES", 100_000)
    bomb = gzip.compress(b" " * 60_000)
    with pytest.raises(TooLarge):
        split_delivery(_delivery(bomb, bomb))


def test_success_echoes_the_delivery_s_id() -> None:
    """Without the same request id Firehose counts a failure and sends everything again."""
    answer = _respond({firehose.DELIVERY_HEADER: DELIVERY}, Receipt(accepted=3, rejected=1))
    assert answer is not None
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert json.loads(answer.body) == {"requestId": DELIVERY, "timestamp": NOW_NS // 1_000_000}


def test_failure_says_why_and_keeps_its_status() -> None:
    """Firehose retries every status but 200 and 413, and shows the message to its owner."""
    outcome = JournalError("the disk is full" + "!" * 10_000)
    answer = _respond({firehose.DELIVERY_HEADER: DELIVERY}, outcome)
    assert answer is not None
    assert answer.status == 503
    told = json.loads(answer.body)
    assert told["requestId"] == DELIVERY
    assert told["errorMessage"].startswith("the disk is full")
    assert len(told["errorMessage"]) == 8192


def test_other_senders_get_the_usual_answer() -> None:
    """Plain lines posted by anything else are answered by the door."""
    assert _respond({"content-type": "text/plain"}, Receipt(1, 0)) is None


def test_the_id_is_taken_from_the_body_when_a_proxy_drops_the_header() -> None:
    """Header and body carry the same id."""
    answer = json.loads(write_answer({}, _delivery(), Receipt(0, 0), NOW_NS))
    assert answer["requestId"] == DELIVERY
    assert json.loads(write_answer({}, b"\xff", Receipt(0, 0), NOW_NS))["requestId"] == ""


def test_an_unreadable_delivery_is_undecodable() -> None:
    """Half a body is refused as a whole, so that Firehose sends it again."""
    with pytest.raises(Undecodable):
        split_delivery(_delivery(b'{"n":1}')[:-5])


def test_the_access_key_and_the_delivery_id_are_declared() -> None:
    """The door reads both headers from the adapter's http_profile."""
    http_profile = get_adapter("aws-api-gateway").http_profile
    assert http_profile.token_header == "x-amz-firehose-access-key"
    assert http_profile.delivery_header == "x-amz-firehose-request-id"
