"""
What the store takes and gives beside the values of `model`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from collector.model import Stream


class LoadableSegment(Protocol):
    """A sealed file of length-delimited messages. `id` is unique for ever and never reused."""

    @property
    def id(self) -> str: ...

    @property
    def stream(self) -> Stream: ...

    @property
    def path(self) -> Path: ...


@dataclass(frozen=True, slots=True)
class IdHit:
    """
    Where a key was seen: in a trace, in a gateway record, or in a record that names its trace.

    `kind` is the kind of id that the key is there (`Id.kind`, or `record_id`).
    """

    key: str
    kind: str
    trace_id: str
    gateway: str
    record_id: str
    start_ns: int
