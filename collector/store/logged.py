"""
What the requests add up to that only proxies' access logs tell of.

No gateway recorded them and no span is of them: no API is known, nor what held them up.
"""

from dataclasses import dataclass

from clickhouse_connect.driver import Client

from collector.store.population import filter_parameters, percentiles
from collector.store.reads import ask
from collector.store.rows import RequestFilter
from collector.store.search import needs_record

MAX_LOGGED = 200
"""So many hosts or services are worth listing."""
_MAX_LOST = 20
# So many log records are looked at for lines without an id: half a second at most.
_LOOKED_AT = 200_000
# Of more than this a part is read.
_MOST_ROWS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedStat:
    """
    Requests by host or service; a request counts for each service that logged a line of it.

    Errors and durations are those of the whole request, as its outermost line has them; percentiles
    rest on `measured` lines. With `one_of` above 1 they were drawn by hash.
    """

    name: str
    requests: int
    errors: int
    measured: int
    p50_ns: int | None
    p95_ns: int | None
    p99_ns: int | None
    one_of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LostLines:
    """Lines of the access log of one sender: of so many `lines` the `lost` ones carry no id."""

    service: str
    lines: int
    lost: int
    first_ns: int
    last_ns: int


def find_lost_lines(client: Client, database: str, start_ns: int, end_ns: int) -> list[LostLines]:
    """Return who logs lines without an id, most first, by the first log records of a range."""
    rows = ask(
        client,
        "find_lost_lines",
        database=database,
        start_ns=start_ns,
        end_ns=end_ns,
        looked_at=_LOOKED_AT,
        limit=_MAX_LOST,
    )
    return [
        LostLines(service=service, lines=lines, lost=lost, first_ns=first_ns, last_ns=last_ns)
        for service, lines, lost, first_ns, last_ns in rows
    ]


def get_logged_stats(
    client: Client, database: str, wanted: RequestFilter, *, by_service: bool
) -> list[LoggedStat]:
    """Return the busiest hosts, or services; none where a filter is of gateway records only."""
    if needs_record(wanted):
        return []
    given = filter_parameters(wanted)
    ((stored,),) = ask(client, "count_logged", database=database, **given)
    if not stored:
        return []
    one_of = 1 + stored // _MOST_ROWS
    parts = frozenset({"by_service"} if by_service else ())
    rows = ask(
        client,
        "get_logged_stats",
        parts,
        database=database,
        one_of=one_of,
        limit=MAX_LOGGED,
        **given,
    )
    return [
        LoggedStat(
            name=name,
            requests=requests,
            errors=errors,
            measured=measured,
            **percentiles(durations),
            one_of=one_of,
        )
        for name, requests, errors, measured, durations in rows
    ]
