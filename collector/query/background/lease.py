"""
A piece of work that one of several processes does.
"""

from time import monotonic
from uuid import uuid4

from collector.store import Store
from collector.timestamps import NS_PER_S

_LASTS_S = 30.0


class Lease:
    """
    This process's claim to *work*. Not thread-safe.

    With the embedded engine there is nobody else, and the claim is good at once. Else another
    process takes over within a minute after the holder was last heard of.
    """

    def __init__(self, store: Store, work: str, *, lasts_s: float = _LASTS_S) -> None:
        self._store = store
        self._work = work
        self._name = uuid4().hex
        self._lasts_s = lasts_s
        self._renew_at_s = 0.0
        self._good_until_s = 0.0

    def is_held(self) -> bool:
        """Renew the claim, and tell whether it holds. Raises `StoreUnavailable`."""
        if self._store.is_embedded:
            return True
        now_s = monotonic()
        if now_s >= self._renew_at_s:
            held_ns = self._claim(self._lasts_s)
            self._renew_at_s = now_s + self._lasts_s / 3
            is_seen = held_ns is not None and held_ns >= self._lasts_s / 3.5 * NS_PER_S
            # a little before the others think so
            self._good_until_s = now_s + self._lasts_s * 0.8 if is_seen else 0.0
        return monotonic() < self._good_until_s

    def give_back(self) -> None:
        """Let another process go on at once. Raises `StoreUnavailable`."""
        if not self._store.is_embedded and self._renew_at_s:
            self._good_until_s = 0.0
            self._claim(0)

    def _claim(self, lasts_s: float) -> int | None:
        return self._store.claim(self._work, self._name, int(lasts_s * NS_PER_S))
