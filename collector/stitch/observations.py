"""
What is wrong with the data of one request, in sentences.

These findings need no population: the span or record at hand shows them.
"""

from collections.abc import Iterator, Sequence

from collector.stitch.join.roots import Rooted
from collector.stitch.time.placement import FITTED
from collector.stitch.time.timeouts import has_given_up
from collector.stitch.timeline import Finding
from collector.stitch.tree.hops import HopDraft
from collector.stitch.tree.nodes import Node

_DAY_NS = 86_400_000_000_000
# Two ends of one connection see its end in either order; a record is known to the millisecond.
_CLOSE_NS = 2_000_000
_MAX_REFS = 5
_MAX_MISSING = 20
# Flag: the rule, and what is true of one span and of several.
_FLAG_FINDINGS = {
    "negative_duration": (
        "NEGATIVE_DURATION",
        "ended before it began; shown without length",
        "ended before they began; shown without length",
    ),
    "no_start": ("NO_START", "has no start time", "have no start time"),
    "cycle": (
        "PARENT_CYCLE",
        "is its own ancestor; the circle was cut",
        "are their own ancestors; the circle was cut",
    ),
    "duplicate": (
        "DUPLICATE_SPAN",
        "was sent more than once with different content",
        "were sent more than once with different content",
    ),
    "duplicate_id": (
        "DUPLICATE_ID",
        "shares its id with a span of something else",
        "share their id with a span of something else",
    ),
    "shared_id": (
        "SHARED_ID",
        "shares its id with the other side of the call (Zipkin)",
        "share their id with the other side of the call (Zipkin)",
    ),
    "sibling": (
        "SIBLING_NOT_CHILD",
        "names its parent's parent; placed by callee and time",
        "name their parent's parent; placed by callee and time",
    ),
    "access_log": (
        "ONLY_ACCESS_LOGS",
        "is drawn from an access log: no span of it arrived",
        "are drawn from access logs: no span of them arrived",
    ),
    "missing_parent": (
        "MISSING_ROOT",
        "stands in for a span that never arrived",
        "stand in for a span that never arrived",
    ),
    "several_roots": (
        "SEVERAL_ROOTS",
        "stands in for a common parent that nobody sent",
        "stand in for a common parent that nobody sent",
    ),
}


def observe(
    rooted: Rooted, hops: Sequence[HopDraft], contradictions: Sequence[tuple[Node, str]]
) -> list[Finding]:
    """Return the findings on one tree, in a fixed order of rules."""
    found = [
        *_flagged(rooted.members),
        *_orphans(rooted.members),
        *_outside(rooted.members),
        *_clock(rooted.members),
        *_quality(rooted.members),
    ]
    for node, message in contradictions:
        found.append(_finding("TIMES_CONTRADICT", [node], message))
    if rooted.extra_roots:
        message = f"{len(rooted.extra_roots)} more spans of this trace have no parent"
        found.append(_finding("SEVERAL_ROOTS", rooted.extra_roots, message))
    return found


def _finding(rule: str, nodes: Sequence[Node], message: str, fix: str = "") -> Finding:
    hops = {node.hop for node in nodes}
    return Finding(
        rule=rule,
        hop=hops.pop() if len(hops) == 1 else -1,
        message=message,
        fix=fix,
        refs=tuple(sorted(node.reference for node in nodes)[:_MAX_REFS]),
    )


def _flagged(members: Sequence[Node]) -> Iterator[Finding]:
    flagged = [node for node in members if node.flags]
    for flag, (rule, *words) in _FLAG_FINDINGS.items() if flagged else ():
        nodes = [node for node in flagged if flag in node.flags]
        if nodes:
            yield _finding(rule, nodes, _count(nodes, *words))
    long = [n for n in members if n.raw_end - n.raw_start > _DAY_NS]
    if long:
        message = _count(long, "lasts longer than a day", "last longer than a day")
        yield _finding("IMPLAUSIBLE_DURATION", long, message)


def _orphans(members: Sequence[Node]) -> Iterator[Finding]:
    missing: dict[str, list[Node]] = {}
    for node in members:
        # The first span's caller is the request's, and need not report to us.
        if not node.is_orphan or node.parent is None or node.span is None:
            continue
        if "cycle" not in node.flags:
            missing.setdefault(node.span.parent_span_id, []).append(node)
    most_first = sorted(missing.items(), key=lambda item: (-len(item[1]), item[0]))
    for parent_id, nodes in most_first[:_MAX_MISSING]:
        parent = nodes[0].parent
        where = f"; placed under {parent.service} by time" if parent is not None else ""
        what = f"span {parent_id} never arrived" if parent_id else "they have no parent"
        message = f"{len(nodes)} {_plural(nodes)} without parent: {what}{where}"
        yield _finding("ORPHAN", nodes, message)
    rest = [node for _, nodes in most_first[_MAX_MISSING:] for node in nodes]
    if rest:
        count = len(most_first) - _MAX_MISSING
        message = f"{len(rest)} more {_plural(rest)} name {count} other parents that never arrived"
        yield _finding("ORPHAN", rest, message)


def _outside(members: Sequence[Node]) -> Iterator[Finding]:
    outside = [
        node
        for node in members
        if node.parent is not None
        and (node.start < node.parent.start - _CLOSE_NS or node.end > node.parent.end + _CLOSE_NS)
        and not node.is_async
        and not node.is_mirrored
        and not has_given_up(node)
        and not has_given_up(node.parent)
    ]
    if outside:
        message = _count(
            outside,
            "reaches outside of its parent's time",
            "reach outside of their parent's time",
        )
        yield _finding("OUTSIDE_PARENT", outside, message)


def _clock(members: Sequence[Node]) -> Iterator[Finding]:
    moved: dict[tuple[str, int], list[Node]] = {}
    for node in members:
        # Less than that is within what two well kept clocks differ by.
        if node.shift and abs(node.shift) > _CLOSE_NS and node.shift_reason != FITTED:
            moved.setdefault((node.shift_reason, node.shift), []).append(node)
    for (reason, shift), nodes in sorted(moved.items(), key=lambda item: item[0]):
        message = f"{len(nodes)} {_plural(nodes)} moved by {shift / 1e6:.3f} ms: {reason}"
        yield _finding("CLOCK", nodes, message, "keep the hosts' clocks with NTP or PTP")


def _quality(members: Sequence[Node]) -> Iterator[Finding]:
    for node in members:
        if node.record is not None:
            for flag in node.record.record.quality:
                yield _finding(flag, [node], f"the record's times are flagged {flag}")


def _count(nodes: Sequence[Node], one: str, many: str) -> str:
    return f"{len(nodes)} {_plural(nodes)} {one if len(nodes) == 1 else many}"


def _plural(nodes: Sequence[Node]) -> str:
    return "span" if len(nodes) == 1 else "spans"
