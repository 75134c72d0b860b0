"""
How Amazon Data Firehose talks over HTTP, whichever gateway's records it delivers.

Its access key is the token, its request id names one delivery, the same when it is sent again, and
only an answer with that id counts as one. What lies inside a delivery is `decode.envelopes`' to
open.

Source: Amazon Data Firehose developer guide, "Understand HTTP endpoint delivery request and
response specifications".
"""

from collections.abc import Mapping

import orjson

from collector.errors import CollectorError
from collector.model import Receipt

DELIVERY_HEADER = b"x-amz-firehose-request-id"
ACCESS_KEY_HEADER = b"x-amz-firehose-access-key"

_LONGEST_ERROR = 8192


def is_delivery(headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether a request (header names in lower case) comes from Firehose."""
    return DELIVERY_HEADER in headers


def write_answer(
    headers: Mapping[bytes, bytes], outcome: Receipt | CollectorError, now_ns: int
) -> bytes:
    """
    Return the answer Firehose expects: its own request id, the time, and why it failed if it did.

    Any answer without the same `requestId` counts as a failure and is delivered again.
    """
    answer: dict[str, object] = {
        "requestId": headers[DELIVERY_HEADER].decode("latin-1"),
        "timestamp": now_ns // 1_000_000,
    }
    if isinstance(outcome, CollectorError):
        answer["errorMessage"] = outcome.message[:_LONGEST_ERROR]
    return orjson.dumps(answer)
