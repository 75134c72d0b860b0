"""
Names as people write them: `Orders-API` for the API `orders-api`.

In: the pairs of a query string. Out: the pairs with such names as records and spans have them, and
a sentence for each that was read so. Filters compare names exactly: what is there as it was asked
for is never read as something else, and the rest costs no second index.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from cachetools import TTLCache

from collector.answers import Answer
from collector.clock import Clock
from collector.model import Stream
from collector.query.learned.freshness import Freshness
from collector.query.search.filters import parse_range
from collector.store import Store
from collector.timestamps import NS_PER_MIN

_Answer = TypeVar("_Answer", bound=Answer)
Pairs = Iterable[tuple[str, str]]
# Filters that are names, and what they are called in a sentence.
_NAMED = {
    "gateway": "gateway",
    "api": "API",
    "operation": "operation",
    "consumer": "consumer",
    "service": "service",
}
_MAX_NAME = 512
# the filters of what requests are compared with
_INNER = "baseline"
# A page asks for the same names again and again: those that are there as they are asked for are
# looked up once a minute, whatever the range.
_KEPT_NAMES, _KEPT_NS = 1_000, NS_PER_MIN


class Spelling:
    """Reads names that only differ in case from those that are known. Thread-safe."""

    def __init__(self, store: Store, clock: Clock, freshness: Freshness) -> None:
        self._store = store
        self._clock = clock
        self._freshness = freshness
        self._lock = threading.Lock()
        self._as_asked: TTLCache[tuple[str, str], bool] = TTLCache(
            _KEPT_NAMES, ttl=_KEPT_NS, timer=clock.now_ns
        )

    def answer(self, pairs: Pairs, ask: Callable[[Pairs], _Answer]) -> _Answer:
        """Return the answer to *pairs* with names as they are known, with a note of each."""
        read, note = self.read(pairs)
        found = ask(read)
        if note and hasattr(found, "note"):
            noted: Any = found
            found = replace(noted, note=f"{note} {noted.note}".strip())
        return found

    def read(self, pairs: Pairs) -> tuple[list[tuple[str, str]], str]:
        """
        Return *pairs* with names as they are known, and what to say about those that were not.

        Raises:
            BadQuestion: a name is given, and the range that it is looked for in is none.
        """
        given = list(pairs)
        inner = [parse_qsl(text) if name == _INNER else [] for name, text in given]
        if not any(map(_is_named, (pair for each in (given, *inner) for pair in each))):
            return given, ""
        texts = {name: text.strip() for name, text in given if text.strip()}
        within = parse_range(texts, self._clock.now_ns())
        notes: list[str] = []
        read = [(name, self._read(name, text, within, notes)) for name, text in given]
        for index, pairs_inside in enumerate(inner):
            if any(map(_is_named, pairs_inside)):
                texts_inside = [(k, self._read(k, v, within, notes)) for k, v in pairs_inside]
                read[index] = (_INNER, urlencode(texts_inside))
        return read, " ".join(dict.fromkeys(notes))

    def _read(self, name: str, text: str, within: tuple[int, int], notes: list[str]) -> str:
        """Return a parameter's text, a name as it is known; say in *notes* that it was not."""
        asked = text.strip()
        if not _is_named((name, text)) or len(asked) > _MAX_NAME or "\x00" in asked:
            return text
        with self._lock:
            if (name, asked) in self._as_asked:
                return text
        known = self._find(name, asked, *within)
        if asked in known:
            with self._lock:
                self._as_asked[name, asked] = True
        if asked in known or not known:
            return text
        notes.append(_tell(_NAMED[name], asked, known))
        return known[0]

    def _find(self, name: str, asked: str, start_ns: int, end_ns: int) -> list[str]:
        """Return the spellings of a name, likeliest first; if it is there as *asked* that one."""
        if name != "service":
            return self._store.find_spellings(name, asked, start_ns, end_ns)
        known = self._freshness.names(Stream.TRACE)
        alike = [each for each in known if each.lower() == asked.lower()]
        # a hop may be of what sends no spans, and have a name like one that does
        if asked in alike or (alike and self._store.has_hop_of(asked, start_ns, end_ns)):
            return [asked]
        return sorted(alike)


def _is_named(pair: tuple[str, str]) -> bool:
    return pair[0] in _NAMED and bool(pair[1].strip())


def _tell(kind: str, asked: str, known: list[str]) -> str:
    others = f" (and {', '.join(known[1:])})" if known[1:] else ""
    return f"There is no {kind} {asked}; there is {known[0]}, which was asked for{others}."
