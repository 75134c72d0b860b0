"""What was accepted lately is known again, in this process and in those that share its memory."""

from collector.model import Receipt, RecordError
from collector.resends import Resends, SharedResends

NS = 1_000_000_000
ALL_TAKEN = Receipt(20, 0)


def neighbours(most: int = 64) -> tuple[Resends, Resends]:
    """Return the memories of two processes."""
    memory = bytearray(SharedResends.size_of(most))
    one, other = (Resends(3600, most, SharedResends(memoryview(memory))) for _ in "12")
    return one, other


def test_what_one_process_accepted_the_other_knows() -> None:
    """A sender that lost the answer of one process gets the same one from the next."""
    one, other = neighbours()
    one.add(-7, ALL_TAKEN, 5 * NS)
    assert other.find(-7, 6 * NS) == one.find(-7, 6 * NS) == ALL_TAKEN
    assert other.find(7, 6 * NS) is None


def test_beyond_the_window_neither_knows() -> None:
    """The shared memory forgets after as long as a process does by itself."""
    one, other = neighbours()
    one.add(7, ALL_TAKEN, 5 * NS)
    assert other.find(7, 3604 * NS) == ALL_TAKEN
    assert other.find(7, 3606 * NS) is None


def test_what_was_told_to_the_sender_stays_where_it_was_told() -> None:
    """A receipt that says what was rejected is not shared: no process makes one up."""
    one, other = neighbours()
    told = Receipt(19, 1, (RecordError(3, "span 3 has no id"),))
    one.add(7, told, 5 * NS)
    assert one.find(7, 6 * NS) == told
    assert other.find(7, 6 * NS) is None


def test_the_oldest_are_forgotten_first() -> None:
    """The memory is bounded, and what came last is in it."""
    one, other = neighbours(most=4)
    for number in range(1, 8):
        one.add(number, ALL_TAKEN, number * NS)
    known = [number for number in range(1, 8) if other.find(number, 8 * NS)]
    assert known == [4, 5, 6, 7]


def test_window_of_zero_shares_nothing() -> None:
    """With the window off, every request is another one."""
    memory = memoryview(bytearray(SharedResends.size_of(8)))
    one = Resends(0, 8, SharedResends(memory))
    one.add(7, ALL_TAKEN, 5 * NS)
    assert one.find(7, 5 * NS) is None
