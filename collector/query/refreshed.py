"""
A value that is read again in the background once it is older than it may be.

In: a way to read it. Out: what is known, a while old at most as long as somebody keeps asking.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from collector.clock import Clock
from collector.errors import CollectorError

_T = TypeVar("_T")
# A value that is dear to read is read more rarely, so that it takes a tenth of the time at most.
_REST_TIMES = 10
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known(Generic[_T]):
    value: _T
    read_ns: int
    took_ns: int


class Refreshed(Generic[_T]):
    """
    Keeps what *read* returned last. Thread-safe.

    *read* is given the present moment; it may raise what the store raises. *what* names the value
    in the log when reading it in the background fails: what was known stays in use then, and
    whoever needs a first value meets the same error.
    """

    def __init__(
        self, what: str, read: Callable[[int], _T], clock: Clock, *, every_ns: int
    ) -> None:
        self._what = what
        self._read = read
        self._clock = clock
        self._every_ns = every_ns
        self._starting = threading.Lock()
        self._reading = threading.Lock()
        self._known: _Known[_T] | None = None
        self._refresher: threading.Thread | None = None
        self._wanted: Future[_T] | None = None

    def get(self) -> _T:
        """Return what is known; waits only for the very first value."""
        known = self._known
        if known is None:
            return self.read()
        self._refresh_if_old()
        return known.value

    def peek(self) -> _T | None:
        """Return what is known, `None` before the first value is there; never waits."""
        known = self._known
        self._refresh_if_old()
        return None if known is None else known.value

    def get_fresh(self) -> _T:
        """Return a value that is not too old, reading it now if need be."""
        known = self._known
        return self.read() if known is None or self._is_old(known) else known.value

    def read(self) -> _T:
        """Read the value now."""
        with self._reading:
            now_ns = self._clock.now_ns()
            value = self._read(now_ns)
            known = self._known = _Known(value, now_ns, self._clock.now_ns() - now_ns)
        return known.value

    def read_within(self, limit_s: float) -> _T:
        """
        Read the value now; where that takes longer, return what is known and go on reading.

        Who asks meanwhile waits for the same read, so that there is one at most. The very first
        value takes as long as it takes.
        """
        known = self._known
        if known is None:
            return self.read()
        with self._starting:
            if self._wanted is None or self._wanted.done():
                self._wanted = Future()
                thread = threading.Thread(
                    target=self._read_into, args=(self._wanted,), name=self._what
                )
                thread.start()
            wanted = self._wanted
        try:
            return wanted.result(limit_s)
        except TimeoutError:
            if wanted.done():  # the read itself raised it
                raise
            return known.value

    def _read_into(self, wanted: "Future[_T]") -> None:
        try:
            wanted.set_result(self.read())
        except Exception as exc:  # noqa: BLE001 it is whoever waits that meets it
            wanted.set_exception(exc)

    def close(self) -> None:
        """Wait for a read that is under way; what it reads from may be closed afterwards."""
        refresher, wanted = self._refresher, self._wanted
        if refresher is not None:
            refresher.join()
        if wanted is not None:
            wanted.exception()

    def _is_old(self, known: _Known[_T]) -> bool:
        least_ns = max(self._every_ns, known.took_ns * _REST_TIMES)
        return self._clock.now_ns() - known.read_ns > least_ns

    def _refresh_if_old(self) -> None:
        known = self._known
        if (known is None or self._is_old(known)) and self._starting.acquire(blocking=False):
            try:
                if self._refresher is None or not self._refresher.is_alive():
                    self._refresher = threading.Thread(target=self._refresh, name=self._what)
                    self._refresher.start()
            finally:
                self._starting.release()

    def _refresh(self) -> None:
        try:
            self.read()
        except CollectorError as error:
            _LOG.warning("cannot read %s: %s", self._what, error.message)
        except Exception:
            _LOG.exception("cannot read %s", self._what)
