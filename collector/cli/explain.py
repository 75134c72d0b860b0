"""
`hopline explain`: one request as a picture made of characters.

In: the timeline document of `GET /api/v1/requests/{id}`, from the API or from a bundle file. Out:
lines for a terminal of 80 columns and more. Nothing is computed here that the document does not
say, so that what is on the screen can be quoted.
"""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from collector.cli.ink import Ink, wrap, write, write_json
from collector.cli.server import Server
from collector.cli.waterfall import Document, draw_waterfall, format_ms
from collector.errors import NotFound
from collector.identity.ids import prefix_key
from collector.identity.paths import request_path
from collector.query.timelines.bundle import PARTS, read_bundle, write_bundle
from collector.query.timelines.markdown import read_explanation, write_explanation

_SUFFIXES = {"timeline": "", "account": "/explain", "stored": "/spans"}
_MOST_IDS = 6
# A longer text is pasted, and no name of a file.
_MAX_PATH = 1024
_MOST_EXCEPTIONS = 5
_MOST_EVENTS = 8
_EXCEPTION = ("type", "message")
# Attributes of a gateway record in its headline: LLM, GraphQL and gRPC calls look alike otherwise.
_TOLD_ATTRIBUTES = {
    "gen_ai.request.model": "model",
    "gen_ai.usage.total_tokens": "tokens",
    "graphql.operation.name": "graphql",
    "rpc.grpc.status_code": "grpc status",
    "grpc.status": "grpc status",
}
_MIN_WIDTH, _MAX_WIDTH = 80, 180
_STATE_STYLES = {"final": "green", "complete": "green", "provisional": "yellow"}
_LAYER_STYLES = {
    "gateway": "magenta",
    "edge_proxy": "cyan",
    "mesh_proxy": "blue",
    "app": "green",
    "dependency": "yellow",
    "unexplained": "red",
}


def explain(
    request_id: str,
    server: Server,
    *,
    width: int | None = None,
    form: str = "waterfall",
    bundle: Path | None = None,
) -> int:
    """
    Print the request that *request_id* belongs to; return the exit status.

    *request_id* may be the file of a bundle: then nobody is asked. With *bundle* that file is
    written instead of printing.

    Raises:
        BadQuestion: the file is no bundle, or was changed.
        QueryError: the API does not answer, or answers with an error, whose words are passed on.
    """
    path = Path(request_id) if len(request_id) < _MAX_PATH else None
    if bundle is not None:
        write_bundle(bundle, {part: _fetch(part, request_id, server) for part in PARTS})
        write(f"{bundle}: redacted; open it with hopline explain {bundle}\n")
        return 0
    part = "account" if form == "markdown" else "timeline"
    is_file = path is not None and path.suffix and path.is_file()
    document = read_bundle(path)[part] if path and is_file else _fetch(part, request_id, server)
    if form == "markdown":
        write(write_explanation(read_explanation(document)))
    elif form == "json":
        write_json(document)
    else:
        columns = width or (shutil.get_terminal_size().columns if sys.stdout.isatty() else 120)
        write(render_timeline(document, width=columns, ink=Ink.of_terminal()))
    return 0


def find_described(description: Mapping[str, str], server: Server) -> str:
    """
    Return the id of the request that a description is of; see `GET /api/v1/explain`.

    Raises:
        QueryError: nothing fits, or the API does not answer.
    """
    return str(server.ask("/api/v1/explain", description.items())["id"])


def _fetch(part: str, request_id: str, server: Server) -> dict[str, Any]:
    try:
        return server.ask(request_path(request_id, _SUFFIXES[part]))
    except NotFound as exc:
        if not prefix_key(request_id):
            raise
        pairs = [("q", request_id), ("start", "-24h"), ("limit", "2")]
        found = server.ask("/api/v1/requests", pairs)["requests"]
        if len(found) != 1:
            raise
        hint = f"one request of the last 24 hours begins so: hopline explain {found[0]['id']}"
        raise NotFound(exc.message, hint=hint) from exc


def render_timeline(document: Document, *, width: int = 120, ink: Ink | None = None) -> str:
    """
    Draw one timeline.

    Shape: headline, verdict, phases (their sum is the total), waterfall, joins, findings, what is
    missing; a section with nothing to say is left out.
    """
    pen = ink or Ink()
    columns = max(_MIN_WIDTH, min(width, _MAX_WIDTH))
    sections = (
        _draw_head(document, pen),
        _draw_verdict(document, pen, columns),
        _draw_phases(document, pen, columns),
        draw_waterfall(document, pen, columns),
        _draw_events(document, pen, columns),
        _draw_linked(document, pen, columns),
        _draw_joins(document, pen, columns),
        _draw_findings(document, pen, columns),
        _draw_missing(document, pen),
    )
    blocks = ["\n".join(lines) for lines in map(list, sections) if lines]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _draw_head(document: Document, ink: Ink) -> Iterator[str]:
    record: Document = next(iter(document.get("gateway_records") or ()), {})
    first_span: Document = next(iter(document.get("spans") or ()), {})
    what = f"{record.get('method') or ''} {record.get('path') or record.get('route') or ''}".strip()
    what = what or str(first_span.get("name") or "request")
    status = document.get("status")
    is_error = bool(record.get("is_error")) or (isinstance(status, int) and status >= 500)
    outcome = str(status) if status is not None else "no status"
    total = _duration(document.get("duration_ms"))
    yield "  ".join(
        (
            ink.paint(ink.clean(what), "bold"),
            ink.paint(f"{ink.pick('→', '->')} {outcome}", "red" if is_error else "green"),
            ink.paint(total, "bold"),
        )
    )
    facts = ink.pick(" · ", " | ").join(_facts(record, ink))
    if facts:
        yield facts
    yield _draw_state(document, ink)
    for entry in document.get("ids", ())[:_MOST_IDS]:
        if entry.get("kind") not in ("trace_id", "span_id"):
            yield ink.paint(
                f"{ink.clean(entry.get('kind'))} {ink.clean(entry.get('value'))}", "dim"
            )


def _facts(record: Document, ink: Ink) -> Iterator[str]:
    for name in ("gateway", "api", "api_revision", "operation", "consumer", "region"):
        value = record.get(name)
        if value:
            label = {"gateway": "", "api_revision": "revision "}.get(name, f"{name} ")
            yield f"{label}{ink.clean(value)}"
    attributes = record.get("attributes") or {}
    for name, label in _TOLD_ATTRIBUTES.items():
        if value := attributes.get(name):
            yield f"{label} {ink.clean(value)}"


def _draw_state(document: Document, ink: Ink) -> str:
    state = str(document.get("state") or "")
    revision = document.get("revision")
    known = f"{state}, revision {revision}" if revision is not None else state
    parts = (
        ink.clean(document.get("start") or ""),
        f"trace {ink.clean(document.get('trace_id') or 'none')}",
        ink.paint(ink.clean(known), _STATE_STYLES.get(state, "")),
    )
    return "  ".join(part for part in parts if part)


def _draw_verdict(document: Document, ink: Ink, width: int) -> Iterator[str]:
    verdict = document.get("verdict") or {}
    layer = str(verdict.get("layer") or "none")
    if layer == "none" and not verdict.get("reason"):
        return
    who = ink.pick(" · ", " | ").join(
        ink.clean(part) for part in (layer, verdict.get("component"), verdict.get("class")) if part
    )
    confidence = verdict.get("confidence")
    sure = f"  ({confidence:.0%} sure)" if isinstance(confidence, (int, float)) else ""
    style = "green" if layer == "none" else "red"
    yield f"{ink.paint('VERDICT', 'bold')}  {ink.paint(who, style, 'bold')}{ink.paint(sure, 'dim')}"
    for line in wrap(ink.clean(verdict.get("reason") or ""), width - 9):
        if line:
            yield f"         {line}"
    if verdict.get("provisional"):
        missing = ", ".join(str(source) for source in verdict.get("settled_by") or ())
        note = f"provisional: {missing} may still report, and would settle it"
        for line in wrap(ink.clean(note), width - 9):
            yield f"         {ink.paint(line, 'yellow')}"
    for step in verdict.get("chain", ()):
        arrow = ink.pick("↳", "->")
        for index, line in enumerate(wrap(ink.clean(_chain_text(step)), width - 12)):
            yield f"         {arrow if index == 0 else ' ' * len(arrow)} {line}"


def _chain_text(step: object) -> str:
    if not isinstance(step, Mapping):
        return str(step)
    at = step.get("offset_ms")
    when = f" at {format_ms(float(at))} ms" if isinstance(at, (int, float)) else ""
    return f"{step.get('component') or step.get('layer') or ''}{when}: {step.get('what') or ''}"


def _draw_phases(document: Document, ink: Ink, width: int) -> Iterator[str]:
    phases = document.get("phases") or ()
    if not phases:
        return
    total = float(document.get("duration_ms") or 0.0)
    bar_cells = max(10, min(40, width - 80))
    yield ink.paint("WHERE THE TIME WENT", "bold")
    for phase in phases:
        duration = float(phase.get("duration_ms") or 0.0)
        share = duration / total if total > 0 else 0.0
        name = str(phase.get("name") or "")
        filled = min(max(round(share * bar_cells), 0), bar_cells)
        bar = ink.pick("█", "#") * filled or (ink.pick("▏", "|") if duration > 0 else "")
        bar = f"{bar:{ink.pick('░', '.')}<{bar_cells}}"
        lead = (
            f"  {ink.paint(f'{ink.clean(name):12}', _LAYER_STYLES.get(name, ''))}"
            f" {format_ms(duration):>9} ms {share:>6.1%}  "
            f"{ink.paint(bar, _LAYER_STYLES.get(name, ''))}  "
        )
        indent = 38 + bar_cells
        source = f"{_bounds(phase, duration, ink)}{ink.clean(phase.get('source') or '')}"
        for line in wrap(source, width - indent):
            yield f"{lead}{ink.paint(line, 'dim')}".rstrip()
            lead = " " * indent
        for way in phase.get("directions") or ():
            yield from _draw_direction(way, ink, width, indent)
    covered = sum(round(float(phase.get("duration_ms") or 0.0) * 1e6) for phase in phases)
    share = covered / 1e6 / total if total > 0 else 0.0
    yield f"  {'total':12} {format_ms(covered / 1e6):>9} ms {share:>6.1%}"


def _draw_direction(way: Mapping[str, Any], ink: Ink, width: int, indent: int) -> Iterator[str]:
    duration = float(way.get("duration_ms") or 0.0)
    lead = f"    {ink.clean(str(way.get('name') or '')):10} {format_ms(duration):>9} ms"
    source = f"{_bounds(way, duration, ink)}{ink.clean(way.get('source') or '')}"
    for line in wrap(source, width - indent):
        yield ink.paint(f"{lead:{indent}}{line}", "dim").rstrip()
        lead = ""


def _bounds(phase: Mapping[str, Any], duration: float, ink: Ink) -> str:
    lower, upper = phase.get("lower_ms"), phase.get("upper_ms")
    if lower is None or upper is None or lower == upper == duration:
        return ""
    return f"{format_ms(float(lower))}{ink.pick('–', ' to ')}{format_ms(float(upper))} ms  "


def _draw_events(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Exceptions first, each once; then what else happened inside spans, in order of time."""
    exceptions: dict[str, None] = {}
    others: list[tuple[float, str]] = []
    for span in document.get("spans", ()):
        for event in span.get("events") or ():
            attributes = event.get("attributes") or {}
            service, name = str(span.get("service") or ""), str(event.get("name") or "event")
            if name == "exception":
                told = (service, *(attributes.get(f"exception.{each}") for each in _EXCEPTION))
                exceptions[": ".join(str(part) for part in told if part)] = None
            else:
                said = " ".join(f"{key}={value}" for key, value in attributes.items())
                others.append((_offset_ms(span, event), f"{service}: {name} {said}".strip()))
    if exceptions:
        yield ink.paint("EXCEPTIONS", "bold")
        yield from _list(list(exceptions), _MOST_EXCEPTIONS, ink, width)
    if others:
        yield ink.paint("EVENTS", "bold")
        others.sort(key=lambda each: each[0])
        texts = [f"{format_ms(at_ms):>9} ms  {text}" for at_ms, text in others]
        yield from _list(texts, _MOST_EVENTS, ink, width)


def _offset_ms(span: Document, event: Document) -> float:
    """Return when an event was, on the clock of its span's place in the timeline."""
    try:
        started, happened = (
            datetime.fromisoformat(str(moment)) for moment in (span["raw_start"], event["time"])
        )
    except (KeyError, ValueError):
        return float(span.get("start_offset_ms") or 0.0)
    return float(span.get("start_offset_ms") or 0.0) + (happened - started).total_seconds() * 1e3


def _list(texts: Sequence[str], most: int, ink: Ink, width: int) -> Iterator[str]:
    for text in texts[:most]:
        for index, line in enumerate(wrap(ink.clean(text), width - 4)):
            yield f"  {line}" if index == 0 else f"    {line}"
    if len(texts) > most:
        yield ink.paint(f"  {len(texts) - most} more are in --format json", "dim")


def _draw_linked(document: Document, ink: Ink, width: int) -> Iterator[str]:
    linked = [*(document.get("links_to") or ()), *(document.get("linked_from") or ())]
    if linked:
        yield ink.paint("LINKED REQUESTS", "bold")
        yield from _list([_linked_text(each) for each in linked], _MOST_EVENTS, ink, width)


def _linked_text(linked: Document) -> str:
    who = f"  {linked['service']} {linked['operation']}" if "service" in linked else ""
    return f"{linked.get('trace_id')}  span {linked.get('span_id')}{who}"


def _draw_joins(document: Document, ink: Ink, width: int) -> Iterator[str]:
    links = document.get("links") or ()
    if not links:
        return
    yield ink.paint("HOW IT WAS JOINED", "bold")
    for link in links:
        confidence = link.get("confidence")
        sure = f", {confidence:.1%}" if isinstance(confidence, (int, float)) else ""
        ends = f"{ink.clean(link.get('from'))} {ink.pick('→', '->')} {ink.clean(link.get('to'))}"
        tier = ink.paint(f"tier {ink.clean(link.get('tier'))}{sure}", "cyan")
        yield f"  {ends}  {tier}"
        for proof in link.get("evidence", ()):
            left, right = ink.clean(proof.get("left")), ink.clean(proof.get("right"))
            same = left if left == right else f"{left} {ink.pick('↔', '<->')} {right}"
            for line in wrap(f"{ink.clean(proof.get('field'))}: {same}", width - 4):
                yield ink.paint(f"    {line}", "dim")
        rejected = len(link.get("rejected", ()))
        if rejected:
            yield ink.paint(f"    {rejected} other candidate(s) rejected", "dim")


def _draw_findings(document: Document, ink: Ink, width: int) -> Iterator[str]:
    findings = document.get("findings") or ()
    if not findings:
        return
    yield ink.paint("FINDINGS", "bold")
    for finding in findings:
        title = f"{finding.get('title') or ''} ({finding.get('rule')})".strip()
        for line in wrap(ink.clean(title), width - 2):
            yield f"  {ink.paint(line, 'yellow')}"
        for name in ("message", "fix"):
            lead = "fix: " if name == "fix" else ""
            for line in wrap(ink.clean(finding.get(name) or ""), width - 4 - len(lead)):
                if line:
                    yield f"    {lead}{line}"
                    lead = " " * len(lead)


def _draw_missing(document: Document, ink: Ink) -> Iterator[str]:
    missing = [e for e in document.get("expected", ()) if e.get("status") != "arrived"]
    if not missing:
        return
    yield ink.paint("WHAT IS MISSING", "bold")
    for entry in missing:
        deadline = entry.get("deadline")
        until = f", expected until {ink.clean(deadline)}" if deadline else ""
        status = str(entry.get("status") or "").replace("_", " ")
        yield f"  {ink.clean(entry.get('source'))}: {ink.paint(ink.clean(status), 'yellow')}{until}"


def _duration(value: object) -> str:
    if not isinstance(value, (int, float)):
        return "unknown duration"
    return f"{value / 1000:.2f} s" if value >= 1000 else f"{format_ms(float(value))} ms"
