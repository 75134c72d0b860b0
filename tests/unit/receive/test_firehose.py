"""The answer that Firehose waits for."""

import json

from collector.errors import JournalError
from collector.model import Receipt
from collector.receive.firehose import DELIVERY_HEADER, is_delivery, write_answer

DELIVERY = "c0ffee00-1111-4222-8333-444455556666"
HEADERS = {DELIVERY_HEADER: DELIVERY.encode()}
NOW_NS = 1_767_225_610_123_456_789


def test_success_echoes_the_delivery_s_id() -> None:
    """Without the same request id Firehose counts a failure and sends everything again."""
    answer = json.loads(write_answer(HEADERS, Receipt(accepted=3, rejected=1), NOW_NS))
    assert answer == {"requestId": DELIVERY, "timestamp": NOW_NS // 1_000_000}


def test_failure_says_why() -> None:
    """Firehose retries every status but 200 and 413, and shows the message to its owner."""
    outcome = JournalError("the disk is full" + "!" * 10_000)
    told = json.loads(write_answer(HEADERS, outcome, NOW_NS))
    assert told["requestId"] == DELIVERY
    assert told["errorMessage"].startswith("the disk is full")
    assert len(told["errorMessage"]) == 8192


def test_other_senders_are_not_firehose() -> None:
    """Plain lines posted by anything else are answered by the door."""
    assert is_delivery(HEADERS)
    assert not is_delivery({b"content-type": b"text/plain"})
