"""
Time, as a value that is passed in.

Inside Hopline a moment is an `int` of Unix nanoseconds UTC; RFC 3339 exists at the API only.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """What the time is. Durations are measured with `monotonic_ns`, moments with `now_ns`."""

    def now_ns(self) -> int: ...

    def monotonic_ns(self) -> int: ...


class SystemClock:
    """The machine's own clock."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


class ManualClock:
    """A clock that moves when told to; for tests and for replaying the past."""

    def __init__(self, now_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_ns(self) -> int:
        return self._now_ns

    def advance(self, *, ns: int = 0, ms: int = 0, s: int = 0) -> None:
        self._now_ns += ns + ms * 1_000_000 + s * 1_000_000_000
