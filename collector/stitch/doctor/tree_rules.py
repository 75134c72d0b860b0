"""
Rules about the spans and times of one request: what the tree shows before it is described.

They need no population: the span or record at hand is evidence enough.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from collector.attributes import OTHER_NAME
from collector.decode.quality import STREAMING
from collector.stitch.describe import Stitched
from collector.stitch.doctor.fixes import LOG_DURATION, ONE_NAME
from collector.stitch.doctor.rule import Symptom, TreeRule
from collector.stitch.time.critical_path import is_waited_for
from collector.stitch.time.timeouts import has_given_up, may_outlast
from collector.stitch.tree.nodes import Node

_DAY_NS = 86_400_000_000_000
# Two ends of one connection see its end in either order; a record is known to the millisecond.
_CLOSE_NS = 2_000_000
_MAX_REFS = 5
_MAX_MISSING = 20


def find_flagged(flag: str, one: str, many: str, stitched: Stitched) -> Iterator[Symptom]:
    """Spans that a rule of the tree has flagged; *one* and *many* say what is true of them."""
    nodes = [node for node in stitched.rooted.members if flag in node.flags]
    if nodes:
        yield _symptom(nodes, _count(nodes, one, many))


def find_renamed(stitched: Stitched) -> Iterator[Symptom]:
    """Spans that came under two services' names, by these names."""
    names: dict[tuple[str, str], list[Node]] = {}
    for node in stitched.rooted.members:
        if "two_names" in node.flags:
            names.setdefault((node.service, node.attributes[OTHER_NAME]), []).append(node)
    for (kept, other), nodes in sorted(names.items()):
        does = _count(nodes, "was sent twice", "were sent twice")
        yield _symptom(nodes, f"{does}, as of {kept} and as of {other}")


def find_implausible_duration(stitched: Stitched) -> Iterator[Symptom]:
    """Spans that last longer than a day."""
    long = [n for n in stitched.rooted.members if n.raw_end - n.raw_start > _DAY_NS]
    if long:
        yield _symptom(long, _count(long, "lasts longer than a day", "last longer than a day"))


def find_orphans(stitched: Stitched) -> Iterator[Symptom]:
    """Spans that name a parent which is not there, by that parent."""
    missing: dict[str, list[Node]] = {}
    for node in stitched.rooted.members:
        # The first span's caller is the request's, and need not report to us.
        if not node.is_orphan or node.parent is None or node.span is None:
            continue
        if "cycle" not in node.flags:
            missing.setdefault(node.span.parent_span_id, []).append(node)
    most_first = sorted(missing.items(), key=lambda item: (-len(item[1]), item[0]))
    for parent_id, nodes in most_first[:_MAX_MISSING]:
        parent = nodes[0].parent
        holder = parent.service if parent is not None else ""
        where = f"; placed under {holder} by time" if holder else ""
        what = f"span {parent_id} never arrived" if parent_id else "they have no parent"
        detail = f"{len(nodes)} {_plural(nodes)} without parent: {what}{where}"
        yield _symptom(nodes, detail)
    rest = [node for _, nodes in most_first[_MAX_MISSING:] for node in nodes]
    if rest:
        count = len(most_first) - _MAX_MISSING
        detail = f"{len(rest)} more {_plural(rest)} name {count} other parents that never arrived"
        yield _symptom(rest, detail)


def find_outside_parent(stitched: Stitched) -> Iterator[Symptom]:
    """Spans that begin before or end after the call that caused them, messages before they were."""
    outside = [
        node
        for node in stitched.rooted.members
        if node.parent is not None
        and (node.start < node.parent.start - _CLOSE_NS or node.end > node.parent.end + _CLOSE_NS)
        and (node.end < node.parent.start - _CLOSE_NS or _must_lie_inside(node, node.parent))
    ]
    if outside:
        detail = _count(
            outside,
            "reaches outside of its parent's time",
            "reach outside of their parent's time",
        )
        yield _symptom(outside, detail)


def _must_lie_inside(node: Node, parent: Node) -> bool:
    if node.is_async or has_given_up(node) or may_outlast(parent):
        return False
    return is_waited_for(node)


def find_contradictions(stitched: Stitched) -> Iterator[Symptom]:
    """Times of gateway and mesh that cannot both be true."""
    for node, detail in stitched.split.contradictions:
        # a connection's life and the time of its handshake are two things by intent
        if node.record is None or STREAMING not in node.record.record.quality:
            yield _symptom([node], detail)


def find_several_roots(stitched: Stitched) -> Iterator[Symptom]:
    """A trace with more than one beginning."""
    yield from find_flagged(
        "several_roots",
        "stands in for a common parent that nobody sent",
        "stand in for a common parent that nobody sent",
        stitched,
    )
    more = stitched.rooted.extra_roots
    if more:
        verb = "has" if len(more) == 1 else "have"
        yield _symptom(more, f"{len(more)} more {_plural(more)} of this trace {verb} no parent")


def _symptom(nodes: Sequence[Node], detail: str) -> Symptom:
    hops = {node.hop for node in nodes}
    return Symptom(
        place="",
        detail=detail,
        hop=hops.pop() if len(hops) == 1 else -1,
        refs=tuple(sorted(node.reference for node in nodes)[:_MAX_REFS]),
    )


def _count(nodes: Sequence[Node], one: str, many: str) -> str:
    return f"{len(nodes)} {_plural(nodes)} {one if len(nodes) == 1 else many}"


def _plural(nodes: Sequence[Node]) -> str:
    return "span" if len(nodes) == 1 else "spans"


def _flagged(flag: str, one: str, many: str) -> Callable[[Stitched], Iterator[Symptom]]:
    return partial(find_flagged, flag, one, many)


TREE_RULES: tuple[TreeRule, ...] = (
    TreeRule(
        code="NEGATIVE_DURATION",
        title="Spans end before they begin",
        meaning="How long they took is not known; they are shown without length.",
        find=_flagged("negative_duration", "ended before it began", "ended before they began"),
    ),
    TreeRule(
        code="NO_START",
        title="Spans have no start time",
        meaning="Their place on the timeline is not known.",
        find=_flagged("no_start", "has no start time", "have no start time"),
    ),
    TreeRule(
        code="PARENT_CYCLE",
        title="Spans are their own ancestors",
        meaning="The circle was cut at its first span, which stands as an orphan.",
        find=_flagged("cycle", "is its own ancestor", "are their own ancestors"),
    ),
    TreeRule(
        code="DUPLICATE_SPAN",
        title="Spans are sent more than once with different content",
        meaning="The version that says most is shown.",
        find=_flagged(
            "duplicate",
            "was sent more than once with different content",
            "were sent more than once with different content",
        ),
    ),
    TreeRule(
        code="SPAN_UNDER_TWO_NAMES",
        title="The same spans are sent under two services' names",
        meaning="One of them is shown; lists of services and calls know both.",
        find=find_renamed,
        fixes={"": ONE_NAME},
    ),
    TreeRule(
        code="DUPLICATE_ID",
        title="Different spans share one id",
        meaning="Which of them a child names as its parent was decided by time.",
        find=_flagged(
            "duplicate_id",
            "shares its id with a span of something else",
            "share their id with a span of something else",
        ),
    ),
    TreeRule(
        code="SHARED_ID",
        title="Both sides of a call share one id",
        meaning="Zipkin's tracers do so; the two halves are shown as caller and callee.",
        find=_flagged(
            "shared_id",
            "shares its id with the other side of the call (Zipkin)",
            "share their id with the other side of the call (Zipkin)",
        ),
        is_normal=True,
    ),
    TreeRule(
        code="ONLY_ACCESS_LOGS",
        title="Access logs arrive and spans do not",
        meaning="What is drawn from a log has no parent of its own: who called whom was decided by "
        "names and times.",
        find=_flagged(
            "access_log",
            "is drawn from an access log: no span of it arrived",
            "are drawn from access logs: no span of them arrived",
        ),
    ),
    TreeRule(
        code="DURATION_UNKNOWN",
        title="The gateway's records have no duration",
        meaning="How long the request took is not known; the time shown is that of the calls below "
        "the gateway, if there are any.",
        find=_flagged("unmeasured", "has no duration", "have no duration"),
        fixes={"": LOG_DURATION},
    ),
    TreeRule(
        code="MISSING_ROOT",
        title="The first span of traces never arrives",
        meaning="Who began the request, and how long it took in all, is not known.",
        find=_flagged(
            "missing_parent",
            "stands in for a span that never arrived",
            "stand in for a span that never arrived",
        ),
    ),
    TreeRule(
        code="SEVERAL_ROOTS",
        title="Traces have several roots",
        meaning="What belongs together was decided by time.",
        find=find_several_roots,
    ),
    TreeRule(
        code="IMPLAUSIBLE_DURATION",
        title="Spans last longer than a day",
        meaning="They were left open, or their times are in a wrong unit.",
        find=find_implausible_duration,
    ),
    TreeRule(
        code="ORPHAN",
        title="Parents of spans never arrive",
        meaning="The spans were placed by service and time.",
        find=find_orphans,
    ),
    TreeRule(
        code="OUTSIDE_PARENT",
        title="Spans reach outside of their parent's time",
        meaning="Work went on after the answer, or a clock is wrong by less than can be proven.",
        find=find_outside_parent,
    ),
    TreeRule(
        code="TIMES_CONTRADICT",
        title="Times of gateway and mesh contradict each other",
        meaning="At least one of the two measures something else than its name says.",
        find=find_contradictions,
    ),
)
"""Rules about one request, in the order in which they are told."""
