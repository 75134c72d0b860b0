"""A clock that moves when told to."""


class ManualClock:
    """Moments and durations as they were set."""

    def __init__(self, now_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_ns(self) -> int:
        return self._now_ns

    def advance(self, *, ns: int = 0, ms: int = 0, s: int = 0) -> None:
        self._now_ns += ns + ms * 1_000_000 + s * 1_000_000_000
