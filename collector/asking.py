"""
One question that somebody waits for, and what ends it when nobody does any more.

The thread that answers carries it in its context; who works for that answer asks it whether to go
on, and leaves word of what has to be stopped.
"""

import contextvars
import itertools
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")
_numbers = itertools.count(1)
_current: contextvars.ContextVar["Asking | None"] = contextvars.ContextVar("asking", default=None)


class Asking:
    """A question under way. `id` is unlike that of any other process and question."""

    def __init__(self) -> None:
        self.id = f"hopline-{os.getpid()}-{next(_numbers)}"
        self.is_over = False
        self._stops: set[Callable[[str], None]] = set()

    def on_end(self, stop: Callable[[str], None]) -> None:
        """Have *stop* called with the id when nobody waits any more."""
        self._stops.add(stop)

    def end(self) -> None:
        """Stop what is under way; may be called again for what began meanwhile. Blocking."""
        self.is_over = True
        for stop in list(self._stops):
            stop(self.id)

    def run(self, ask: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call *ask* as part of this question."""

        def run_in_context() -> _T:
            _current.set(self)
            return ask(*args, **kwargs)

        return contextvars.copy_context().run(run_in_context)


def current_asking() -> Asking | None:
    """Return the question that this thread works for, if there is one."""
    return _current.get()


class AsideExecutor(ThreadPoolExecutor):
    """Threads that work for the question of the thread that hands them work."""

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> "Future[_T]":
        """Run *fn* in one of the threads."""
        asking = current_asking()
        if asking is None:
            return super().submit(fn, *args, **kwargs)
        return super().submit(asking.run, fn, *args, **kwargs)
