"""
What the demo says while it works: one line a step, with the seconds it took.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class DemoError(RuntimeError):
    """The demo can not go on; the message says why and what to do."""


def say(text: str = "") -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


@contextmanager
def step(text: str, done: str = "ready") -> Iterator[list[str]]:
    """
    Print *text* and dots, then how it went and how long it took.

    What the block appends to the list stands behind the time.
    """
    started = time.monotonic()
    print(f"  {text} … ", end="", flush=True)
    notes: list[str] = []
    try:
        yield notes
    except BaseException:
        say("failed")
        raise
    note = f"  ({'; '.join(notes)})" if notes else ""
    say(f"{done} in {time.monotonic() - started:.1f} s{note}")
