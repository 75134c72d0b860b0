"""
What the demo says while it works: one line a step, with the seconds it took.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

_TELL_INTERVAL_S = 3.0


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why and what to do."""


class Step:
    """A step under way. `notes` stand behind its time in the end."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.started = time.monotonic()
        self._told_at = self.started

    def tell(self, text: str) -> None:
        """Say how far it is, on a line of its own; not more often than every few seconds."""
        now = time.monotonic()
        if now - self._told_at >= _TELL_INTERVAL_S:
            self._told_at = now
            print(f"\n    {now - self.started:4.1f} s  {text}", end="", flush=True)

    @property
    def has_told(self) -> bool:
        """Whether the cursor stands behind such a line."""
        return self._told_at > self.started


def say(text: str = "") -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


@contextmanager
def step(text: str, done: str = "ready") -> Iterator[Step]:
    """Print *text* and dots, then how it went and how long it took."""
    print(f"  {text} … ", end="", flush=True)
    under_way = Step()
    try:
        yield under_way
    except BaseException:
        say("failed")
        raise
    note = f"  ({'; '.join(under_way.notes)})" if under_way.notes else ""
    lead = "\n  " if under_way.has_told else ""
    say(f"{lead}{done} in {time.monotonic() - under_way.started:.1f} s{note}")
