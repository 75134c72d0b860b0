"""
Which requests are stitched in the background, and for how many others each of them stands.

All that failed and all that were slow, and of the rest those with a small hash: as many as the time
allows. Halved bounds keep samples nested, so what was drawn at one bound is drawn at every greater
one. A weight is one over the chance with which a request was drawn, whatever it turned out to be.

Source: Horvitz and Thompson's estimate, over a stable sample by hash.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5

from collector.store import Arrival

FAILED, SLOW, REST = "failed", "slow", "rest"
_ORDER = (FAILED, SLOW, REST)
_HASHES = 1 << 64
_MOST_HALVINGS = 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    How densely requests are drawn: one of `notable` that failed or were slow, one of `rest`.

    Both are powers of two.
    """

    notable: int = 1
    rest: int = 1

    def one_of(self, stratum: str) -> int:
        return self.rest if stratum == REST else self.notable

    def takes(self, stratum: str, place: int) -> bool:
        """Tell whether a request of *stratum* with the hash *place* is drawn."""
        return place < _HASHES // self.one_of(stratum)


def place_of(text: str) -> int:
    """Return the hash that macros/requests.sql makes of an id too: a test compares them."""
    return int.from_bytes(md5(text.encode(), usedforsecurity=False).digest()[:8], "little")


def strata_of(arrivals: Sequence[Arrival], slow_ns: Mapping[tuple[str, str], int]) -> list[str]:
    """
    Return the stratum of each arrival: by what it says itself, or the trace that it names.

    *slow_ns* says what is slow for a (gateway, API), and for an edge service's traces.
    """
    strata = [_own_stratum(each, slow_ns) for each in arrivals]
    of_trace = {
        each.trace_id: stratum
        for each, stratum in zip(arrivals, strata, strict=True)
        if not each.record_id
    }
    return [
        min(stratum, of_trace.get(each.trace_id, REST), key=_ORDER.index)
        for each, stratum in zip(arrivals, strata, strict=True)
    ]


def _own_stratum(arrival: Arrival, slow_ns: Mapping[tuple[str, str], int]) -> str:
    if arrival.is_failed:
        return FAILED
    bound_ns = slow_ns.get((arrival.gateway, arrival.api))
    if bound_ns is not None and arrival.duration_ns is not None and arrival.duration_ns > bound_ns:
        return SLOW
    return REST


def choose_bounds(strata: Iterable[str], capacity: float) -> Bounds:
    """Return the densest bounds at which about *capacity* of these requests are drawn at most."""
    notable = rest = 0
    for stratum in strata:
        if stratum == REST:
            rest += 1
        else:
            notable += 1
    one_notable = _halve(notable, capacity)
    one_rest = _halve(rest, max(capacity - notable / one_notable, capacity / 8))
    return Bounds(one_notable, one_rest)


def _halve(count: int, capacity: float) -> int:
    one_of = 1
    while count / one_of > capacity and one_of < 1 << _MOST_HALVINGS:
        one_of *= 2
    return one_of
