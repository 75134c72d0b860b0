"""
What happens where gateway and mesh do the same thing, each for itself.

An overlap shows only when both layers act, which is rare by its nature: a few requests are support
enough, whatever their share.

See `verdict.overlap` for the actions.
"""

from collections.abc import Iterator

from collector.stitch.describe import Stitched
from collector.stitch.doctor.rule import Symptom, TreeRule
from collector.stitch.time.timeouts import (
    has_given_up,
    is_abandoned,
    slowest_callee,
    waited_time,
)
from collector.stitch.tree.nodes import Node
from collector.stitch.verdict.overlap import REVISION
from collector.timestamps import format_duration

MIN_OVERLAPS = 5


def find_multiplied_retries(stitched: Stitched) -> Iterator[Symptom]:
    """Two layers and more retry the same call, which multiplies the tries."""
    acts, hops = stitched.acts, stitched.hops
    by_layer = [act for act in acts if act.feature == "retry"]
    layers = sorted({(act.layer, act.component) for act in by_layer})
    if len(layers) < 2:
        return
    attempts: dict[str, int] = {}
    for hop in hops:
        if not hop.is_mirrored and hop.role in ("service", "dependency"):
            attempts[hop.service] = attempts.get(hop.service, 0) + 1
    service = max(attempts, key=lambda name: (attempts[name], name), default="")
    tries = " × ".join(f"{component} ({layer})" for layer, component in layers)
    yield Symptom(
        place="",
        detail=f"tries of {tries} made {attempts.get(service, 0)} calls of {service}",
        fix="let one layer retry: set attempts to 0 in the VirtualService of this route, or take "
        "the retry policy out of the gateway",
        refs=tuple(sorted({ref for act in by_layer for ref in act.refs})),
    )


def find_inverted_timeouts(stitched: Stitched) -> Iterator[Symptom]:
    """An outer layer gave up while an inner one would have gone on waiting."""
    for node in stitched.rooted.members:
        if not has_given_up(node) or is_abandoned(node):
            continue
        waited, callee = waited_time(node), slowest_callee(node)
        if waited is None or callee is None or callee.duration <= waited + 2_000_000:
            continue
        inner = next((c for c in node.children if c.is_proxy or c.is_gateway), None)
        if inner is None or _timed_out(inner):
            continue
        longer = format_duration(callee.duration - waited)
        yield Symptom(
            place="",
            hop=callee.hop,
            detail=f"{node.service} gave up after {format_duration(waited)}, {callee.service} "
            f"behind it took {longer} longer: its limit is longer or missing",
            fix=f"set the timeout of the route in the mesh below that of {node.service}, so that "
            "work nobody waits for is stopped",
            refs=(node.reference, callee.reference),
        )


def _timed_out(node: Node) -> bool:
    return has_given_up(node) and not is_abandoned(node)


def find_late_rate_limit(stitched: Stitched) -> Iterator[Symptom]:
    """The gateway let through what a rate limit of the mesh refused."""
    return _find_late_refusal(stitched, "rate_limit", "rate limit")


def find_late_authorization(stitched: Stitched) -> Iterator[Symptom]:
    """The gateway let through what the mesh's authorization refused."""
    return _find_late_refusal(stitched, "authorization", "authorization")


def _find_late_refusal(stitched: Stitched, feature: str, what: str) -> Iterator[Symptom]:
    root, acts = stitched.rooted.root, stitched.acts
    if root.record is None:
        return
    for act in acts:
        if act.layer == "gateway" or act.feature != feature:
            continue
        yield Symptom(
            place="",
            detail=f"{root.service} let the request through, the {what} of {act.component} "
            f"({act.layer}) did not: {act.detail}",
            fix=f"decide the {what} at one layer, or keep the mesh's above the gateway's",
            refs=(root.reference, *act.refs),
        )


def find_disagreeing_split(stitched: Stitched) -> Iterator[Symptom]:
    """The gateway chose a version by its backend's name, and the mesh served another one."""
    members = stitched.rooted.members
    for node in members:
        if node.record is None or not node.record.record.backend_id:
            continue
        chosen = _version_in(node.record.record.backend_id)
        served = next(
            (n for n in members if n.role == "server_proxy" and n.attributes.get(REVISION)), None
        )
        if not chosen or served is None:
            continue
        revision = _version_in(served.attributes[REVISION])
        if revision and revision != chosen:
            yield Symptom(
                place="",
                hop=served.hop,
                detail=f"the gateway chose backend {node.record.record.backend_id}, the mesh "
                f"served revision {served.attributes[REVISION]} of {served.service}",
                fix="split traffic at one layer: point the gateway's backend at one subset, or at "
                "the service and let the mesh split",
                refs=(node.reference, served.reference),
            )


def _version_in(name: str) -> str:
    for word in name.lower().replace("_", "-").replace(".", "-").split("-"):
        if len(word) > 1 and word[0] == "v" and word[1:].isdigit():
            return word
        if word in ("canary", "stable", "blue", "green"):
            return word
    return ""


OVERLAP_RULES: tuple[TreeRule, ...] = tuple(
    TreeRule(
        code=code,
        title=title,
        meaning=meaning,
        find=find,
        min_requests=MIN_OVERLAPS,
        min_share=0.0,
    )
    for code, title, meaning, find in (
        (
            "RETRIES_MULTIPLIED",
            "Two layers retry the same call",
            "The tries of one are multiplied by those of the other, when the callee can bear it "
            "least.",
            find_multiplied_retries,
        ),
        (
            "TIMEOUT_LONGER_INSIDE",
            "An inner timeout is longer than the one in front of it",
            "When the outer one gives up, the inner one works on for nobody.",
            find_inverted_timeouts,
        ),
        (
            "RATE_LIMIT_BEHIND_GATEWAY",
            "The mesh limits what the gateway let through",
            "The consumer's quota at the gateway is not the one that is in force.",
            find_late_rate_limit,
        ),
        (
            "AUTHORIZATION_BEHIND_GATEWAY",
            "The mesh refuses what the gateway let through",
            "Two sets of rules decide who may call, and they do not agree.",
            find_late_authorization,
        ),
        (
            "SPLIT_DISAGREES",
            "Gateway and mesh split traffic against each other",
            "The version that the gateway chose is not the one that answered.",
            find_disagreeing_split,
        ),
    )
)
"""Rules about one request; the fix names the layers at hand, and so comes with the symptom."""
