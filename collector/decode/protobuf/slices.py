"""
Where the messages lie in a protobuf list, found without parsing it whole.

Parsing multiplies: a list of empty spans takes sixty times its size in memory. Cut into slices,
one span at a time is parsed and let go again.
"""

from collector.decode.protobuf.split import read_fields
from collector.errors import Undecodable

MAX_SPAN_BYTES = 1024 * 1024
"""A larger span is not parsed; it could not be stored either."""
# Two ids alone take more. Fewer bytes a span are no spans but a way to keep us busy.
_MIN_SPAN_BYTES = 20
_SLACK = 64


def count_most_spans(size: int) -> int:
    """Return how many spans *size* bytes can hold, whatever the protocol."""
    return size // _MIN_SPAN_BYTES + _SLACK


def find_slices(body: bytes, start: int, end: int) -> dict[int, list[tuple[int, int]]]:
    """
    Return the begin and end of each length-delimited field in body[start:end], by field number.

    Raises:
        Undecodable: it is not protobuf, or is cut into pieces too small to be spans. Never retried.
    """
    found: dict[int, list[tuple[int, int]]] = {}
    fields = enumerate(read_fields(body, start, end), 1)
    for count, (number, wire_type, _, at, stop) in fields:
        # judged as it goes, so that a list of nothings is given up at its beginning
        if count > count_most_spans(stop - start):
            msg = f"{count} fields in {stop - start} bytes: too many to be spans"
            raise Undecodable(msg)
        if wire_type == 2:
            found.setdefault(number, []).append((at, stop))
    return found
