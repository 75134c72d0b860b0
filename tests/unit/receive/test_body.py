"""Admission and reading of bodies, without a socket."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from collector.errors import Overloaded, TooLarge, Undecodable
from collector.receive import body
from collector.receive.body import Admission, Claim, read_body
from collector.telemetry import Metrics

KIB = 1024


def chunks(*parts: bytes) -> Callable[[], Awaitable[dict[str, object]]]:
    """Return an ASGI receive function for a body that comes in *parts*."""
    waiting = list(parts)

    async def receive() -> dict[str, object]:
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    return receive


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def admission(metrics: Metrics) -> Admission:
    return Admission(100 * KIB, metrics)


async def test_claims_are_given_back(admission: Admission, metrics: Metrics) -> None:
    """What a request held is free again when its block is left, also by an error."""
    with pytest.raises(ValueError, match="oops"):
        async with admission.claim(40 * KIB):
            assert metrics.value("hopline_receive_inflight_bytes") == 40 * KIB
            raise ValueError("oops")
    assert metrics.value("hopline_receive_inflight_bytes") == 0


async def test_late_comers_wait_in_their_order(admission: Admission) -> None:
    """Those who find no room wait, and get it in the order in which they came."""
    order: list[str] = []

    async def hold(name: str, size: int) -> None:
        async with admission.claim(size):
            order.append(name)

    holder = Claim(admission)
    await holder.grow_to(90 * KIB)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hold("large", 80 * KIB))
        await asyncio.sleep(0)
        tasks.create_task(hold("small", 5 * KIB))
        await asyncio.sleep(0)
        assert order == []
        holder.release()
    assert order == ["large", "small"]


async def test_waiting_ends(admission: Admission, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no room comes free in time, the sender is told when to come back."""
    monkeypatch.setattr(body, "_CLAIM_WAIT_S", 0.01)
    async with admission.claim(90 * KIB):
        with pytest.raises(Overloaded) as refused:
            async with admission.claim(90 * KIB):
                pass
    assert refused.value.retry_after_s
    async with admission.claim(90 * KIB):
        pass


async def test_cancelled_waiter_leaves_the_queue(admission: Admission) -> None:
    """A sender that goes away while it waits does not block those behind it."""

    async def hold() -> None:
        async with admission.claim(90 * KIB):
            pass

    async with admission.claim(90 * KIB):
        gone = asyncio.create_task(hold())
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        async with admission.claim(5 * KIB):
            pass


async def test_request_larger_than_everything_is_let_in_alone(admission: Admission) -> None:
    """A single request above the limit must not wait for ever."""
    async with admission.claim(None) as claim:
        await claim.grow_to(2_000 * KIB)


async def test_body_of_several_chunks(admission: Admission) -> None:
    """The chunks of a body are put together in order."""
    async with admission.claim(None) as claim:
        assert await read_body(chunks(b"ab", b"", b"cd"), claim, None, 10) == b"abcd"


async def test_body_above_the_cap(admission: Admission) -> None:
    """Reading stops at the cap; an announced size is not even read."""
    async with admission.claim(None) as claim:
        with pytest.raises(TooLarge):
            await read_body(chunks(b"abc", b"def"), claim, None, 5)
        with pytest.raises(TooLarge):
            await read_body(chunks(), claim, 6, 5)


async def test_disconnect(admission: Admission) -> None:
    """A sender that goes away in the middle has sent nothing."""

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async with admission.claim(None) as claim:
        with pytest.raises(Undecodable):
            await read_body(receive, claim, None, 10)


async def test_slow_sender(admission: Admission, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that never ends is given up."""
    monkeypatch.setattr(body, "_READ_GRACE_S", 0.01)

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    async with admission.claim(None) as claim:
        with pytest.raises(Undecodable):
            await read_body(receive, claim, 10, 10)
