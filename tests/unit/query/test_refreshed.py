"""What is refreshed in the background: never waited for twice, never lost to an error."""

import threading
from collections.abc import Iterator

import pytest

from collector.errors import StoreUnavailable
from collector.query.refreshed import Refreshed
from tests.manual_clock import ManualClock

EVERY_NS = 10
Counted = tuple[Refreshed[int], ManualClock, list[int]]


@pytest.fixture
def counted() -> Iterator[Counted]:
    clock = ManualClock(1_000)
    reads: list[int] = []

    def read(now_ns: int) -> int:
        reads.append(now_ns)
        return len(reads)

    refreshed = Refreshed("a number", read, clock, every_ns=EVERY_NS)
    yield refreshed, clock, reads
    refreshed.close()


def test_the_first_value_is_waited_for_and_kept(counted: Counted) -> None:
    """Who asks first reads; who asks again at once does not."""
    refreshed, _, reads = counted
    assert [refreshed.get(), refreshed.get(), refreshed.get_fresh()] == [1, 1, 1]
    assert reads == [1_000]


def test_an_old_value_is_given_while_the_next_is_read(counted: Counted) -> None:
    """Nobody waits for a refresh: the old value is the answer, the new one comes after it."""
    refreshed, clock, reads = counted
    refreshed.get()
    clock.advance(ns=EVERY_NS + 1)
    assert refreshed.get() == 1
    refreshed.close()
    assert refreshed.get() == 2
    assert reads == [1_000, 1_011]


def test_what_must_be_fresh_is_read_at_once(counted: Counted) -> None:
    """A report reads an old value anew before it answers."""
    refreshed, clock, _ = counted
    refreshed.get()
    clock.advance(ns=EVERY_NS + 1)
    assert refreshed.get_fresh() == 2


def test_peeking_never_waits(counted: Counted) -> None:
    """Without a first value there is none; it is there for the next one who looks."""
    refreshed, _, _ = counted
    assert refreshed.peek() is None
    refreshed.close()
    assert refreshed.peek() == 1


@pytest.mark.parametrize("error", [StoreUnavailable("the store is down"), RecursionError("deep")])
def test_an_error_in_the_background_keeps_what_was_known(error: Exception) -> None:
    """A store that is down for a while, or an error of ours, costs freshness and no answer."""
    clock = ManualClock(0)
    is_down = threading.Event()

    def read(_: int) -> str:
        if is_down.is_set():
            raise error
        return "known"

    refreshed = Refreshed("a word", read, clock, every_ns=EVERY_NS)
    assert refreshed.get() == "known"
    is_down.set()
    clock.advance(ns=EVERY_NS + 1)
    assert refreshed.get() == "known"
    refreshed.close()
    assert refreshed.peek() == "known"
    with pytest.raises(type(error)):
        refreshed.read()
    refreshed.close()


def test_what_is_wanted_now_is_read_each_time(counted: Counted) -> None:
    """One who asks after another gets a value of their own, however young the one before is."""
    refreshed, _, _ = counted
    assert [refreshed.read_within(30.0) for _ in range(3)] == [1, 2, 3]


def test_a_read_that_takes_long_is_not_waited_for() -> None:
    """The value before is given, all who ask share one read, and its value is the next one."""
    go_on = threading.Event()
    reads: list[int] = []

    def read(now_ns: int) -> int:
        reads.append(now_ns)
        assert len(reads) == 1 or go_on.wait(30.0)
        return len(reads)

    refreshed = Refreshed("a number", read, ManualClock(1_000), every_ns=EVERY_NS)
    assert refreshed.get() == 1
    assert [refreshed.read_within(0.01) for _ in range(3)] == [1, 1, 1]
    assert len(reads) == 2
    go_on.set()
    refreshed.close()
    assert refreshed.get() == 2


def test_an_error_of_a_read_now_is_met_by_who_asks() -> None:
    """It is neither swallowed nor covered by what was known."""
    errors: list[StoreUnavailable | TimeoutError] = []

    def read(_: int) -> int:
        if errors:
            raise errors[0]
        return 1

    refreshed = Refreshed("a number", read, ManualClock(1_000), every_ns=EVERY_NS)
    assert refreshed.read_within(30.0) == 1
    errors.append(StoreUnavailable("gone"))
    with pytest.raises(StoreUnavailable, match="gone"):
        refreshed.read_within(30.0)
    errors[0] = TimeoutError("its own")
    with pytest.raises(TimeoutError, match="its own"):
        refreshed.read_within(30.0)
    errors.clear()
    assert refreshed.read_within(30.0) == 1
