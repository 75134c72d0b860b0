"""
The values that answers are made of, beside `Timeline` and `Explanation`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from collector.model import GatewayRecord, LogRecord, Span
from collector.stitch.timeline import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """
    One request in a list.

    `hops`, `unexplained_ns`, `state` and `verdict` come from stitching it; `verdict` is the layer
    that failed first, with the component behind a colon, or "none".
    """

    id: str
    trace_id: str
    start_ns: int
    duration_ns: int
    gateway: str
    api: str
    operation: str
    route: str
    method: str
    status: int | None
    is_error: bool
    consumer: str
    backend_ns: int | None
    unexplained_ns: int | None
    hops: int
    services: tuple[str, ...]
    is_joined: bool
    state: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One page of a search. `note` says why it is empty, or what was assumed."""

    requests: tuple[Summary, ...]
    next_cursor: str
    start_ns: int
    end_ns: int
    watermarks_ns: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The rows behind one request. `is_cut` tells that there are more than were read."""

    id: str
    records: tuple[GatewayRecord, ...]
    spans: tuple[Span, ...]
    logs: tuple[LogRecord, ...]
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stitched:
    """A timeline and the stored spans it was made of, which hold events, links and resources."""

    timeline: Timeline
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """
    How fresh and complete one source is.

    `stream` is the kind of what it sends, or `pull` for a source that is polled. `watermark_ns`:
    events before it are almost surely here. `lag_*_ns` is reception minus event. Counts are of
    this ingest process's life. `last_error` says why a polled source could not be read.
    """

    source: str
    stream: str
    doors: tuple[str, ...] = ()
    rows: int = 0
    last_event_ns: int | None = None
    last_received_ns: int | None = None
    lag_p50_ns: int | None = None
    lag_p90_ns: int | None = None
    lag_p99_ns: int | None = None
    watermark_ns: int | None = None
    accepted: int = 0
    rejected: int = 0
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiReport:
    """One API of one gateway over a range of time. `join_coverage` is joined records over all."""

    gateway: str
    api: str
    requests: int
    requests_per_s: float
    errors: int
    p50_ns: int
    p95_ns: int
    p99_ns: int
    join_coverage: float
