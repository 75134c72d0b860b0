"""The line of requests: who waits, for how long, and who is refused; in virtual time."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import Congested
from collector.receive.body import Admission
from collector.receive.work_queue import MOST_EXPECTED_S, MOST_WAIT_S, WorkQueue
from collector.telemetry import Metrics

KIB = 1024
MIB = 1024 * KIB
ROUND_S = 100e-6
# what passes until the loop looks at its timers again
SLICE_S = 0.1


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes by itself while it waits, and by `work` while it does not."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def select_later(timeout: float | None) -> object:
            assert timeout is not None, "everybody waits, and nothing will happen"
            self.now_s += max(timeout, ROUND_S)
            return select(0)

        self._selector.select = select_later  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.now_s

    def work(self, seconds: float) -> None:
        """Let time pass in which the loop does not come round."""
        self.now_s += seconds


@dataclass
class Scene:
    """A queue under load. `waited_s` of those that were worked at, `refused_s` of the others."""

    loop: VirtualLoop
    cost_s: float = 0.025
    waited_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: dict[str, list[Congested]] = field(default_factory=lambda: defaultdict(list))
    refused_s: list[float] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.queue = WorkQueue(self.metrics, lambda: self.loop.now_s)
        self.admission = Admission(1024 * MIB, self.metrics)

    async def send(
        self, sender: str = "one", size: int = 50 * KIB, arrived_s: float | None = None
    ) -> None:
        """Send a request that takes `cost_s` of the loop's time and 20 ms of the disk's."""
        arrived_s = self.loop.now_s if arrived_s is None else arrived_s
        try:
            self.queue.check(sender)
            async with self.admission.claim(sender) as claim:
                await claim.grow_to(size)
                async with self.queue.turn(claim):
                    self.waited_s[sender].append(self.loop.now_s - arrived_s)
                    self.begun.append(sender)
                    self.loop.work(self.cost_s)
                    await asyncio.sleep(0.02)
        except Congested as exc:
            self.refused[sender].append(exc)
            self.refused_s.append(self.loop.now_s - arrived_s)

    async def offer(
        self, per_s: float, lasts_s: float, sender: str = "one", senders: int = 1
    ) -> None:
        """
        Send so many requests a second, answered or not, and wait until all are answered.

        With several *senders* of one name, each sends in its turn.
        """
        async with asyncio.TaskGroup() as group:
            began_s, sent = self.loop.now_s, 0
            while (passed_s := self.loop.now_s - began_s) < lasts_s:
                while sent < per_s * passed_s:
                    name = f"{sender} {sent % senders}" if senders > 1 else sender
                    group.create_task(self.send(name))
                    sent += 1
                await asyncio.sleep(1 / per_s)

    async def offer_unseen(self, per_s: float, lasts_s: float) -> None:
        """Send as many, of which the loop sees one each time it comes round, as in a real one."""
        loop = self.loop
        began_s, sent, accepted = loop.now_s, 0, 0
        async with asyncio.TaskGroup() as group:
            while accepted < sent or loop.now_s - began_s < lasts_s:
                sent = int(per_s * min(loop.now_s - began_s, lasts_s))
                if accepted < sent:
                    group.create_task(self.send(arrived_s=began_s + accepted / per_s))
                    accepted += 1
                    await asyncio.sleep(0)
                else:
                    await asyncio.sleep(0.001)


def run(play: Callable[[Scene], Awaitable[None]]) -> Scene:
    """Play in virtual time."""

    async def with_scene() -> Scene:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        scene = Scene(loop)
        await play(scene)
        return scene

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(with_scene())


def test_half_of_the_capacity_waits_for_nobody() -> None:
    """At 20 requests a second of 40 nobody is refused, and nobody waits for longer than for two."""
    scene = run(lambda scene: scene.offer(20, 20))
    assert not scene.refused
    assert len(scene.waited_s["one"]) >= 399
    assert max(scene.waited_s["one"]) < 0.05


def test_burst_that_is_worked_off_in_time_is_taken() -> None:
    """A hundred and twenty requests at once, three seconds of work, are all taken."""

    async def play(scene: Scene) -> None:
        await asyncio.gather(*(scene.send() for _ in range(120)))

    scene = run(play)
    assert not scene.refused
    assert 2.5 < max(scene.waited_s["one"]) < 3.5


def test_halt_that_is_over_refuses_nobody() -> None:
    """When nothing went on for two seconds, what came meanwhile and comes afterwards is taken."""

    async def play(scene: Scene) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(scene.offer(20, 10))
            await asyncio.sleep(1.01)
            scene.loop.work(2)

    scene = run(play)
    assert not scene.refused
    assert len(scene.waited_s["one"]) >= 199


@pytest.mark.parametrize("times", [1.5, 4, 10])
def test_overload_is_refused_early(times: float) -> None:
    """Above the capacity whoever is taken waits 5 s at most, the rest is told at once."""
    scene = run(lambda scene: scene.offer(40 * times, 20))
    _check_bounds(scene, 20)


def test_overload_that_waits_where_it_cannot_be_seen_is_refused_early() -> None:
    """It is the same when the loop sees one request each time it comes round."""
    scene = run(lambda scene: scene.offer_unseen(160, 10))
    _check_bounds(scene, 10)


def _check_bounds(scene: Scene, lasts_s: float) -> None:
    taken, refused_s = scene.waited_s["one"], sorted(scene.refused_s)
    assert len(taken) > 0.7 * 40 * lasts_s
    assert max(taken) <= MOST_WAIT_S + SLICE_S
    assert sum(wait_s < MOST_EXPECTED_S * 1.1 for wait_s in taken) > 0.95 * len(taken)
    assert refused_s[len(refused_s) * 99 // 100] < 0.2


def test_who_sends_little_does_not_wait_for_who_sends_much() -> None:
    """Beside a flood, one request at a time of somebody else waits for a few of the flood's."""

    async def play(scene: Scene) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(scene.offer(160, 20, "flood"))
            group.create_task(scene.offer(2, 20, "polite"))

    scene = run(play)
    assert len(scene.waited_s["polite"]) >= 39
    assert not scene.refused["polite"]
    assert max(scene.waited_s["polite"]) < 0.2
    assert len(scene.refused["flood"]) > 2_000


def test_too_many_who_send_little_are_refused_too() -> None:
    """Of two thousand senders of one request each, those that would wait too long are told."""
    scene = run(lambda scene: scene.offer(200, 10, senders=2_000))
    assert max(itertools.chain(*scene.waited_s.values())) <= MOST_WAIT_S + SLICE_S
    assert len(scene.waited_s) > 0.9 * 40 * 10
    assert len(scene.refused) > 1_000


def test_senders_take_turns_by_bytes() -> None:
    """Of two that send more than there is room for, one by large requests, each gets a half."""

    async def play(scene: Scene) -> None:
        scene.cost_s = 0.005
        for _ in range(400):
            scene.loop.create_task(scene.send("small", 20 * KIB))
        for _ in range(40):
            scene.loop.create_task(scene.send("large", 200 * KIB))
        while len(scene.begun) < 440:
            await asyncio.sleep(0.01)

    begun = run(play).begun[40:240]
    assert 15 <= begun.count("large") <= 24


def test_large_requests_hold_no_small_one_up() -> None:
    """While large requests that wait for their thread fill their lane, small ones go on."""

    async def play(scene: Scene) -> None:
        async def large() -> None:
            async with scene.admission.claim("large") as claim:
                await claim.grow_to(MIB)
                async with scene.queue.turn(claim):
                    await asyncio.sleep(0.5)

        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(large())
            await asyncio.sleep(0.1)
            await scene.offer(20, 1, "small")

    assert max(run(play).waited_s["small"]) < 0.1


def test_hint_grows_and_differs() -> None:
    """Who is refused is told to come back after 2 to 4 s, after 15 to 30 when that goes on."""
    scene = run(lambda scene: scene.offer(160, 45))
    hints = [error.retry_after_s or 0 for error in scene.refused["one"]]
    assert set(hints[:200]) == {2, 3, 4}
    assert set(hints[-500:]) == set(range(15, 31))


def test_hint_is_short_again_after_a_calm() -> None:
    """A quarter of a minute after the last refusal the hints begin anew."""

    async def play(scene: Scene) -> None:
        await scene.offer(160, 30)
        scene.refused.clear()
        await asyncio.sleep(15)
        await scene.offer(160, 5)

    assert {error.retry_after_s for error in run(play).refused["one"]} == {2, 3, 4}


def test_line_that_stands_still_is_told() -> None:
    """When nothing is answered, as on a disk that hangs, who waits is refused after 5 s."""

    async def play(scene: Scene) -> None:
        hang = asyncio.Event()

        async def stuck() -> None:
            async with scene.admission.claim("one") as claim:
                await claim.grow_to(100 * KIB)
                async with scene.queue.turn(claim):
                    await hang.wait()

        stalled = [scene.loop.create_task(stuck()) for _ in range(60)]
        await asyncio.sleep(0.1)
        began_s = scene.loop.now_s
        await asyncio.gather(scene.send(), return_exceptions=True)
        assert scene.loop.now_s - began_s == pytest.approx(MOST_WAIT_S, abs=0.1)
        hang.set()
        await asyncio.gather(*stalled, return_exceptions=True)
        await scene.send("later")

    scene = run(play)
    assert len(scene.refused["one"]) == 1
    assert scene.waited_s["later"] == [pytest.approx(0, abs=0.01)]


def test_wait_is_shown() -> None:
    """The gauge tells how much work waits, and nothing once all is done."""
    seen: list[float] = []

    async def play(scene: Scene) -> None:
        sending = scene.loop.create_task(scene.offer(160, 3))
        await asyncio.sleep(1.2)
        seen.append(scene.metrics.value("hopline_receive_expected_wait_seconds"))
        await sending
        seen.append(scene.metrics.value("hopline_receive_expected_wait_seconds"))

    run(play)
    assert 2 < seen[0] < 4.5
    assert seen[1] == 0


_REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 2 * MIB),
        st.floats(0, 0.3),  # arrives so long after the one before
        st.floats(0, 0.2),  # takes so long of the loop
        st.none() | st.floats(0, 1),  # its sender goes away after so long
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(_REQUESTS)
def test_nobody_is_forgotten(requests: list[tuple[str, int, float, float, float | None]]) -> None:
    """Each is worked at or told, in its sender's order, whoever goes away; nothing is left over."""

    async def play(scene: Scene) -> None:
        lanes: dict[tuple[str, bool], list[int]] = defaultdict(list)

        async def send(number: int, sender: str, size: int, cost_s: float) -> None:
            with suppress(Congested):
                async with scene.admission.claim(sender) as claim:
                    await claim.grow_to(size)
                    async with scene.queue.turn(claim):
                        lanes[sender, size >= 512 * KIB].append(number)
                        scene.loop.work(cost_s)
                        await asyncio.sleep(0.01)

        tasks: list[asyncio.Task[None]] = []
        for number, (sender, size, after_s, cost_s, leaves_s) in enumerate(requests):
            await asyncio.sleep(after_s)
            tasks.append(scene.loop.create_task(send(number, sender, size, cost_s)))
            if leaves_s is not None:
                scene.loop.call_later(leaves_s, tasks[-1].cancel)
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        assert all(numbers == sorted(numbers) for numbers in lanes.values())
        assert scene.metrics.value("hopline_receive_inflight_bytes") == 0
        assert scene.metrics.value("hopline_receive_expected_wait_seconds") == 0
        # nothing is left that the next one would wait for, once the loop has looked
        await asyncio.sleep(1)
        await scene.send("next")
        assert scene.waited_s["next"] == [pytest.approx(0, abs=0.001)]

    run(play)
