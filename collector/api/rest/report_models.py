"""
The documents of answers about many requests: doctor, joins and outcomes.
"""

from pydantic import Field

from collector.api.rest.models import Document, Milliseconds, RangeItem, Timestamp


class DoctorItem(Document):
    """Something that is wrong again and again at one place."""

    rule: str
    title: str
    meaning: str = Field(description="What comes of it.")
    hop: str = Field(description="The service or gateway to look at.")
    layer: str = Field(description="gateway, edge, mesh, app, dependency or host")
    gateway: str = Field(description="The product that the fix is written for.")
    share_of_traffic: float = Field(description="`affected` of `requests`, 0 to 1.")
    requests: int = Field(description="Requests of the sample that passed the hop.")
    affected: int
    first_seen: Timestamp
    last_seen: Timestamp
    example_ids: list[str] = Field(description="Requests to look at, the newest first.")
    message: str
    fix: str
    refs: list[str] = Field(description="Records and spans of the newest example.")


class DoctorDocument(Document):
    """What the doctor found. `note` says why there is nothing, or what was left out."""

    findings: list[DoctorItem]
    looked_at: int
    range: RangeItem
    note: str


class CurveItem(Document):
    """Of the pairs claimed at this probability and a tenth above, how many were right."""

    claimed_from: float
    measured: float
    pairs: int


class RouteJoinItem(Document):
    """What joins without ids achieve on one route, measured on requests whose ids were hidden."""

    route: str = Field(description="gateway|instance|api|method|operation")
    audited: int
    claimed: int = Field(description="Pairs claimed with a probability of 0.95 and more.")
    precision: float = Field(description="Share of the claimed pairs that are right.")
    coverage: float = Field(description="Share of the audited requests that are joined right.")
    demoted: bool = Field(description="Gives candidates only: the claim is not kept or not proven.")
    curve: list[CurveItem]


class StatisticalItem(Document):
    """Joins without ids around the newest requests of an API."""

    start: Timestamp
    end: Timestamp
    records: int
    exact_pairs: int = Field(description="Joined by ids: what is learned from.")
    unjoined: int = Field(description="Records that called a backend and that no id joins.")
    joined: int = Field(description="Of those, joined at 0.95 and more on routes not demoted.")
    routes: list[RouteJoinItem]


class ApiJoinItem(Document):
    """How the records of one API are joined."""

    gateway: str
    api: str
    records: int
    tiers: dict[str, int] = Field(description="Records by tier 0 to 3; `none`: no id joins them.")
    joined_ratio: float
    statistical: StatisticalItem | None


class JoinsDocument(Document):
    """The joins of all APIs."""

    apis: list[ApiJoinItem]
    looked_at: int
    unrecorded: int = Field(description="Requests of the sample without a gateway record.")
    range: RangeItem
    note: str


class OutcomeItem(Document):
    """Requests that ended alike, from the gateway inwards."""

    consumer: str
    gateway_status: str
    edge_status: str
    app_status: str
    outcome: str = Field(
        description="ok, failed, masked, manufactured, phantom, abandoned or zombie"
    )
    requests: int
    wasted_ms: Milliseconds = Field(description="Work after nobody waited any more.")
    example_ids: list[str]


class ApiOutcomesItem(Document):
    """The outcomes of one API; "" are requests without a gateway record."""

    api: str
    requests: int
    outcomes: dict[str, int]
    matrix: list[OutcomeItem]


class OutcomesDocument(Document):
    """What consumers got against what happened inside."""

    apis: list[ApiOutcomesItem]
    looked_at: int
    range: RangeItem
    note: str
