"""
The rows and bars of one timeline, drawn with characters.

A row is a span; a gateway record without a span of its own gets a row too. The bar of a row is to
the scale of the whole request. Its dark part is the time this row alone held up the answer: put
together, the dark parts of all rows cover the request once, without gap or overlap.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.cli.ink import Ink, count_cells, fit

Document = Mapping[str, Any]

_MAX_ROWS = 80
_ROLE_STYLES = {
    "gateway": "magenta",
    "edge": "cyan",
    "client_proxy": "blue",
    "server_proxy": "blue",
    "waypoint": "blue",
    "app": "green",
    "dependency": "yellow",
}
_SIGNS = (
    ("✗", "x", "failed"),
    ("?", "?", "its parent never arrived"),
    ("~", "~", "moved in time"),
)
# Role, three numbers, a sign, and the gaps between the columns.
_FIXED_CELLS = 2 + 9 + 2 + 26 + 3
_ROLE_NAMES = {"client_proxy": "proxy out", "server_proxy": "proxy in", "dependency": "depend."}


@dataclass(slots=True)
class Row:
    """One line of the waterfall."""

    label: str
    role: str
    start_ms: float
    duration_ms: float
    self_ms: float
    is_measured: bool = True
    is_error: bool = False
    signs: str = ""
    adjusted_ms: float = 0.0
    adjusted_reason: str = ""
    critical: list[tuple[float, float]] = field(default_factory=list)
    branch: str = ""

    @property
    def critical_ms(self) -> float:
        return sum(end - start for start, end in self.critical)


def build_rows(document: Document, levels: int) -> list[Row]:
    """
    Return the rows in reading order: a parent above its children, children by start.

    Rows below that many *levels* are not indented further: a number says at which one they are.
    """
    critical: dict[str, list[tuple[float, float]]] = {}
    for section in document.get("critical_path", ()):
        key = str(section.get("span_id", ""))
        critical.setdefault(key, []).append((_ms(section, "from_ms"), _ms(section, "to_ms")))
    spans = [span for span in document.get("spans", ()) if isinstance(span, Mapping)]
    rows = []
    if not any(span.get("role") == "gateway" for span in spans):
        rows += [_record_row(record, document) for record in document.get("gateway_records", ())]
        if rows:
            rows[0].critical = critical.pop("", [])
    depth_0 = len(rows)
    for span, trail in _walk(spans, depth_0, levels):
        row = _span_row(span, critical.get(str(span.get("span_id", "")), []))
        row.branch = trail
        rows.append(row)
    for index, row in enumerate(rows[:depth_0]):
        row.branch = "  " * max(index - 1, 0) + ("└ " if index else "")
    return rows


def draw_waterfall(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield the lines: a ruler, one line a row, and what the signs mean; long ones are folded."""
    label_cells = max(20, (width - _FIXED_CELLS) * 58 // 100)
    # Two cells a level: names keep three fifths of their column.
    rows = build_rows(document, label_cells // 5)
    if not rows:
        return
    shown, folded = fold(rows)
    total_ms = _ms(document, "duration_ms")
    first_ms = min(0.0, *(row.start_ms for row in rows), 0.0)
    last_ms = max(total_ms, *(row.start_ms + row.duration_ms for row in rows), total_ms)
    label_cells = max(20, min(label_cells, max(count_cells(_label(row, ink)) for row in shown)))
    bar_cells = max(10, width - label_cells - _FIXED_CELLS)
    scale = _Scale(first_ms, max(last_ms - first_ms, 1e-6), bar_cells)
    head = f"{'':{label_cells}}  {'':9}  {'start':>8} {'total':>8} {'self':>8}   "
    yield ink.paint((head + scale.ruler()).rstrip(), "dim")
    for row in shown:
        yield _draw_row(row, ink, label_cells, scale)
    yield from _draw_legend(shown, folded, ink)


def _draw_legend(shown: Sequence[Row], folded: int, ink: Ink) -> Iterator[str]:
    signs = [f"{ink.pick('█', '#')} on the critical path", f"{ink.pick('░', '-')} off it"]
    for fine, plain, meaning in _SIGNS:
        if any(fine in row.signs for row in shown):
            signs.append(f"{ink.pick(fine, plain)} {meaning}")
    yield ink.paint("   ".join(signs) + "   all times in ms", "dim")
    numbered = [row.branch.split()[-1] for row in shown if row.branch.endswith(": ")]
    if numbered:
        yield ink.paint(f"{numbered[0]} the level of a row that has no room to be indented", "dim")
    moved: dict[tuple[float, str], list[Row]] = {}
    for row in shown:
        if row.adjusted_ms:
            moved.setdefault((row.adjusted_ms, row.adjusted_reason), []).append(row)
    for (adjusted_ms, reason), rows in moved.items():
        who = f"{len(rows)} rows" if len(rows) > 1 else ink.clean(rows[0].label)
        why = f": {ink.clean(reason)}" if reason else ""
        yield ink.paint(f"~ {who} moved by {adjusted_ms:+.3f} ms{why}", "dim")
    if folded:
        yield ink.paint(f"{folded} more rows are not shown: short, successful, off the path", "dim")


def fold(rows: Sequence[Row], limit: int = _MAX_ROWS) -> tuple[list[Row], int]:
    """Keep at most *limit* rows: failures first, then the longest on the critical path."""
    if len(rows) <= limit:
        return list(rows), 0
    order = sorted(
        range(len(rows)),
        key=lambda i: (i > 0, not rows[i].is_error, -rows[i].critical_ms, -rows[i].duration_ms, i),
    )
    kept = set(order[:limit])
    return [row for index, row in enumerate(rows) if index in kept], len(rows) - limit


def format_ms(value: float) -> str:
    """Write milliseconds in at most eight characters, to a tenth of a percent or better."""
    size = abs(value)
    if size >= 8_640_000_000:
        return f"{value / 86_400_000:.0f} d"
    if size >= 100_000_000:
        return f"{value / 3_600_000:.{0 if size >= 1_000_000_000 else 1}f} h"
    if size >= 10_000_000:
        return f"{value / 1000:.0f} s"
    if size >= 10_000:
        return f"{value:.0f}"
    if size >= 100:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.1 or value == 0 else f"{value:.3f}"


@dataclass(frozen=True, slots=True)
class _Scale:
    """Milliseconds to cells."""

    first_ms: float
    span_ms: float
    cells: int

    def cell(self, moment_ms: float) -> float:
        return (moment_ms - self.first_ms) / self.span_ms * self.cells

    def ruler(self) -> str:
        """Return marks at the quarters, the last one flush right and with the unit."""
        line = [" "] * self.cells
        end = format_ms(self.first_ms + self.span_ms) + " ms"
        marks = [(0, format_ms(self.first_ms))]
        if self.cells >= 36:
            marks += [
                (self.cells * quarter // 4, format_ms(self.first_ms + self.span_ms * quarter / 4))
                for quarter in (1, 2, 3)
            ]
        for at, text in marks:
            if at + len(text) + 1 < self.cells - len(end):
                line[at : at + len(text)] = text
        return "".join(line[: self.cells - len(end)]) + end


def _draw_row(row: Row, ink: Ink, label_cells: int, scale: _Scale) -> str:
    style = "red" if row.is_error else _ROLE_STYLES.get(row.role, "")
    label = fit(_label(row, ink), label_cells, ellipsis=ink.pick("…", "."))
    role = fit(ink.clean(_ROLE_NAMES.get(row.role, row.role)), 9, ellipsis="")
    numbers = " ".join(
        f"{format_ms(value) if index == 0 or row.is_measured else '?':>8}"
        for index, value in enumerate((row.start_ms, row.duration_ms, row.self_ms))
    )
    sign = next((ink.pick(fine, plain) for fine, plain, _ in _SIGNS if fine in row.signs), " ")
    bar = _draw_bar(row, ink, scale, style)
    return (
        f"{ink.paint(label, style)}  {ink.paint(role, 'dim')}  {numbers} "
        f"{ink.paint(sign, 'red' if row.is_error else 'yellow')} {bar}"
    ).rstrip()


def _label(row: Row, ink: Ink) -> str:
    branch = row.branch if ink.is_unicode else row.branch.translate(_PLAIN_BRANCHES)
    return f"{branch}{ink.clean(row.label)}"


def _draw_bar(row: Row, ink: Ink, scale: _Scale, style: str) -> str:
    first = min(int(scale.cell(row.start_ms)), scale.cells - 1)
    last = min(max(round(scale.cell(row.start_ms + row.duration_ms)), first + 1), scale.cells)
    cells = [ink.pick("░", "-") if first <= at < last else " " for at in range(scale.cells)]
    for start_ms, end_ms in row.critical:
        # A section narrower than a cell is still drawn, or the path would seem to have holes.
        begin = max(min(round(scale.cell(start_ms)), scale.cells - 1), 0)
        end = min(max(round(scale.cell(end_ms)), begin + 1), scale.cells)
        for at in range(begin, end):
            cells[at] = ink.pick("█", "#")
    bar = "".join(cells)
    body = bar.strip()
    lead = bar[: len(bar) - len(bar.lstrip())]
    return lead + ink.paint(body, style) + " " * (len(bar) - len(lead) - len(body))


def _walk(
    spans: Sequence[Mapping[str, Any]], depth_0: int, levels: int
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield spans depth first with the branch drawn before them; survives cycles and orphans."""
    ids = {str(span.get("span_id", "")) for span in spans}
    children: dict[str, list[int]] = {}
    for index, span in enumerate(spans):
        parent = str(span.get("parent_span_id") or "")
        is_top = parent not in ids or parent == str(span.get("span_id", ""))
        children.setdefault("" if is_top else parent, []).append(index)
    for group in children.values():
        group.sort(key=lambda i: (_ms(spans[i], "start_offset_ms"), i))
    seen: set[int] = set()
    for top in [*children.get("", ()), *range(len(spans))]:
        # Whatever a cycle keeps out of reach of the tops is walked at the end, from its first span.
        stack = [(top, depth_0, "", True)] if top not in seen else []
        while stack:
            index, depth, trail, is_last = stack.pop()
            if index in seen:
                continue
            seen.add(index)
            elbow = ("└ " if is_last else "├ ") if depth else ""
            yield spans[index], trail + elbow + (f"{depth}: " if depth > levels else "")
            below = trail + (("  " if is_last else "│ ") if 0 < depth < levels else "")
            group = children.get(str(spans[index].get("span_id", "")), [])
            for place, child in enumerate(reversed(group)):
                stack.append((child, depth + 1, below, place == 0))


def _span_row(span: Mapping[str, Any], critical: list[tuple[float, float]]) -> Row:
    service = str(span.get("service") or "?")
    adjusted = _ms(span, "adjusted_by_ms")
    is_error = _is_error(str(span.get("status") or ""))
    signs = ("✗" if is_error else "") + ("?" if span.get("orphan") else "")
    return Row(
        label=f"{service} {span.get('name') or ''}".strip(),
        role=str(span.get("role") or ""),
        start_ms=_ms(span, "start_offset_ms"),
        duration_ms=_ms(span, "duration_ms"),
        self_ms=_ms(span, "self_ms"),
        is_measured=span.get("duration_ms") is not None,
        is_error=is_error,
        signs=signs + ("~" if adjusted else ""),
        adjusted_ms=adjusted,
        adjusted_reason=str(span.get("adjusted_reason") or ""),
        critical=critical,
    )


def _record_row(record: Mapping[str, Any], document: Document) -> Row:
    gateway = record.get("gateway", "?")
    hop: Mapping[str, Any] = next(
        (
            hop
            for hop in document.get("hops", ())
            if hop.get("role") == "gateway" and hop.get("service") == gateway
        ),
        {},
    )
    return Row(
        label=f"{gateway} {record.get('api') or record.get('path') or ''}".strip(),
        role="gateway",
        start_ms=_ms(hop, "start_offset_ms"),
        duration_ms=_ms(record, "duration_ms"),
        self_ms=_ms(hop, "self_ms"),
        is_measured=record.get("duration_ms") is not None,
        is_error=bool(record.get("is_error")),
        signs="✗" if record.get("is_error") else "",
    )


def _is_error(status: str) -> bool:
    return status.lower() == "error" or status[:1] == "5"


def _ms(item: Mapping[str, Any], name: str) -> float:
    value = item.get(name)
    return float(value) if isinstance(value, (int, float)) else 0.0


_PLAIN_BRANCHES = str.maketrans({"└": "`", "├": "|", "│": "|", "─": "-"})
