"""Waiting for the demo's timelines: no longer than it can help."""

from typing import Any

from collector.demo import traffic
from collector.demo.traffic import Sent
from collector.demo.waiting import wait_until_whole
from tests.unit.demo.test_checks import BOTH, TRACE_ID, timeline

OFFERS = [Sent(traffic.OFFERS, name, TRACE_ID, 200, 1.0) for name in ("first", "second")]
WHOLE = timeline(BOTH[0])
UNJOINED = timeline()


class _World:
    """Answers that change with time, and time that passes only in pauses."""

    def __init__(self, answers: dict[str, dict[float, Any]]) -> None:
        self.time = 0.0
        self.told: list[str] = []
        self._answers = answers

    def ask(self, request_id: str) -> Any:
        """Return the newest answer that is not in the future."""
        past = [answer for at, answer in self._answers[request_id].items() if at <= self.time]
        return past[-1] if past else None

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds

    def wait(self) -> dict[str, Any]:
        """Wait with a deadline of 60 s and a patience of 10 s."""
        return wait_until_whole(
            OFFERS,
            self.ask,
            deadline=60,
            patience_s=10,
            tell=self.told.append,
            now=lambda: self.time,
            pause=self.pause,
        )


def test_ends_with_the_last_request_that_gets_whole() -> None:
    """Late records are waited for, and not a moment longer."""
    world = _World({"first": {0: WHOLE}, "second": {3: UNJOINED, 8: WHOLE}})
    assert world.wait() == {"first": WHOLE, "second": WHOLE}
    assert world.time == 8
    assert world.told[0] == "1 of 2 timelines are whole"
    assert world.told[-1] == "2 of 2 timelines are whole"


def test_gives_up_on_what_does_not_get_better() -> None:
    """A timeline that stays wrong ends the wait when patience does, not at the deadline."""
    world = _World({"first": {0: WHOLE}, "second": {5: UNJOINED}})
    assert world.wait() == {"first": WHOLE, "second": UNJOINED}
    assert 14 < world.time < 16


def test_waits_for_a_missing_record_until_the_deadline() -> None:
    """A record that never arrives may still be late: the deadline decides."""
    world = _World({"first": {0: WHOLE}, "second": {}})
    assert world.wait() == {"first": WHOLE}
    assert world.time == 60
