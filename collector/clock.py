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
