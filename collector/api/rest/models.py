"""
The documents of the API as models: what OpenAPI shows, and what the tests hold answers against.

Nothing is validated with them at run time. Unknown fields are forbidden here so that a field which
the code adds and the documentation does not is noticed.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Timestamp = str
Milliseconds = float


class Document(BaseModel):
    """An object whose fields are all named here."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(Document):
    """What went wrong, and what to do about it."""

    code: str = Field(description="Stable word, see the table of errors.")
    message: str
    hint: str


class ErrorDocument(Document):
    """The shape of every error."""

    error: ErrorBody


class IdItem(Document):
    """One id of the request, as its source wrote it."""

    kind: str
    value: str


class ExpectedItem(Document):
    """A source that should know this request."""

    source: str
    status: str = Field(description="arrived, late, not_sampled or never")
    deadline: Timestamp | None


class GatewayRecordItem(Document):
    """One request as one gateway saw it. `null` means that the gateway does not say."""

    # fields: generated from model.GatewayRecord
    gateway: str = Field(description="Name of the adapter that read it, or of a rule.")
    record_id: str = Field(description="The gateway's own id of the request.")
    start: Timestamp = Field(description="When the request began.")
    instance: str = Field(description="Which instance or pod of the gateway.")
    source: str = Field(description="Which of the gateway's logs tells of it.")
    kind: str = Field(description="http, grpc, graphql, websocket or llm.")
    ids: list[IdItem] = Field(description="Ids of the request as the source wrote them.")
    trace_id: str = Field(description="Only if the record carries a real trace id.")
    trace_id_source: str = Field(description="The key the trace id was found under.")
    parent_span_id: str = Field(description="The caller's span, as the gateway received it.")
    outgoing_span_id: str = Field(
        description="Sent upstream: a span with this parent continues the request."
    )
    is_sampled: bool | None = Field(description="What the trace context says of sampling.")
    duration_ms: Milliseconds | None = Field(description="The whole as the gateway measures it.")
    client_ms: Milliseconds | None = Field(description="Sending to and receiving from the client.")
    gateway_ms: Milliseconds | None = Field(description="The gateway's own work.")
    cache_ms: Milliseconds | None = Field(description="Its cache.")
    backend_ms: Milliseconds | None = Field(description="Waiting for the backend, all tries.")
    resolution_ms: Milliseconds = Field(
        description="Step r of the times: v stands for [v - r/2, v + r/2)."
    )
    method: str = Field(description="HTTP method.")
    scheme: str = Field(description="http, https, ws or wss.")
    host: str = Field(description="Host as the client asked for it.")
    path: str = Field(description="Path as the client asked for it, without query.")
    route: str = Field(description="Path template or name of the matched route.")
    protocol: str = Field(description="Protocol of the client's side.")
    status: int | None = Field(description="Status that was sent; none was if it is null.")
    is_error: bool = Field(description="Whether the request failed.")
    api: str = Field(description="API, service or route that requests are counted by.")
    api_revision: str = Field(description="Revision of the API.")
    operation: str = Field(description="Operation of the API.")
    product: str = Field(description="Product or plan it was called under.")
    consumer: str = Field(description="Subscription, key or application of the caller.")
    user: str = Field(description="User of the caller.")
    region: str = Field(description="Where the gateway stands.")
    client_address: str = Field(description="Address of the client.")
    backend_method: str = Field(description="Method sent to the backend.")
    backend_host: str = Field(description="Host or address of the backend.")
    backend_path: str = Field(description="Path sent to the backend.")
    backend_status: int | None = Field(description="Status that the backend answered.")
    backend_id: str = Field(description="The gateway's name for the backend.")
    attempts: int | None = Field(description="Tries of the backend.")
    cache: str = Field(description="hit, miss, none or empty.")
    request_bytes: int | None = Field(description="Size of the request.")
    response_bytes: int | None = Field(description="Size of the response.")
    error_source: str = Field(
        description="Whose error: client, gateway, backend, or a policy's name."
    )
    error_scope: str = Field(description="Scope of the policy that failed.")
    error_section: str = Field(description="Section of the policy that failed.")
    error_reason: str = Field(description="Reason in the gateway's own words.")
    error_message: str = Field(description="What the gateway says about it.")
    error_elapsed_ms: Milliseconds | None = Field(description="From the start to the error.")
    weight: float = Field(description="How many requests it stands for, when sampled.")
    quality: list[str] = Field(description="Truth-check flags: BACKEND_GT_TOTAL.")
    attributes: dict[str, str] = Field(description="Everything else worth keeping.")
    raw: Any = Field(description="The redacted original row.")
    # end
    received: Timestamp


class MergedRecordItem(GatewayRecordItem):
    """A record merged from all versions and sources of it."""

    sources: list[str]
    versions: int
    span_id: str = Field(description="Under this id the record stands among `spans`.")


class SliceItem(Document):
    """A stretch of time, at least and at most, and what it was computed from."""

    name: str
    duration_ms: Milliseconds
    lower_ms: Milliseconds
    upper_ms: Milliseconds
    source: str


class PhaseItem(SliceItem):
    """A slice of the total time; all sum to it exactly. Directions: a call's ways out and back."""

    directions: list[SliceItem] = []


class HopItem(Document):
    """One visit to one service: client proxy, server proxy and app together."""

    index: int
    role: str = Field(description="gateway, edge, service or dependency")
    service: str
    name: str
    parent: int = Field(description="Index of the calling hop, -1: none.")
    start_offset_ms: Milliseconds
    duration_ms: Milliseconds
    self_ms: Milliseconds
    critical_ms: Milliseconds
    proxy_ms: Milliseconds
    attempt: int
    attempts: int
    status: str
    instance: str
    inferred: bool
    mirrored: bool
    async_: bool = Field(alias="async")
    span_ids: list[str]
    notes: list[str]


class SpanItem(Document):
    """A span in its place. `raw_start` is never changed; `adjusted_by_ms` was added to it."""

    span_id: str
    parent_span_id: str
    raw_span_id: str
    raw_parent_span_id: str
    trace_id: str
    hop: int
    role: str
    service: str
    name: str
    kind: str
    start_offset_ms: Milliseconds
    raw_start: Timestamp
    adjusted_by_ms: Milliseconds
    adjusted_bound_ms: Milliseconds
    adjusted_reason: str
    duration_ms: Milliseconds
    self_ms: Milliseconds
    on_critical_path: bool
    status: str
    status_message: str
    attributes: dict[str, str]
    orphan: bool
    inferred: bool
    flags: list[str]


class SectionItem(Document):
    """A stretch of the critical path. The sections tile the request without gap or overlap."""

    span_id: str
    from_ms: Milliseconds
    to_ms: Milliseconds


class EvidenceItem(Document):
    """Two values that were compared."""

    field: str
    left: str
    right: str


class RejectedItem(Document):
    """A candidate that was not joined, and why."""

    to: str
    tier: int
    confidence: float
    reason: str
    evidence: list[EvidenceItem]


class LinkItem(Document):
    """A joint between two parts of the timeline, with its proof."""

    from_: str = Field(alias="from")
    to: str
    tier: int = Field(description="0 and 1 exact, 2 normalised id, 3 second id, 4 statistical.")
    confidence: float
    evidence: list[EvidenceItem]
    rejected: list[RejectedItem]


class ChainItem(Document):
    """One step of how a failure travelled, innermost first."""

    layer: str
    component: str
    what: str
    offset_ms: Milliseconds | None
    refs: list[str]


class VerdictItem(Document):
    """Who failed first."""

    layer: str = Field(description="client, gateway, network, edge, mesh, app, dependency or none")
    component: str
    class_: str = Field(alias="class")
    reason: str
    confidence: float
    rule: str
    hop: int
    first_offset_ms: Milliseconds | None
    who_closed: str
    outcome: str
    wasted_ms: Milliseconds
    chain: list[ChainItem]


class FindingItem(Document):
    """Something that is wrong with the data or the configuration, and its fix."""

    rule: str
    title: str = Field(description="What is wrong, in a line.")
    meaning: str = Field(description="What comes of it.")
    hop: int | None
    message: str = Field(description="What was seen here.")
    fix: str
    refs: list[str]


class PolicyActionItem(Document):
    """What a layer did to the request, of the kind that several layers can do."""

    feature: str
    layer: str
    component: str
    detail: str
    refs: list[str]


class TimelineDocument(Document):
    """One request, from the API call to the last internal hop."""

    id: str
    trace_id: str | None
    trace_ids: list[str]
    ids: list[IdItem]
    state: str = Field(description="provisional, complete or final")
    expected: list[ExpectedItem]
    revision: int
    start: Timestamp
    duration_ms: Milliseconds
    status: int | None
    error: bool
    root_span_id: str
    gateway_records: list[MergedRecordItem]
    phases: list[PhaseItem]
    hops: list[HopItem]
    spans: list[SpanItem]
    critical_path: list[SectionItem]
    links: list[LinkItem]
    verdict: VerdictItem
    findings: list[FindingItem]
    acts: list[PolicyActionItem]
    callers: list[SpanItem]
    other_matches: list[str] = Field(description="Further requests under the same id.")
    watermarks: dict[str, Timestamp]


class SummaryItem(Document):
    """One request in a list."""

    id: str
    trace_id: str | None
    start: Timestamp
    duration_ms: Milliseconds
    gateway: str
    api: str
    operation: str
    route: str
    method: str
    status: int | None
    error: bool
    consumer: str
    backend_ms: Milliseconds | None
    unexplained_ms: Milliseconds | None
    hops: int
    services: list[str]
    joined: bool
    state: str
    verdict: str


class RangeItem(Document):
    """The range that was searched, [start, end)."""

    start: Timestamp
    end: Timestamp


class FoundDocument(Document):
    """One page of a search."""

    requests: list[SummaryItem]
    next_cursor: str | None
    range: RangeItem
    watermarks: dict[str, Timestamp]
    note: str


class SentenceItem(Document):
    """One statement with the rule and the ids behind it."""

    section: str
    text: str
    rule: str
    refs: list[str]


class ExplanationDocument(Document):
    """A request told in sentences."""

    id: str
    title: str
    state: str
    revision: int
    sentences: list[SentenceItem]


class StoredEvent(Document):
    """A moment inside a span."""

    time: Timestamp
    name: str
    attributes: dict[str, str]


class StoredLink(Document):
    """A reference to another span."""

    trace_id: str
    span_id: str
    attributes: dict[str, str]


class StoredSpan(Document):
    """A span as it is stored."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    service: str
    kind: str
    start: Timestamp
    end: Timestamp
    duration_ms: Milliseconds
    status: str
    status_message: str
    trace_state: str
    attributes: dict[str, str]
    resource: dict[str, str]
    scope: str
    events: list[StoredEvent]
    links: list[StoredLink]
    received: Timestamp


class StoredLog(Document):
    """A log record as it is stored."""

    time: Timestamp
    trace_id: str
    span_id: str
    service: str
    severity: str
    body: str
    event_name: str
    attributes: dict[str, str]
    resource: dict[str, str]
    scope: str
    received: Timestamp


class StoredDocument(Document):
    """The rows behind one request, untouched."""

    id: str
    records: list[GatewayRecordItem]
    spans: list[StoredSpan]
    logs: list[StoredLog]
    cut: bool = Field(description="There is more under this id than was read.")


class SourceItem(Document):
    """How fresh and complete one source is."""

    source: str
    stream: str = Field(description="trace, log, metric, record; or pull for a polled source.")
    doors: list[str]
    rows: int
    last_event: Timestamp | None
    last_received: Timestamp | None
    lag_p50_ms: Milliseconds | None
    lag_p90_ms: Milliseconds | None
    lag_p99_ms: Milliseconds | None
    watermark: Timestamp | None
    accepted: int
    rejected: int
    last_error: str = Field(description="Why a polled source cannot be read; empty: it can.")


class SourcesDocument(Document):
    """Every source that ever sent something."""

    sources: list[SourceItem]


class ApiItem(Document):
    """One API of one gateway over a range of time."""

    gateway: str
    api: str
    requests: int
    requests_per_s: float
    errors: int
    error_ratio: float
    p50_ms: Milliseconds
    p95_ms: Milliseconds
    p99_ms: Milliseconds
    join_coverage: float = Field(description="Share of records that found spans, 0 to 1.")


class ApisDocument(Document):
    """The APIs of all gateways."""

    apis: list[ApiItem]


class ClockPairItem(Document):
    """Two hosts: the clock of `second` is ahead of that of `first` by `offset_ms` ± `bound_ms`."""

    first: str = Field(description="A node, a pod or, for a gateway, its name and instance.")
    second: str
    offset_ms: Milliseconds
    bound_ms: Milliseconds
    samples: int = Field(description="Calls between the two in the newest five minutes.")
    drift_ppm: float | None = Field(description="Null: known for one stretch of five minutes only.")
    health: str = Field(description="ok, off (surely over 50 ms), drifting or unknown (wide bound)")


class ClocksDocument(Document):
    """The clocks of all hosts that called each other lately."""

    pairs: list[ClockPairItem]
    calls: int = Field(description="Calls that this was learned from.")
    start: Timestamp | None
    end: Timestamp | None


class HealthDocument(Document):
    """Liveness."""

    status: str


class ReadyDocument(HealthDocument):
    """Readiness by component: `ok`, or what is wrong."""

    components: dict[str, str]
