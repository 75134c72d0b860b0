"""
Answers about many requests as lines for a terminal: one function an answer.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from collector.cli.ink import Ink, wrap
from collector.cli.tables import (
    Column,
    Row,
    draw_table,
    duration,
    format_ms,
    number,
    share,
    text,
)

Document = Mapping[str, Any]


def draw_requests(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield the requests of a page, and what the answer has to say about it."""
    rows = document.get("requests") or ()
    if rows:
        yield from draw_table(REQUEST_COLUMNS, rows, ink, width)
    if document.get("next_cursor"):
        yield ink.paint(f"more with --cursor {ink.clean(document['next_cursor'])}", "dim")
    yield from draw_note(document, ink, width)


def _moment(title: str, name: str) -> Column:
    return Column(title, lambda row: str(row.get(name) or "")[:23].replace("T", " "))


def _status_style(row: Row) -> str:
    return "red" if row.get("error") else ""


REQUEST_COLUMNS = (
    _moment("START (UTC)", "start"),
    text("METHOD", "method"),
    text("ROUTE", "route"),
    text("API", "api"),
    Column("STATUS", lambda row: str(row.get("status") or ""), style=_status_style),
    duration("MS", "duration_ms"),
    duration("BACKEND", "backend_ms"),
    number("HOPS", "hops"),
    text("STATE", "state"),
    Column("FAILED FIRST", lambda row: "" if row.get("verdict") == "none" else str(row["verdict"])),
    text("ID", "id"),
)


def draw_apis(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield the APIs, the busiest first."""
    rows = document.get("apis") or ()
    if rows:
        columns = (
            text("GATEWAY", "gateway"),
            text("API", "api"),
            number("REQUESTS", "requests"),
            number("PER S", "requests_per_s", "{:,.2f}".format),
            number("ERRORS", "errors"),
            share("ERROR %", "error_ratio"),
            duration("P50 MS", "p50_ms"),
            duration("P95 MS", "p95_ms"),
            duration("P99 MS", "p99_ms"),
            share("JOINED", "join_coverage"),
        )
        yield from draw_table(columns, rows, ink, width)
    else:
        yield "no API was called in this range"
    yield from draw_note(document, ink, width)


def draw_doctor(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield each finding with its share, what it means, what was seen, and the fix."""
    for finding in document.get("findings") or ():
        head = f"{finding['title']} ({finding['rule']})"
        yield ink.paint(ink.clean(head), "yellow", "bold")
        affected = f"{finding['affected']:,} of {finding['requests']:,} requests"
        where = f"{finding['layer']} {finding['hop']}"
        seen = f"last seen {str(finding['last_seen'])[:19]}Z"
        yield ink.clean(f"  {where}: {affected} ({finding['share_of_traffic']:.0%}), {seen}")
        for name in ("meaning", "message", "fix"):
            lead = "fix: " if name == "fix" else ""
            for line in str(finding.get(name) or "").splitlines():
                for part in wrap(ink.clean(line), width - 4 - len(lead)):
                    yield f"    {lead}{part}"
                    lead = " " * len(lead)
        examples = " ".join(finding.get("example_ids") or ())
        if examples:
            yield ink.paint(f"    such as {ink.clean(examples)}", "dim")
        yield ""
    yield f"{document.get('looked_at', 0):,} requests were looked at"
    yield from draw_note(document, ink, width)


def draw_sources(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield each source with its lag and counts."""
    rows = document.get("sources") or ()
    if not rows:
        yield "no source has sent anything yet"
        return
    now = datetime.now(UTC)
    columns = (
        text("STREAM", "stream"),
        text("SOURCE", "source"),
        Column("LAST SEEN", lambda row: _ago(row.get("last_received"), now)),
        _seconds("LAG P50 S", "lag_p50_ms"),
        _seconds("P99 S", "lag_p99_ms"),
        _moment("KNOWN UP TO (UTC)", "watermark"),
        number("ACCEPTED", "accepted"),
        number("REJECTED", "rejected"),
        number("IGNORED", "ignored"),
        text("ERROR", "last_error", style=lambda _: "red"),
    )
    yield from draw_table(columns, rows, ink, width)


def _seconds(title: str, name: str) -> Column:
    return number(title, name, lambda value: format_ms(value / 1000))


def _ago(moment: object, now: datetime) -> str:
    if not moment:
        return "never"
    seconds = (now - datetime.fromisoformat(str(moment))).total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


def draw_note(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield what the answer says about itself."""
    for line in wrap(ink.clean(document.get("note") or ""), width):
        if line:
            yield ink.paint(line, "dim")
