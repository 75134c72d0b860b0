"""
The line in which whole requests wait to be worked at, and who is refused for its length.

Work on one event loop comes one after the other, so what is more than it can do waits: unless told
otherwise in sockets that nobody has read, where it cannot be seen. (libuv accepts one connection,
and gRPC one call, each time the loop comes round: at four times the capacity requests were read
after ten seconds, and answered 0.4 s later.) So little is worked at in one go; then the loop looks
at all that has arrived meanwhile, and the line is here, where its length in seconds is known.

Senders take turns, by the bytes that they bring: one that sends too much waits for itself.

Source: P. Goyal, H. M. Vin, H. Cheng, Start-time Fair Queuing (1996); RFC 8290 and RFC 8289 for
flows that take turns and for a bound in time instead of one in requests.
"""

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from collector.errors import Congested
from collector.receive.body import Claim
from collector.telemetry import Metrics

# OpenTelemetry's SDKs give up after 10 s and send the same again, the Collector after 5: who would
# wait for longer than this is better told at once to come back
MOST_EXPECTED_S = 4.0
# who waits in spite of it because work has become slower: not any longer than this
MOST_WAIT_S = 5.0
# how fast work is done is known once there was a line for so long, and forgotten by halves. What
# was done within the last moments counts when it is more: a halt that is over says nothing
_KNOWN_AFTER_S = 0.5
_HALVED_AFTER_S = 2.0
_RECENT_S = 0.25
# what a request costs beside its bytes, in bytes
_REQUEST_BYTES = 2048
# worked at before the loop looks at what has arrived, and as much of a line whose rate is unknown
_SLICE_S = 0.05
_SLICE_BYTES = 128 * 1024
# looking ends when nothing came for a share of the time that the work took, and after a larger one
# in any case: it takes 30 % of all time at most
_QUIET_RATIO = 0.05
_LOOK_RATIO = 0.4
# uvloop counts in these
_TICK_S = 0.001
# begun and not answered, in each lane: more than this would be a line where it cannot be seen, on
# the way to the disk or before the thread for large requests
_BEGUN_BYTES = 4 * 1024 * 1024
# what is decoded on a thread has a lane of its own, so that small requests do not wait for it
_LARGE_BYTES = 512 * 1024
# the hint when to come back doubles after each of these while requests are refused. Exporters give
# up after a minute, so never longer than half of that
_RETRY_DOUBLES_S = 10.0
_RETRY_MOST_S = 15
_CALM_S = 10.0
# as many senders are remembered for the order of their turns although nothing of theirs waits
_MOST_SENDERS = 1024


@dataclass(slots=True)
class _Sender:
    """What waits of one sender, and the virtual time at which its next request may begin."""

    waiting: int = 0
    next_start: float = 0.0


@dataclass(slots=True, eq=False)
class _Waiter:
    """A request in the line; `turn` is cancelled when it has left it."""

    claim: Claim
    work: int
    sender: _Sender
    turn: asyncio.Future[None]


@dataclass(slots=True)
class _Lane:
    """The line of the small or of the large requests, by virtual start; `begun` in bytes."""

    line: list[tuple[float, int, _Waiter]] = field(default_factory=list)
    begun: int = 0

    def has_room(self, work: int) -> bool:
        return not self.begun or self.begun + work <= _BEGUN_BYTES

    def next_start(self) -> float | None:
        """Return the virtual start of the one that may begin now, if one may."""
        while self.line and self.line[0][2].turn.done():
            heapq.heappop(self.line)
        if self.line and self.has_room(self.line[0][2].work):
            return self.line[0][0]
        return None


class WorkQueue:
    """
    The line of one event loop. `check` before a body is read, `turn` around the work at it.

    *clock* tells seconds that only grow.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lanes = _Lane(), _Lane()
        self._senders: dict[Hashable, _Sender] = {}
        self._numbers = itertools.count()
        self._count = self._waiting = self._active = 0
        self._now = 0.0  # the virtual time: the start of what was begun last
        self._arrived = self._done = 0
        self._is_scheduled = self._is_looking = False
        # when work began since the loop came round, and how long it took before, since it looked
        self._began_s: float | None = None
        self._worked_s = self._came_s = self._looks_until_s = self._line_since_s = 0.0
        self._recent_done, self._recent_since_s, self._recent_per_s = 0, 0.0, 0.0
        self._refused_s = self._refuses_since_s = float("-inf")
        metrics.watch("hopline_receive_expected_wait_seconds", self.expected_s)

    def check(self, sender: Hashable) -> None:
        """
        Let a door refuse a request of *sender* that it has not read yet.

        Raises:
            Congested: its acknowledgement cannot be expected within `MOST_EXPECTED_S`. Retryable.
        """
        self._arrived += 1
        if self._count and (expected_s := self.expected_s(sender)) > MOST_EXPECTED_S:
            raise self._congested(f"{expected_s:.1f} s of work are waiting already")

    def expected_s(self, sender: Hashable = None) -> float:
        """
        Return how long one more request of *sender* would wait; 0 when that is not known.

        Those of one sender wait for each other and, as senders take turns, for as much of each of
        the others; never for more than all that waits. None: for all that waits.
        """
        lasted_s = self._clock() - self._line_since_s
        if not self._count or not self._done or lasted_s < _KNOWN_AFTER_S:
            return 0.0
        ahead = float(self._waiting)
        if sender is not None:
            known = self._senders.get(sender)
            own = self._waiting / self._count + (known.waiting if known else 0)
            ahead = min(ahead, own * (self._active + (not (known and known.waiting))))
        return ahead / max(self._done / lasted_s, self._recent_per_s)

    def turn(self, claim: Claim) -> "Turn":
        """Return the block in which the request that holds *claim*, now whole, is worked at."""
        return Turn(self, claim)

    async def enter(self, claim: Claim) -> tuple["_Lane", int]:
        """
        Wait for the turn of a request; `leave` with what is returned. Raises `Congested`.
        """
        work = claim.size + _REQUEST_BYTES
        lane = self._lanes[claim.size >= _LARGE_BYTES]
        if not self._count and lane.has_room(work) and self._may_begin():
            lane.begun += work
            return lane, work
        waiter = self._line_up(claim, work, lane)
        try:
            async with asyncio.timeout(MOST_WAIT_S):
                await waiter.turn
        except BaseException as exc:
            if waiter.turn.cancelled():
                self._forget(waiter)
            else:  # it was let go in the moment in which it gave up
                self.leave(lane, work)
            if not isinstance(exc, TimeoutError):
                raise
            raise self._congested(f"it was not worked at within {MOST_WAIT_S:g} s") from None
        return lane, work

    def leave(self, lane: "_Lane", work: int) -> None:
        """End the turn of a request: it is answered, or will never be."""
        lane.begun -= work
        if self._count:
            self._schedule()

    def _line_up(self, claim: Claim, work: int, lane: _Lane) -> _Waiter:
        if not self._count:
            self._line_since_s = self._recent_since_s = self._clock()
            self._done = self._recent_done = 0
            self._now = self._recent_per_s = 0.0
            self._senders.clear()
        elif len(self._senders) > _MOST_SENDERS + 2 * self._active:
            for key, each in list(self._senders.items()):
                if not each.waiting and each.next_start <= self._now:
                    del self._senders[key]
        sender = self._senders.get(claim.sender) or self._senders.setdefault(
            claim.sender, _Sender()
        )
        start = max(self._now, sender.next_start)
        sender.next_start = start + work
        waiter = _Waiter(claim, work, sender, asyncio.get_running_loop().create_future())
        heapq.heappush(lane.line, (start, next(self._numbers), waiter))
        self._active += not sender.waiting
        sender.waiting += work
        self._waiting += work
        self._count += 1
        claim.pause()
        self._schedule()
        return waiter

    def _forget(self, waiter: _Waiter) -> None:
        waiter.claim.resume()
        waiter.sender.waiting -= waiter.work
        self._active -= not waiter.sender.waiting
        self._waiting -= waiter.work
        self._count -= 1

    def _may_begin(self) -> bool:
        """Tell whether the slice is not used up, and count the time from now on."""
        if self._is_looking:
            return False
        now_s = self._clock()
        if self._began_s is None:
            self._began_s = now_s
            self._schedule()
        return self._worked_s + now_s - self._began_s < _SLICE_S

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._come_round)

    def _come_round(self) -> None:
        """
        Go on, each time the loop has come round: after a slice of work, look at what arrives.
        """
        self._is_scheduled = False
        now_s = self._clock()
        if self._began_s is not None:
            self._worked_s += now_s - self._began_s
            self._began_s = None
            if self._worked_s < _SLICE_S and not self._count:
                return
            self._is_looking = True
            self._looks_until_s = now_s + _LOOK_RATIO * self._worked_s
            self._came_s = now_s
        elif self._arrived:
            self._came_s = now_s
        self._arrived = 0
        until_s = min(self._came_s + _QUIET_RATIO * self._worked_s, self._looks_until_s)
        if now_s < until_s:
            self._is_scheduled = True
            pause_s = max(until_s - now_s, _TICK_S)
            asyncio.get_running_loop().call_later(pause_s, self._come_round)
            return
        self._is_looking = False
        self._worked_s = 0.0
        if self._count and self._let_go(now_s):
            self._schedule()

    def _let_go(self, now_s: float) -> bool:
        """Let a slice of the line begin; tell whether anybody did."""
        lasted_s = now_s - self._line_since_s
        room = _SLICE_BYTES
        if self._done and lasted_s >= _KNOWN_AFTER_S:
            room = int(self._done / lasted_s * _SLICE_S)
        before = self._count
        while room > 0 and (lane := self._next_lane()):
            self._now, _, waiter = heapq.heappop(lane.line)
            self._forget(waiter)
            lane.begun += waiter.work
            room -= waiter.work
            self._done += waiter.work
            self._recent_done += waiter.work
            waiter.turn.set_result(None)
        if self._count == before:
            return False
        self._began_s = now_s
        if (recent_s := now_s - self._recent_since_s) >= _RECENT_S:
            self._recent_per_s = self._recent_done / recent_s
            self._recent_done, self._recent_since_s = 0, now_s
        if lasted_s > _HALVED_AFTER_S:
            self._line_since_s += lasted_s / 2
            self._done //= 2
        return True

    def _next_lane(self) -> _Lane | None:
        """Return the lane of the one whose turn it is."""
        starts = [(start, lane) for lane in self._lanes if (start := lane.next_start()) is not None]
        return min(starts, key=lambda each: each[0])[1] if starts else None

    def _congested(self, why: str) -> Congested:
        now_s = self._clock()
        if now_s - self._refused_s > _CALM_S:
            self._refuses_since_s = now_s
        self._refused_s = now_s
        doubled = 2 << min(int((now_s - self._refuses_since_s) / _RETRY_DOUBLES_S), 10)
        least_s = min(doubled, _RETRY_MOST_S)
        return Congested(
            f"more comes than is worked at: {why}",
            hint="send less, or give Hopline more CPU and HOPLINE_INGEST_PROCESSES",
            # those who are refused together shall not come back together
            retry_after_s=random.randint(least_s, 2 * least_s),
        )


class Turn:
    """The work at one request, as a block. Raises `Congested` when its turn does not come."""

    def __init__(self, queue: WorkQueue, claim: Claim) -> None:
        self._queue = queue
        self._claim = claim

    async def __aenter__(self) -> Self:
        self._place = await self._queue.enter(self._claim)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        self._queue.leave(*self._place)
