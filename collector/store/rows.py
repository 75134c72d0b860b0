"""
What the store takes and gives beside the values of `model`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from collector.model import GatewayRecord, Stream

OTHERS = "(others)"
"""The name under which is counted together what has more names than are told apart."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFilter:
    """
    Which requests are looked for: those that started in [start_ns, end_ns) and fit every field.

    "" and `None` do not restrict. Texts are compared whole; where there is no route, the span's
    name or the path stands for it, and `host` is in lower case. `text` is looked for inside path
    (also as addresses encode it), route, operation, API, span name and what the gateway says of the
    error, whatever the case; `id_prefix`, in lower case and
    without dashes, at the beginning of ids: one of the two has to fit. What only a gateway knows
    (gateway, api, operation, consumer, revision) restricts to requests that have a gateway record.
    `is_joined`: has both a gateway record and spans. `status_class` is 1 to 5.
    `received_since_ns`: something of it came in after that. `with_logged`: also those requests of
    which nothing is known but proxies' access logs.
    """

    start_ns: int
    end_ns: int
    gateway: str = ""
    api: str = ""
    operation: str = ""
    route: str = ""
    method: str = ""
    host: str = ""
    status: int | None = None
    status_class: int | None = None
    is_error: bool | None = None
    service: str = ""
    consumer: str = ""
    revision: str = ""
    min_duration_ns: int | None = None
    max_duration_ns: int | None = None
    is_joined: bool | None = None
    text: str = ""
    id_prefix: str = ""
    received_since_ns: int | None = None
    with_logged: bool = False
    order: Literal["-duration", "-start"] = "-duration"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """
    One request found by a search: a gateway record, or a trace that has none (`record_id` is "").

    `trace_id` is "" when no spans are known. Without a gateway record the values are those of the
    edge span. Of a request that only access logs tell of, they are those of the outermost line;
    `log_keys` are the ids that its lines carry and `request_id` is the one it is asked for by.
    `versions` are the stored versions of the record, without their own text. `buckets` are the five
    minutes, by their first second, that its spans or lines lie in, where they are known;
    `received_s` is the last second that some came in, of a sampled record that it came in itself.
    `cursor` continues the search behind this row. `place_ratio` is where a sample by hash has it:
    that share of all requests comes before it.
    """

    start_ns: int
    duration_ns: int | None
    gateway: str = ""
    record_id: str = ""
    trace_id: str = ""
    is_joined: bool = False
    api: str = ""
    operation: str = ""
    route: str = ""
    method: str = ""
    host: str = ""
    path: str = ""
    status: int | None = None
    is_error: bool = False
    consumer: str = ""
    revision: str = ""
    backend_ns: int | None = None
    versions: Sequence[GatewayRecord] = ()
    request_id: str = ""
    log_keys: Sequence[str] = ()
    buckets: Sequence[int] = ()
    received_s: int = 0
    cursor: str = ""
    place_ratio: float | None = None

    @property
    def id(self) -> str:
        """What the request is asked for by."""
        return self.record_id or self.request_id or self.trace_id


@dataclass(frozen=True, slots=True)
class LinkingSpan:
    """A span that links to a span of another trace, `linked_span_id`."""

    trace_id: str
    span_id: str
    service: str
    name: str
    start_ns: int
    linked_span_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSummary:
    """
    What the spans of one trace add up to, from whatever has arrived.

    `end_ns` is the latest end of a span; `buckets` as in `RequestRow`. The edge span is the
    earliest root, and without a root the earliest span.
    """

    trace_id: str
    start_ns: int
    end_ns: int
    spans: int
    errors: int
    services: Sequence[str]
    edge_span_id: str
    edge_name: str
    edge_start_ns: int
    edge_duration_ns: int
    edge_is_error: bool
    method: str = ""
    host: str = ""
    path: str = ""
    route: str = ""
    status: int | None = None
    request_key: str = ""
    received_ns: int = 0
    buckets: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class SourceStat:
    """
    What one source has delivered lately.

    `source` is a gateway record's source, or the service of spans and logs. Lag is from the event
    to its reception. With more than one in `names` it is what so many other sources delivered
    together, those that delivered least: their lags are not known.
    """

    stream: str
    source: str
    rows: int
    first_event_ns: int
    last_event_ns: int
    last_received_ns: int
    lag_p50_ns: int
    lag_p90_ns: int
    lag_p99_ns: int
    names: int = 1
