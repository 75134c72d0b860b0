"""
Answers about many requests as lines for a terminal: one function an answer.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from collector.cli.ink import Ink, fit, wrap
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


def draw_event(name: str, event: Document, ink: Ink) -> str:
    """Return the line of one event of the tail."""
    if name == "missed":
        count = event.get("requests")
        said = f"{count:,} requests" if count else "more requests came at once than are read"
        return ink.paint(f"missed: {said}", "yellow")
    if name == "error":
        return ink.paint(ink.clean(event.get("error", {}).get("message", "error")), "red")
    took = event.get("duration_ms")
    status = str(event.get("status") or "-")
    verdict = str(event.get("verdict") or "")
    parts = (
        str(event.get("start") or "")[11:23],
        ink.paint(f"{status:>3}", "red" if event.get("error") else "green"),
        f"{format_ms(took) if took is not None else '-':>8} ms",
        fit(ink.clean(f"{event.get('method')} {event.get('route')}".strip()), 44),
        fit(ink.clean(event.get("api") or ""), 16),
        ink.paint(ink.clean("" if verdict == "none" else verdict), "red"),
        ink.paint(ink.clean(event.get("id")), "dim"),
        ink.paint("changed", "dim") if name == "update" else "",
    )
    return "  ".join(part for part in parts if part)


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


def draw_comparison(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield both requests, what differs in words, then phases and calls side by side."""
    for name in ("a", "b"):
        yield _draw_side(name.upper(), document[name], ink)
    yield ""
    for sentence in document.get("sentences") or ():
        yield from wrap(ink.clean(sentence["text"]), width)
    times = (duration("A MS", "a_ms"), duration("B MS", "b_ms"), _signed("A - B", "delta_ms"))
    yield ""
    yield from draw_table((text("PHASE", "name"), *times), document.get("phases") or (), ink, width)
    rows = [_flatten(each) for each in document.get("calls") or ()]
    if rows:
        yield ""
        columns = (
            text("CALLS, TIME ON THE CRITICAL PATH", "name", style=_only_style),
            *times,
            number("CALLS A", "calls_a", "{:g}".format),
            number("B", "calls_b", "{:g}".format),
            text("", "note", style=lambda _: "yellow"),
        )
        yield from draw_table(columns, rows, ink, width)


def _draw_side(name: str, side: Document, ink: Ink) -> str:
    parts = (
        ink.paint(name, "bold"),
        ink.clean(side.get("title") or ""),
        f"{format_ms(side['duration_ms'])} ms" if side.get("duration_ms") is not None else "",
        f"status {side['status']}" if side.get("status") else "",
        ink.paint(ink.clean(side.get("id") or ""), "dim") if side.get("requests") == 1 else "",
    )
    return "  ".join(part for part in parts if part)


def _flatten(calls: Document) -> Document:
    sides = {name: calls.get(name) or {} for name in ("a", "b")}
    failed = [name.upper() for name, side in sides.items() if side.get("errors")]
    notes = [f"only {calls['only'].upper()}"] if calls.get("only") else []
    notes += [f"failed in {' and '.join(failed)}"] if failed else []
    return {
        "name": "  " * calls["depth"] + f"{calls['service']} {calls['operation']}".strip(),
        "a_ms": sides["a"].get("critical_ms"),
        "b_ms": sides["b"].get("critical_ms"),
        "delta_ms": calls["delta_ms"],
        "calls_a": sides["a"].get("calls"),
        "calls_b": sides["b"].get("calls"),
        "only": calls.get("only"),
        "note": ", ".join(notes),
    }


def _only_style(row: Row) -> str:
    return {"a": "green", "b": "magenta"}.get(str(row.get("only")), "")


def _signed(title: str, name: str) -> Column:
    return number(title, name, lambda value: f"{'+' if value > 0 else ''}{format_ms(value)}")


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
