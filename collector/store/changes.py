"""
What changed: the values that requests had over time, requests around a change, and what
deployment tools said.

Reads `request`, so it knows what background stitching has stitched. Source: schema/0170, 0200.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from clickhouse_connect.driver import Client

from collector.answers import Answer, Moment
from collector.store.reads import BUCKET_S, ask
from collector.store.stitched import draw_again
from collector.timestamps import NS_PER_S

MAX_VALUES = 20_000
MAX_TOLD = 1_000
"""So many are read; one more is returned where there are more."""
_MAX_VISITS = 4_000
_COLUMNS = {"id": "change_id", "time_ns": "at_ns"}
_STEPS = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFilter:
    """Which requests are looked at: those of [start_ns, end_ns); "" takes everything."""

    start_ns: int
    end_ns: int
    gateway: str = ""
    api: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class ValueCount:
    """
    The requests of one step of time in which *subject* had a value.

    `kind` is `revision`, `operation`, `backend`, `policy` (of an API), `instance` (of a gateway),
    `version`, `pod`, `node` (of a service); `api` and `service` count all requests of a subject.
    `seen` are stitched requests, `requests` those that they stand for. `of` is a pod's version.
    """

    kind: str
    gateway: str
    subject: str
    value: str
    of: str
    step_s: int
    seen: int
    requests: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of an API, or a visit to a service; `has_value`: with what the change brought."""

    start_ns: int
    weight: float
    took_ns: int | None
    is_failed: bool
    has_value: bool
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldChange(Answer):
    """What a deployment tool said: it changed a service or an API at a moment."""

    id: str
    time_ns: Moment
    kind: str
    gateway: str
    api: str
    service: str
    value: str
    title: str
    url: str


def find_values(
    client: Client, database: str, wanted: ChangeFilter
) -> tuple[list[ValueCount], list[str]]:
    """
    Return the values of the requests that fit, by steps of five minutes and more.

    Of a kind with more than `MAX_VALUES` rows the busiest subjects are returned, each of them
    whole: a part of one would look like a change. The second list names those kinds.
    """
    span_s = (wanted.end_ns - wanted.start_ns) // NS_PER_S
    step_s = max(span_s // _STEPS // BUCKET_S, 1) * BUCKET_S
    rows = ask(
        client,
        "find_values",
        database=database,
        **asdict(wanted),
        step_s=step_s,
        each=MAX_VALUES,
    )
    counts = [ValueCount(*row[:10]) for row in rows]
    last = {each.kind: (each.gateway, each.subject) for each in counts}
    sizes = Counter(each.kind for each in counts)
    cut = sorted(kind for kind, size in sizes.items() if size > MAX_VALUES)
    kept = [
        each
        for each in counts
        if each.kind not in cut or (each.gateway, each.subject) != last[each.kind]
    ]
    return kept, cut


def find_visits(
    client: Client,
    database: str,
    wanted: ChangeFilter,
    *,
    kind: str,
    names: Sequence[str],
    middle_ns: int,
) -> list[Visit]:
    """
    Return requests that fit, or visits to the service that is named, a few thousand at most.

    They are drawn by hash, and stand for those that were not. Of a *kind* that names no field, what
    began at *middle_ns* or later has the value.
    """
    rows = ask(
        client,
        "find_visits",
        database=database,
        start_ns=wanted.start_ns,
        end_ns=wanted.end_ns,
        gateway=wanted.gateway,
        api=wanted.api,
        subject_service=wanted.service,
        kind=kind,
        names=list(names),
        middle_ns=middle_ns,
        limit=_MAX_VISITS + 1,
    )
    return [
        Visit(row[2], stands_for, row[4], bool(row[5]), bool(row[6]), row[7])
        for row, stands_for in draw_again(rows, _MAX_VISITS)
    ]


def find_told(client: Client, database: str, wanted: ChangeFilter) -> list[ToldChange]:
    """Return what deployment tools said about a range, the newest first."""
    rows = ask(
        client,
        "find_told_changes",
        database=database,
        **asdict(wanted),
        limit=MAX_TOLD + 1,
    )
    names = [each.name for each in fields(ToldChange)]
    return [ToldChange(**dict(zip(names, row, strict=True))) for row in rows]


def write_told(client: Client, database: str, change: ToldChange, received_ns: int) -> None:
    """Keep what a deployment tool said; the same words again change nothing."""
    values = {
        "at": change.time_ns // NS_PER_S,
        "revision": received_ns,
        "is_gone": 0,
        "received_ns": received_ns,
        **{_COLUMNS.get(name, name): value for name, value in asdict(change).items()},
    }
    client.insert(
        f"{database}.change",
        [list(values.values())],
        column_names=list(values),
        settings={"distributed_foreground_insert": 1},
    )
