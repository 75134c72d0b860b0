"""
The values that are answers, beside `Timeline`, `Explanation` and the reports.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated

from pydantic import PlainSerializer

from collector.answers import Answer, Duration, MaybeText, Moment
from collector.model import GatewayRecord, LogRecord, Span
from collector.stitch.timeline import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(Answer):
    """
    One request in a list.

    `hops`, `unexplained_ns`, `state` and `verdict` come from stitching it; `verdict` is the layer
    that failed first, with the component behind a colon, or "none", and while
    `is_verdict_provisional` one of the sources in `settled_by` could overturn it. `is_joined` tells
    whether both a gateway record and spans are known; it is `None` for what was answered at the
    gateway and never called a backend. `join_tier` and `join_confidence` tell by what they were
    joined, as a timeline's links do. `slowest_hop` is the service that alone held up the answer
    longest, for `slowest_hop_ns`.
    """

    id: str
    trace_id: MaybeText
    start_ns: Moment
    duration_ns: Duration | None
    gateway: str
    api: str
    operation: str
    route: str
    method: str
    status: int | None
    is_error: bool
    consumer: str
    backend_ns: Duration | None
    unexplained_ns: Duration | None
    slowest_hop: str
    slowest_hop_ns: Duration | None
    hops: int
    services: tuple[str, ...]
    is_joined: bool | None
    join_tier: int | None = None
    join_confidence: float | None = None
    state: str
    verdict: str
    is_verdict_provisional: bool = False
    settled_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRange:
    """What was looked through: [start_ns, end_ns)."""

    start_ns: Moment
    end_ns: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Answer):
    """One page of a search. `note` says why it is empty, or what was assumed."""

    requests: tuple[Summary, ...]
    next_cursor: MaybeText
    range: TimeRange
    watermarks_ns: Mapping[str, Moment] = field(default_factory=dict)
    note: str = ""


@dataclass(slots=True, kw_only=True)
class StoredSpan(Span):
    """A span as it is stored: raw times, every attribute."""

    duration_ns: Duration = 0


def _show_span(span: Span) -> StoredSpan:
    values = {each.name: getattr(span, each.name) for each in fields(Span)}
    return StoredSpan(**values, duration_ns=span.end_ns - span.start_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Answer):
    """The rows behind one request. `is_cut` tells that there are more than were read."""

    id: str
    records: tuple[GatewayRecord, ...]
    spans: tuple[Annotated[Span, PlainSerializer(_show_span)], ...]
    logs: tuple[LogRecord, ...]
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stitched:
    """
    A timeline and what it was made of: spans, which hold events, links and resources, and logs.
    """

    timeline: Timeline
    spans: tuple[Span, ...]
    logs: tuple[LogRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """
    How fresh and complete one source is.

    `stream` is the kind of what it sends, or `pull` for a source that is polled. `watermark_ns`:
    events before it are almost surely here. `lag_*_ns` is reception minus event. `rows` is what the
    tables hold; the other counts are of the running ingest processes, `None` where the doors do not
    tell this source from others. `last_error` says why a polled source could not be read, and
    `polled_by` which of several nodes has the turn to poll it; it is empty where there is one node,
    and where all read at once. `note` says what is odd about a source's times and was left out of
    the watermark, or that nobody polls it.
    """

    source: str
    stream: str
    doors: tuple[str, ...] = ()
    rows: int = 0
    last_event_ns: Moment | None = None
    last_received_ns: Moment | None = None
    lag_p50_ns: Duration | None = None
    lag_p90_ns: Duration | None = None
    lag_p99_ns: Duration | None = None
    watermark_ns: Moment | None = None
    accepted: int | None = None
    rejected: int | None = None
    ignored: int | None = None
    last_error: str = ""
    polled_by: str = ""
    polled_since_ns: Moment | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources(Answer):
    """Every source that ever sent something, by stream and name."""

    sources: tuple[SourceReport, ...]
