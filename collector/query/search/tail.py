"""
Requests as they become known: what a search would find that it did not find before.

In: the filters of a search. Out: at each poll the requests that are new, and those that changed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from cachetools import LRUCache

from collector.answers import Answer
from collector.clock import Clock
from collector.errors import BadQuestion
from collector.query.results import Summary
from collector.query.search.filters import (
    MAX_LIMIT,
    OF_LISTS,
    PARAMETERS,
    Search,
    collect_pairs,
    parse_search,
)
from collector.timestamps import NS_PER_H, NS_PER_S

# A request that began longer ago is no news, and one that begins later has a clock that lies.
TAIL_RANGE_NS = 6 * NS_PER_H
TAIL_AHEAD_NS = NS_PER_H
TAIL_PARAMETERS = tuple(each for each in PARAMETERS if each.name not in OF_LISTS)
# Rows become visible a little after they came in, and not in that order.
_OVERLAP_NS = 10 * NS_PER_S
_MAX_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class TailEvent:
    """A request that became known (`request`), or one told before that changed (`update`)."""

    kind: str
    request: Summary


@dataclass(frozen=True, slots=True)
class Missed(Answer):
    """
    What a reader was not told.

    `requests` did not fit while it was not reading; `None`: more came at once than is read.
    """

    requests: int | None


@dataclass(frozen=True, slots=True)
class Polled:
    """What is new, oldest first. `is_cut`: more came at once than is read."""

    events: tuple[TailEvent, ...]
    is_cut: bool


def parse_tail(pairs: Iterable[tuple[str, str]], *, now_ns: int) -> Search:
    """
    Read the filters of a tail.

    Raises:
        BadQuestion: a parameter is unknown, cannot be understood, or is one of a list's.
    """
    given = list(pairs)
    for name, _ in given:
        if name in OF_LISTS:
            msg = f"{name}: a tail of new requests takes no {name}"
            raise BadQuestion(msg, hint="list what is known with GET /api/v1/requests")
    collect_pairs(given, (each.name for each in TAIL_PARAMETERS))
    return replace(parse_search(given, now_ns=now_ns), limit=MAX_LIMIT)


class Tail:
    """
    One reader's place in what becomes known. Not thread-safe.

    *find* returns the requests of which something came in after a moment, and whether there are
    more than it returns.
    """

    def __init__(self, find: Callable[[int], tuple[list[Summary], bool]], clock: Clock) -> None:
        self._find = find
        self._clock = clock
        self._since_ns = clock.now_ns()
        self._told: LRUCache[str, tuple[object, ...]] = LRUCache(_MAX_REMEMBERED)

    def poll(self) -> Polled:
        """Return what is new since the last poll; raises what a search raises."""
        now_ns = self._clock.now_ns()
        found, is_cut = self._find(self._since_ns)
        self._since_ns = max(self._since_ns, now_ns - _OVERLAP_NS)
        events = []
        for summary in reversed(found):
            # Spans that came first were told under their trace's id, until their record came.
            before = self._told.get(summary.id) or self._told.pop(summary.trace_id, None)
            told = _what_is_told(summary)
            if before != told:
                self._told[summary.id] = told
                events.append(TailEvent("request" if before is None else "update", summary))
        return Polled(tuple(events), is_cut)


def _what_is_told(summary: Summary) -> tuple[object, ...]:
    """Return what has to change for a request to be told again."""
    return (summary.status, summary.duration_ns, summary.is_joined, summary.verdict)
