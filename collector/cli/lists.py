"""
Answers about many requests as lines for a terminal: one function an answer.
"""

from collections.abc import Iterator, Mapping, Sequence
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
    signed,
    text,
)

_LIKELY_TIER = 4
Document = Mapping[str, Any]


def draw_requests(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield the requests of a page, and what the answer has to say about it."""
    rows = document.get("requests") or ()
    if rows:
        day, start = _start_column(rows, width)
        if day:
            yield ink.paint(ink.clean(day), "dim")
        yield from draw_table((start, *REQUEST_COLUMNS), rows, ink, width)
    if document.get("next_cursor"):
        yield ink.paint(f"more with --cursor {ink.clean(document['next_cursor'])}", "dim")
    yield from draw_note(document, ink, width)


def _moment(title: str, name: str, spare: int = 0) -> Column:
    return Column(
        title,
        lambda row: str(row.get(name) or "")[:19].replace("T", " "),
        spare=spare,
        is_whole=True,
    )


def _status_style(row: Row) -> str:
    return "red" if row.get("error") else ""


def _join(row: Row) -> str:
    """Return by what a request is joined: what only likelihood joins says how likely it is."""
    tier, confidence = row.get("join_tier"), row.get("join_confidence")
    if tier is None or confidence is None:
        return ""
    return f"likely {confidence:.0%}" if tier >= _LIKELY_TIER else f"tier {tier}"


REQUEST_COLUMNS = (
    text("METHOD", "method", spare=3),
    text("ROUTE", "route"),
    text("API", "api", spare=4),
    Column("STATUS", lambda row: str(row.get("status") or ""), style=_status_style),
    duration("MS", "duration_ms"),
    duration("BACKEND", "backend_ms", spare=5),
    number("HOPS", "hops", spare=6),
    text("STATE", "state", spare=7),
    Column("JOIN", _join, spare=8),
    Column(
        "FAILED FIRST",
        lambda row: "" if row.get("verdict") == "none" else str(row["verdict"]),
        spare=1,
    ),
    text("ID", "id", is_whole=True),
)
_WIDE, _MILLISECONDS = 140, 110


def _start_column(rows: Sequence[Row], width: int) -> tuple[str, Column]:
    """
    Return a day and the column of times on it.

    The day is "" where the times have room for theirs, or are of several ones.
    """
    starts = [str(row.get("start") or "") for row in rows]
    [day, *others] = sorted({start[:10] for start in starts})
    has_days = bool(others) or width >= _WIDE
    begin, end = (0 if has_days else 11), (23 if width >= _MILLISECONDS else 19)
    column = Column(
        "START (UTC)" if has_days else "UTC",
        lambda row: str(row.get("start") or "")[begin:end].replace("T", " "),
        is_whole=True,
    )
    return ("" if has_days else day), column


# Of a line of the tail: time, status, duration, an id, the word `changed` and what lies between.
_TAIL_CELLS = 8 + 3 + 9 + 36 + 7 + 5 * 2
_ROUTE_CELLS, _API_CELLS, _VERDICT_CELLS = 20, 16, 22


def draw_event(name: str, event: Document, ink: Ink, width: int = 160) -> str:
    """Return the line of one event of the tail: the id whole, the rest as the line has room."""
    if name == "missed":
        count = event.get("requests")
        said = f"{count:,} requests" if count else "more requests came at once than are read"
        return ink.paint(f"missed: {said}", "yellow")
    if name == "error":
        return ink.paint(ink.clean(event.get("error", {}).get("message", "error")), "red")
    took = event.get("duration_ms")
    status = str(event.get("status") or "-")
    verdict = str(event.get("verdict") or "")
    room = width - _TAIL_CELLS - (4 if width >= _WIDE else 0)
    verdict_cells = _VERDICT_CELLS if room >= _ROUTE_CELLS + _VERDICT_CELLS else 0
    api_cells = _API_CELLS if room >= 2 * _ROUTE_CELLS + _VERDICT_CELLS + _API_CELLS else 0
    route_cells = max(min(room - verdict_cells - api_cells - 4, 44), 8)
    shown = "" if verdict == "none" else verdict
    parts = (
        str(event.get("start") or "")[11 : 23 if width >= _WIDE else 19],
        ink.paint(f"{status:>3}", "red" if event.get("error") else "green"),
        f"{format_ms(took) if took is not None else '-':>6} ms",
        fit(ink.clean(f"{event.get('method')} {event.get('route')}".strip()), route_cells),
        fit(ink.clean(event.get("api") or ""), api_cells) if api_cells else "",
        ink.paint(fit(ink.clean(shown), verdict_cells), "red") if verdict_cells else "",
        ink.paint(ink.clean(event.get("id")), "dim"),
        ink.paint("changed", "dim") if name == "update" else "",
    )
    return "  ".join(part for part in parts if part)


def draw_apis(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield the APIs, the busiest first."""
    rows = [{**row, "shift": _shift(row)} for row in document.get("apis") or ()]
    if rows:
        groups = dict.fromkeys(name for row in rows for name in row.get("groups") or ())
        columns = (
            text("GATEWAY", "gateway", spare=6),
            text("API", "api"),
            *(_group(name) for name in groups),
            number("REQUESTS", "requests", spare=3),
            number("PER S", "requests_per_s", "{:,.2f}".format),
            number("ERRORS", "errors", spare=4),
            share("ERROR %", "error_ratio"),
            duration("P50 MS", "p50_ms", spare=1),
            duration("P95 MS", "p95_ms"),
            duration("P99 MS", "p99_ms", spare=3),
            share("JOINED", "join_coverage", spare=5),
            text("CHANGED", "shift", style=lambda _: "yellow", spare=2),
        )
        yield from draw_table(columns, rows, ink, width)
    else:
        yield "no API was called in this range"
    yield from draw_logged("HOST, BY LOGS ONLY", document, ink, width)
    yield from draw_note(document, ink, width)


def draw_logged(title: str, document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield the requests that only access logs tell of."""
    rows = document.get("logged_only") or ()
    if rows:
        columns = (
            text(title, "name"),
            number("REQUESTS", "requests", spare=1),
            number("PER S", "requests_per_s", "{:,.2f}".format),
            share("ERROR %", "error_ratio"),
            duration("P50 MS", "p50_ms", spare=2),
            duration("P95 MS", "p95_ms"),
            duration("P99 MS", "p99_ms", spare=3),
        )
        yield ""
        yield from draw_table(columns, rows, ink, width)


def _group(name: str) -> Column:
    return Column(
        name.replace("_", " ").upper(), lambda row: str((row.get("groups") or {}).get(name) or "-")
    )


def _shift(row: Row) -> str:
    """Return what changed against the range before, a day and a week ago, where it is sure."""
    told = []
    for change in row.get("changes") or ():
        moved = [
            f"{title} {_relative(change[name])}"
            for title, name in (("p95", "p95"), ("p50", "p50"), ("errors", "error_ratio"))
            if (change.get(name) or {}).get("significant")
        ]
        if moved:
            told.append(f"{moved[0]} on {change['against']}")
    return ", ".join(told[:2])


def _relative(shift: Document) -> str:
    before = shift.get("before_ms", shift.get("before"))
    delta = shift.get("delta_ms", shift.get("delta"))
    if not before or delta is None:
        return "up" if delta else "changed"
    return f"{delta / before:+.0%}"


def draw_comparison(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield both requests, what differs in words, then phases and calls side by side."""
    for name in ("a", "b"):
        yield _draw_side(name.upper(), document[name], ink)
    yield ""
    for sentence in document.get("sentences") or ():
        yield from wrap(ink.clean(sentence["text"]), width)
    times = (duration("A MS", "a_ms"), duration("B MS", "b_ms"), signed("A - B", "delta_ms"))
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


def draw_doctor(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield each finding with its share, what it means, what was seen, and the fix."""
    for finding in document.get("findings") or ():
        head = f"{finding['title']} ({finding['rule']})"
        for line in wrap(ink.clean(head), width):
            yield ink.paint(line, "yellow", "bold")
        affected = f"{finding['affected']:,} of {finding['requests']:,} requests"
        where = f"{finding['layer']} {finding['hop']}"
        seen = f"last seen {str(finding['last_seen'])[:19]}Z"
        place = f"{where}: {affected} ({finding['share_of_traffic']:.0%}), {seen}"
        for line in wrap(ink.clean(place), width - 2):
            yield f"  {line}"
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
        text("STREAM", "stream", spare=3),
        text("SOURCE", "source"),
        Column("LAST SEEN", lambda row: _ago(row.get("last_received"), now), is_whole=True),
        _seconds("LAG P50 S", "lag_p50_ms", spare=2),
        _seconds("P99 S", "lag_p99_ms"),
        _moment("KNOWN UP TO (UTC)", "watermark", spare=4),
        number("ROWS", "rows", spare=6),
        number("ACCEPTED", "accepted"),
        number("REJECTED", "rejected", spare=1),
        number("IGNORED", "ignored", spare=5),
        Column("POLLED BY", _polled_by, spare=2),
        text("ERROR", "last_error", style=lambda _: "red"),
    )
    yield from draw_table(columns, rows, ink, width)


def _polled_by(row: Document) -> str:
    since = str(row.get("polled_since") or "")[:19]
    return f"{row.get('polled_by')} since {since}Z" if since else ""


def _seconds(title: str, name: str, spare: int = 0) -> Column:
    return number(title, name, lambda value: format_ms(value / 1000), spare=spare)


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
