"""
Jaeger spans as read from either encoding, before they are mapped.

Text is bytes as received, which may not be UTF-8. `Binary` marks the values that are no text.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

CHILD_OF = 0
FOLLOWS_FROM = 1


class Binary(bytes):
    """The value of a binary tag."""

    __slots__ = ()


Value = bytes | Binary | bool | int | float
Tag = tuple[bytes, Value]


class Reference(NamedTuple):
    """A reference to another span: 16 and 8 bytes, and `CHILD_OF` or `FOLLOWS_FROM`."""

    trace_id: bytes
    span_id: bytes
    kind: int


class Process(NamedTuple):
    """Who sent the spans."""

    service_name: bytes
    tags: Sequence[Tag]


class JaegerSpan(NamedTuple):
    """
    One span. Ids are 16 and 8 bytes, zeros when missing; `process` is `None` where the batch's
    applies. `is_follower_parent_allowed`: a FOLLOWS_FROM reference may stand in for the parent.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: bytes
    references: Sequence[Reference]
    flags: int
    start_ns: int
    duration_ns: int
    tags: Sequence[Tag]
    logs: Sequence[tuple[int, Sequence[Tag]]]
    process: Process | None = None
    warnings: Sequence[bytes] = ()
    is_follower_parent_allowed: bool = False


class Batch(NamedTuple):
    """
    The spans of one message, and who sent those that do not say it themselves.

    A span that is too large to be read is `None`.
    """

    process: Process | None
    spans: Iterable[JaegerSpan | None]
