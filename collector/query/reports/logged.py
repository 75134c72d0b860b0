"""
Requests that only proxies' access logs tell of, beside those that a report is about.

In: a filter. Out: `LoggedReport`s and a sentence. They are not mixed in: a log line knows no API
and no phases, and would change what an error ratio or a share is of.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from collector.answers import Duration
from collector.query.reports.wanted import ratio
from collector.store import LoggedStat, RequestFilter, Store
from collector.timestamps import NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedReport:
    """
    Requests that only proxies' access logs tell of, of one `name`: a host or a service.

    Neither a gateway nor a span tells of them. Errors and percentiles are of the whole request, as
    its outermost line has it; percentiles rest on `measured` lines.
    """

    name: str
    requests: int
    requests_per_s: float
    errors: int
    error_ratio: float
    measured: int
    p50_ns: Duration | None
    p95_ns: Duration | None
    p99_ns: Duration | None


def report_logged(
    store: Store, wanted: RequestFilter, *, by_service: bool
) -> tuple[tuple[LoggedReport, ...], str]:
    """Return them by host or by service, the busiest first, and what is to be said of them."""
    found = store.get_logged_stats(wanted, by_service=by_service)
    seconds = (wanted.end_ns - wanted.start_ns) / NS_PER_S
    return tuple(_row(each, seconds) for each in found), _note(found)


def _row(stat: LoggedStat, seconds: float) -> LoggedReport:
    return LoggedReport(
        name=stat.name,
        requests=stat.requests,
        requests_per_s=stat.requests / seconds,
        errors=stat.errors,
        error_ratio=ratio(stat.errors, stat.requests),
        measured=stat.measured,
        p50_ns=stat.p50_ns,
        p95_ns=stat.p95_ns,
        p99_ns=stat.p99_ns,
    )


def _note(found: Sequence[LoggedStat]) -> str:
    if not found:
        return ""
    drawn = found[0].one_of
    said = f", estimated from one in {drawn}" if drawn > 1 else ""
    return f"Requests that only access logs tell of are in `logged_only` and nowhere else{said}."
