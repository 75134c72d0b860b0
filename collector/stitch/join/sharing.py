"""
Which of the requests under one id a call belongs to.

An id proves a request only where it was made for it. One that was passed on belongs to several: a
client's retry, a webhook that is sent again, the calls of a session. Time decides then: a call lies
inside its request, on clocks that are one constant apart, and does not contradict it. Every request
has one call first; what is left over is a further try of the request that it lies in, or it is of
a request that nobody has told of yet.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from collector.model import GatewayRecord
from collector.stitch.join.agreement import (
    MADE,
    PASSED_ON,
    contradictions,
    lies_inside,
    slack_of,
)
from collector.stitch.join.assignment import least_cost_pairs
from collector.stitch.time.agreement import widest_agreement
from collector.stitch.time.placement import NO_OFFSETS, ClockOffsets
from collector.stitch.time.timeouts import has_given_up, may_outlast
from collector.stitch.timeline import Evidence
from collector.stitch.tree.nodes import Node

_SECOND_NS = 1_000_000_000
# Within this two clocks may be apart; a request that is sent again comes later as a rule.
_NEAR_NS = 2 * _SECOND_NS
_FAR_NS = 600 * _SECOND_NS
# The only call under an id that its gateway may have made is of the only record that sent it: what
# is wrong by hours is a zone that was taken for another, or a clock that nobody keeps.
_FARTHEST_NS = 26 * 3600 * _SECOND_NS
# More pairs than this are compared within `_NEAR_NS` of each other only.
_MAX_PAIRS = 4096
# In the units of cost, which are seconds squared: contradictions outweigh any nearness in time.
_OTHER_PATH = 1e6
_OTHER_STATUS = 1e5

_Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Claim:
    """
    A call that is taken to be a request's: its first span, and what speaks against it.

    `is_doubtful`: it lies outside of its request's time, so that either a clock is wrong or it is
    another request's.
    """

    record: Node
    call: Node
    against: tuple[Evidence, ...] = ()
    is_doubtful: bool = False


@dataclass(slots=True)
class Shares:
    """`claims` are what was shared out, `refused` what contradicts too much, `rest` all others."""

    claims: list[Claim] = field(default_factory=list)
    refused: list[Claim] = field(default_factory=list)
    rest: list[Node] = field(default_factory=list)


def share_calls(
    records: Sequence[Node],
    calls: Sequence[Node],
    maker: str,
    offsets: ClockOffsets = NO_OFFSETS,
) -> Shares:
    """
    Share out *calls*, which all name one id, among the *records* that sent it.

    *maker* tells who made the id, as `maker_of` does. One that a gateway made for its one request
    proves every call, also where times and facts contradict it; they are said. *offsets* are those
    that other requests taught; clocks of which nothing is known are taken to be right.
    """
    if not records:
        return Shares(rest=list(calls))
    if maker == MADE and len(records) == 1:
        proven = [Claim(records[0], call, _against_proof(records[0], call)) for call in calls]
        return Shares(_with_earlier_tries(proven))
    found = Shares()
    pairs = _possible_pairs(records, calls, found)
    inside = _inside(records, calls, pairs, _known_offset(records, calls, offsets))
    inside, is_doubtful = _moved_inside(records, calls, pairs, inside, maker)
    chosen = least_cost_pairs(inside)
    chosen += _further_tries(records, calls, inside, chosen, maker)
    for i, j in sorted(chosen):
        against = pairs[i, j]
        if is_doubtful:
            against = (*against, _apart(records[i], calls[j]))
        found.claims.append(Claim(records[i], calls[j], against, is_doubtful))
    found.claims = _with_earlier_tries(found.claims)
    claimed = {j for _, j in chosen}
    found.rest = [call for j, call in enumerate(calls) if j not in claimed]
    return found


def _against_proof(record: Node, call: Node) -> tuple[Evidence, ...]:
    """Return what contradicts an id that proves: another path alone may have been rewritten."""
    against = contradictions(_told(record), call)
    return against if any(one.field != "path" for one in against) else ()


def _with_earlier_tries(claims: Sequence[Claim]) -> list[Claim]:
    """Return *claims*; how a try before the last ended is not against its record's status."""
    last: dict[Node, int] = {}
    for claim in claims:
        if not any(one.field == "status" for one in claim.against):
            last[claim.record] = max(claim.call.raw_start, last.get(claim.record, 0))
    return [
        replace(claim, against=tuple(one for one in claim.against if one.field != "status"))
        if claim.call.raw_end <= last.get(claim.record, 0)
        else claim
        for claim in claims
    ]


def _told(node: Node) -> GatewayRecord:
    assert node.record is not None
    return node.record.record


def _possible_pairs(
    records: Sequence[Node], calls: Sequence[Node], found: Shares
) -> dict[_Pair, tuple[Evidence, ...]]:
    """Return the pairs that nothing rules out, with what speaks against them."""
    are_few = len(records) * len(calls) <= _MAX_PAIRS
    pairs = {}
    for i, record in enumerate(records):
        told = _told(record)
        first, last = record.raw_start - _NEAR_NS, record.raw_end + _NEAR_NS
        for j, call in enumerate(calls):
            if not (are_few or first <= call.raw_start <= last):
                continue
            if not _is_short_enough(call, record):
                continue
            against = contradictions(told, call)
            if any(one.field == "method" for one in against):
                if lies_inside(call, record):
                    found.refused.append(Claim(record, call, against))
                continue
            pairs[i, j] = against
    return pairs


def _is_short_enough(call: Node, record: Node) -> bool:
    told = _told(record)
    if told.duration_ns is None or call.is_async or may_outlast(record):
        return True
    return call.raw_end - call.raw_start <= told.duration_ns + 2 * slack_of(told)


def _inside(
    records: Sequence[Node],
    calls: Sequence[Node],
    pairs: Mapping[_Pair, tuple[Evidence, ...]],
    ahead_ns: int,
) -> dict[_Pair, float]:
    """Return the pairs in which the call lies inside the request, with their costs."""
    return {
        (i, j): _cost(records[i], calls[j], against, ahead_ns)
        for (i, j), against in pairs.items()
        if lies_inside(calls[j], records[i], ahead_ns=ahead_ns)
    }


def _moved_inside(
    records: Sequence[Node],
    calls: Sequence[Node],
    pairs: Mapping[_Pair, tuple[Evidence, ...]],
    inside: dict[_Pair, float],
    maker: str,
) -> tuple[dict[_Pair, float], bool]:
    """
    Return *inside*, or where none of it agrees, the pairs that do on clocks a constant apart.

    What contradicts lies in a request's time by chance, if a near clock puts in what agrees.

    Returns:
        The pairs with their costs, and whether to doubt them.
    """
    agreeing = [pair for pair, against in pairs.items() if _agree(records, calls, pair, against)]
    if not inside.keys().isdisjoint(agreeing):
        return inside, False
    is_only = maker != PASSED_ON and len(records) == len(calls) == 1
    farthest_ns = _FARTHEST_NS if is_only else _FAR_NS
    common, is_doubtful = _common_offset(records, calls, agreeing, farthest_ns), False
    if common is None and not inside and maker != PASSED_ON:
        # a path may have been rewritten
        common, is_doubtful = _common_offset(records, calls, _of_other_paths(pairs)), True
    if common is None or (inside and common[1] > _NEAR_NS):
        return inside, False
    ahead_ns, least_ns = common
    moved = _inside(records, calls, pairs, ahead_ns)
    is_far = maker == PASSED_ON or least_ns > _NEAR_NS
    is_alone = len({i for i, _ in moved}) == 1
    return moved, is_doubtful or (is_alone and is_far)


def _known_offset(records: Sequence[Node], calls: Sequence[Node], offsets: ClockOffsets) -> int:
    """Return how far the calls' clock is ahead, 0 if other requests did not show that it is."""
    for call in calls if offsets.by_pair else ():
        known = offsets.get(records[0].host, call.host)
        # What may be no difference at all is none.
        if known is not None and abs(known.offset_ns) > known.bound_ns:
            return known.offset_ns
    return 0


def _cost(record: Node, call: Node, against: Sequence[Evidence], ahead_ns: int) -> float:
    # Squares, so that two calls in turn are paired in turn with two requests of one length.
    lead = (call.raw_start - ahead_ns - record.raw_start) / _SECOND_NS
    lag = (record.raw_end - call.raw_end + ahead_ns) / _SECOND_NS
    cost = lead * lead + lag * lag
    if any(one.field == "path" for one in against):
        cost += _OTHER_PATH
    if any(one.field == "status" for one in against):
        cost += 2 * _OTHER_STATUS
    elif _ended_otherwise(record, call):
        cost += _OTHER_STATUS
    return cost


def _agree(
    records: Sequence[Node], calls: Sequence[Node], pair: _Pair, against: Sequence[Evidence]
) -> bool:
    """Tell whether nothing but perhaps the time speaks against a pair."""
    return not against and not _ended_otherwise(records[pair[0]], calls[pair[1]])


def _of_other_paths(pairs: Mapping[_Pair, Sequence[Evidence]]) -> list[_Pair]:
    return [pair for pair, against in pairs.items() if {one.field for one in against} == {"path"}]


def _ended_otherwise(record: Node, call: Node) -> bool:
    """
    Tell whether the consumer got another class of status than the call ended with.

    What it got from a gateway that gave up says nothing of the call.
    """
    if has_given_up(record):
        return False
    status, seen = _told(record).status, call.status_code
    return bool(status and seen) and (status or 0) // 100 != (seen or 0) // 100


def _common_offset(
    records: Sequence[Node],
    calls: Sequence[Node],
    pairs: Iterable[_Pair],
    farthest_ns: int = _FAR_NS,
) -> tuple[int, int] | None:
    """
    Return how far the calls' clock is ahead, where none of *pairs* has a call in a request's time.

    It is the constant that puts most of them inside; with one pair only, the one that does it.
    `None` when pairs disagree: it cannot be told which call is whose.

    Returns:
        The middle of what would do, and how far the clocks are apart at least.
    """
    bounds = []
    for i, j in pairs:
        record, call = records[i], calls[j]
        slack = slack_of(_told(record))
        upper = call.raw_start - record.raw_start + slack
        lower = call.raw_end - record.raw_end - slack
        if may_outlast(record) or call.is_async:
            lower = call.raw_start - record.raw_end - slack
        if lower <= upper and abs(lower + upper) // 2 <= farthest_ns:
            bounds.append((lower, upper))
    if not bounds:
        return None
    low, high, votes = widest_agreement(bounds)
    if votes < 2 and len(bounds) > 1:
        low, high = min(bounds, key=lambda pair: abs(pair[0] + pair[1]))
        if abs(low + high) // 2 > _NEAR_NS:
            return None
    return (low + high) // 2, max(0, low, -high)


def _further_tries(
    records: Sequence[Node],
    calls: Sequence[Node],
    inside: Mapping[_Pair, float],
    chosen: Sequence[_Pair],
    maker: str,
) -> list[_Pair]:
    """
    Return further calls of the requests that already have one.

    Under an id that was passed on, another call at the same time is another request's; one before
    or after it is a try, unless the gateway counted its tries.
    """
    taken = {j for _, j in chosen}
    calls_of: dict[int, list[Node]] = {}
    for i, j in chosen:
        calls_of.setdefault(i, []).append(calls[j])
    found = []
    for (i, j), cost in sorted(inside.items(), key=lambda item: (item[1], item[0])):
        if j in taken or cost >= _OTHER_PATH:
            continue
        own = calls_of.setdefault(i, [])
        attempts = _told(records[i]).attempts
        if attempts is not None and len(own) >= attempts and maker != MADE:
            continue
        is_shared = maker == PASSED_ON or len(records) > 1
        if is_shared and any(_overlap(calls[j], one) for one in own):
            continue
        taken.add(j)
        own.append(calls[j])
        found.append((i, j))
    return found


def _overlap(first: Node, second: Node) -> bool:
    return first.raw_start < second.raw_end and second.raw_start < first.raw_end


def _apart(record: Node, call: Node) -> Evidence:
    return Evidence(field="time", left=str(record.raw_start), right=str(call.raw_start))
