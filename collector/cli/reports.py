"""
Answers that say why, as lines for a terminal: what is slow, who calls whom, what changed, budgets.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from collector.cli.ink import Ink, wrap
from collector.cli.lists import draw_logged, draw_note
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

Document = Mapping[str, Any]
_BAD = frozenset({"missed", "worse"})
_GOOD = frozenset({"kept", "better"})


def draw_slow(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield how slow requests are, what the slow ones have that others have not, and where."""
    yield _percentiles(document["population"], ink)
    if document["population"] != document["stitched"]:
        yield _percentiles(document["stitched"], ink)
    if document.get("threshold_ms") is not None:
        yield f"slow: {format_ms(document['threshold_ms'])} ms or more"
    sentences = document.get("sentences") or ()
    if sentences:
        yield ""
    for sentence in sentences:
        for line, each in enumerate(wrap(ink.clean(sentence["text"]), width - 2)):
            yield ("  " if line else "- ") + each
    if not document["selected"]["observed"]:
        yield from draw_note(document, ink, width)
        return
    yield ""
    rows: list[Row] = [_difference(each) for each in document.get("differences") or ()]
    if rows:
        sides = {"slow": "SLOW", "failed": "FAILED"}.get(str(document.get("select")), "THESE")
        columns = (
            text("WHAT THEY HAVE", "what", style=lambda _: "bold"),
            share(sides, "share_selected"),
            share("OTHERS", "share_baseline"),
            share("AT LEAST", "lower", spare=1),
            number("REQUESTS", "selected", spare=2),
            signed("MEDIAN MS", "delta_ms", spare=1),
            text("SUCH AS", "example", spare=3, style=lambda _: "dim", is_whole=True),
        )
        yield from draw_table(columns, rows, ink, width)
    for title, name in (("PHASE", "phases"), ("CALLS", "calls")):
        times = [
            {**each, "what": f"{each['service']} {each['operation']}".strip() or each["name"]}
            for each in document.get(name) or ()
            if each["selected_ms"] or each["baseline_ms"]
        ][:10]
        if times:
            yield ""
            sides_of_times = (
                text(f"{title}, MEAN MS", "what"),
                duration("SLOW" if document.get("select") == "slow" else "THESE", "selected_ms"),
                duration("OTHERS", "baseline_ms"),
                signed("MORE", "delta_ms"),
                share("OF ALL", "share"),
                number("REQUESTS", "requests", spare=1),
            )
            yield from draw_table(sides_of_times, times, ink, width)
    yield from draw_note(document, ink, width)


def _percentiles(side: Document, ink: Ink) -> str:
    source = {"records": "all", "stitched": "stitched"}.get(side["source"], side["source"])
    times = [
        f"{name} {format_ms(side[f'{name}_ms'])} ms"
        for name in ("p50", "p95", "p99")
        if side.get(f"{name}_ms") is not None
    ]
    counts = f"{side['requests']:,} requests, {side['errors']:,} failed"
    return f"{ink.paint(f'{source:<9}', 'dim')}{counts}  {'  '.join(times)}"


def _difference(found: Document) -> Row:
    names = [_feature(each) for each in (found["feature"], *found["also"])]
    more = f" (and {len(names) - 2} more)" if len(names) > 2 else ""
    return {
        **found,
        "what": " = ".join(names[:2]) + more if len(names) > 1 else names[0],
        "example": next(iter(found["examples_selected"]), ""),
    }


def _feature(feature: Document) -> str:
    of = f" of {feature['service']}" if feature["service"] else ""
    return f"{feature['name']}{of} {feature['value']}".strip()


def draw_services(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield the services, the busiest first."""
    rows = document.get("services") or ()
    if rows:
        columns = (
            text("SERVICE", "service"),
            text("ROLE", "role", spare=4),
            number("PER S", "requests_per_s", "{:,.2f}".format),
            number("VISITS", "visits", spare=3),
            share("ERROR %", "error_ratio", style=_failing),
            duration("P50 MS", "p50_ms"),
            duration("P95 MS", "p95_ms"),
            duration("P99 MS", "p99_ms", spare=5),
            duration("OWN P95", "self_p95_ms", spare=1),
            duration("HOLDS UP", "critical_ms", spare=2),
            share("PROXIES", "proxy_share", spare=3),
            number("RETRIES", "retries", spare=3),
            Column("PODS", lambda row: _count(row.get("pods")), is_number=True, spare=6),
            text("VERSIONS", "versions", spare=2),
        )
        yield from draw_table(columns, rows, ink, width)
    yield from _basis(document, ink)
    yield from draw_logged("SERVICE, BY LOGS ONLY", document, ink, width)
    yield from draw_note(document, ink, width)


def draw_edges(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield who calls whom, the busiest first."""
    rows = [{**each, "how": _how(each)} for each in document.get("edges") or ()]
    if rows:
        columns = (
            text("CALLER", "caller"),
            text("CALLS", "callee"),
            number("PER S", "calls_per_s", "{:,.2f}".format),
            number("CALLS", "calls", spare=4),
            share("ERROR %", "error_ratio", style=_failing),
            duration("P50 MS", "p50_ms", spare=2),
            duration("P95 MS", "p95_ms"),
            duration("P99 MS", "p99_ms", spare=5),
            duration("PROXY MS", "proxy_ms", spare=3),
            share("PROXIES", "proxy_share", spare=3),
            share("RETRIES", "retry_ratio", spare=1),
            text("HOW", "how", spare=4),
        )
        yield from draw_table(columns, rows, ink, width)
    yield from _basis(document, ink)
    yield from draw_note(document, ink, width)


def _how(edge: Document) -> str:
    words = ("async", "mirrored", "inferred")
    return ", ".join(word for word in words if edge.get(word))


def _basis(document: Document, ink: Ink) -> Iterator[str]:
    basis = document.get("basis") or {}
    if basis.get("stitched"):
        yield ink.paint(
            f"from {basis['stitched']:,} stitched requests, which stand for {basis['requests']:,}",
            "dim",
        )


def draw_changes(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield each change with what came of it, the newest first."""
    for change in document.get("changes") or ():
        effect = change.get("effect") or {}
        verdict = str(effect.get("verdict") or "")
        words = {"elsewhere_too": "moved elsewhere too", "none": "no effect", "unknown": "too few"}
        parts = (
            str(change["first_seen"])[:19].replace("T", " "),
            ink.paint(ink.clean(change["kind"]), "bold"),
            ink.paint(words.get(verdict, verdict), _verdict_style(verdict)),
        )
        yield "  ".join(part for part in parts if part)
        for line in wrap(ink.clean(change["sentence"]), width - 4):
            yield f"    {line}"
        for told in change.get("told") or ():
            if told.get("url"):
                yield ink.paint(f"    {ink.clean(told['url'])}", "dim")
        examples = effect.get("example_ids") or ()
        if verdict == "worse" and examples:
            yield ink.paint(f"    such as {ink.clean(examples[0])}", "dim")
        yield ""
    yield from draw_note(document, ink, width)


def draw_budget(document: Document, ink: Ink, width: int) -> Iterator[str]:
    """Yield each target against what is, how errors burn, who spends the time, what would help."""
    rows = document.get("targets") or ()
    if rows:
        columns = (
            text("TARGET", "name"),
            duration("MAY BE MS", "target_ms"),
            duration("IS MS", "value_ms"),
            duration("AT LEAST", "lower_ms"),
            duration("AT MOST", "upper_ms"),
            text("", "verdict", style=lambda row: _verdict_style(str(row["verdict"]))),
        )
        yield from draw_table(columns, rows, ink, width)
        yield ""
    errors = document.get("errors")
    if errors:
        verdict = ink.paint(errors["verdict"], _verdict_style(errors["verdict"]))
        yield f"{errors['objective_ratio'] * 100:.6g} % of the requests have to be good: {verdict}"
        windows = (
            text("LAST", "window"),
            number("REQUESTS", "requests"),
            number("BAD", "bad"),
            share("BAD %", "bad_ratio"),
            number("BURN RATE", "burn_rate", "{:,.2f}".format),
        )
        yield from draw_table(windows, errors["burn_rates"], ink, width)
        yield ""
    yield from _draw_spending(document, ink, width)
    requests, stitched = document.get("requests", 0), document.get("stitched", 0)
    yield ink.paint(
        f"{requests:,} requests; who spends it is from {stitched:,} stitched ones", "dim"
    )
    yield from draw_note(document, ink, width)


def _draw_spending(document: Document, ink: Ink, width: int) -> Iterator[str]:
    saved = {
        (each["role"], each["service"], each["factor"]): each
        for each in document.get("what_if") or ()
    }
    rows = []
    for each in (document.get("spending") or ())[:15]:
        faster, gone = (saved.get((each["role"], each["service"], factor)) for factor in (0.3, 1.0))
        rows.append(
            {
                **each,
                "faster_ms": faster["p95_ms"] if faster else None,
                "gone_ms": gone["p95_ms"] if gone else None,
            }
        )
    if rows:
        columns = (
            text("WHO SPENDS IT", "service"),
            text("ROLE", "role", spare=2),
            duration("MEAN MS", "mean_ms"),
            share("OF ALL", "share"),
            duration("IN SLOWEST 5%", "slowest_mean_ms"),
            share("OF THEM", "slowest_share", spare=1),
            duration("P95 IF 30% FASTER", "faster_ms"),
            duration("IF GONE", "gone_ms", spare=1),
        )
        yield from draw_table(columns, rows, ink, width)
        yield ""


def _verdict_style(verdict: str) -> str:
    return (
        "red" if verdict in _BAD else "green" if verdict in _GOOD else "yellow" if verdict else ""
    )


def _failing(row: Row) -> str:
    return "red" if (row.get("error_ratio") or 0) >= 0.01 else ""


def _count(values: object) -> str:
    return str(len(values)) if isinstance(values, list) and values else ""
