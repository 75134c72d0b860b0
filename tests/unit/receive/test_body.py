"""Admission and reading of bodies, without a socket."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import Overloaded, TooLarge, TooSlow, Undecodable
from collector.receive import body
from collector.receive.body import Admission, Claim, inflate, read_body
from collector.telemetry import Metrics

KIB = 1024
MIB = 1024 * KIB


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


async def hold(admission: Admission, size: int, sender: str = "") -> Claim:
    """Return a claim that holds so much."""
    claim = admission.claim(sender)
    await claim.grow_to(size)
    return claim


async def test_claims_are_given_back(admission: Admission, metrics: Metrics) -> None:
    """What a request held is free again when its block is left, also by an error."""
    with pytest.raises(ValueError, match="oops"):
        async with admission.claim() as claim:
            await claim.grow_to(40 * KIB)
            assert metrics.value("hopline_receive_inflight_bytes") == 40 * KIB
            raise ValueError("oops")
    assert metrics.value("hopline_receive_inflight_bytes") == 0


async def test_silent_requests_hold_nothing(admission: Admission) -> None:
    """Requests of which nothing has come yet leave all the room to others."""
    silent = [admission.claim("a") for _ in range(1000)]
    await hold(admission, 40 * KIB, "a")
    assert not any(claim.size for claim in silent)


async def test_late_comers_wait_in_their_order(admission: Admission) -> None:
    """Those who find no room wait, and get it in the order in which their requests began."""
    order: list[str] = []

    async def take(name: str, claim: Claim, size: int) -> None:
        await claim.grow_to(size)
        order.append(name)
        claim.release()

    first, second = admission.claim(), admission.claim()
    holder = await hold(admission, 45 * KIB)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(take("second", second, 30 * KIB))
        await asyncio.sleep(0)
        tasks.create_task(take("first", first, 40 * KIB))
        await asyncio.sleep(0)
        assert order == []
        holder.release()
    assert order == ["first", "second"]


async def test_one_sender_gets_half(admission: Admission, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much one sender sends at once, half of the room is left to the others."""
    monkeypatch.setattr(body, "_CLAIM_WAIT_S", 0.01)
    await hold(admission, 30 * KIB, "greedy")
    await hold(admission, 20 * KIB, "greedy")
    with pytest.raises(Overloaded):
        await hold(admission, KIB, "greedy")
    await hold(admission, 50 * KIB, "modest")


async def test_small_requests_have_room_of_their_own(metrics: Metrics) -> None:
    """An eighth of the room is for small requests, whatever the large ones hold and wait for."""
    admission = Admission(8 * MIB, metrics)
    large = [await hold(admission, size, str(size)) for size in (4 * MIB, 3 * MIB - 1)]
    waiting = asyncio.create_task(hold(admission, MIB, "late"))
    await asyncio.sleep(0)
    await hold(admission, 100 * KIB, "small")
    assert not waiting.done()
    large[0].release()
    await waiting


async def test_large_requests_do_not_block_each_other(admission: Admission) -> None:
    """Of requests that hold all the room and need more, the first goes on, then the next."""
    claims = [await hold(admission, 15 * KIB, str(number)) for number in range(6)]
    ends: list[int] = []

    async def finish(number: int) -> None:
        await claims[number].grow_to(40 * KIB)
        ends.append(number)
        claims[number].release()

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for number in (3, 1, 0, 2, 5, 4):
            tasks.create_task(finish(number))
    assert sorted(ends) == [0, 1, 2, 3, 4, 5]


async def test_large_requests_of_one_sender_do_not_block_each_other(admission: Admission) -> None:
    """The same within the share of one sender, while another holds something and stands still."""
    await hold(admission, 10 * KIB, "still")
    claims = [await hold(admission, 12 * KIB, "busy") for _ in range(4)]

    async def finish(claim: Claim) -> None:
        await claim.grow_to(40 * KIB)
        claim.release()

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for claim in claims:
            tasks.create_task(finish(claim))


async def test_waiting_ends(admission: Admission, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no room comes free in time, the sender is told when to come back."""
    monkeypatch.setattr(body, "_CLAIM_WAIT_S", 0.01)
    holder = await hold(admission, 90 * KIB)
    with pytest.raises(Overloaded) as refused:
        await hold(admission, 90 * KIB)
    assert refused.value.retry_after_s
    holder.release()
    await hold(admission, 90 * KIB)


async def test_so_many_wait_and_no_more(
    admission: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long line is not made longer: who comes then is told at once."""
    monkeypatch.setattr(body, "_MOST_WAITING", 1)
    await hold(admission, 90 * KIB)
    first = asyncio.create_task(hold(admission, 90 * KIB))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await hold(admission, 90 * KIB)
    first.cancel()


async def test_cancelled_waiter_leaves_the_queue(admission: Admission, metrics: Metrics) -> None:
    """A sender that goes away while it waits does not block those behind it, and holds nothing."""
    holder = await hold(admission, 90 * KIB)
    gone = asyncio.create_task(hold(admission, 90 * KIB))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await hold(admission, 5 * KIB, "other")
    holder.release()
    assert metrics.value("hopline_receive_inflight_bytes") == 5 * KIB


async def test_request_larger_than_everything_is_let_in_alone(admission: Admission) -> None:
    """A single request above the limit must not wait for ever."""
    await hold(admission, 2_000 * KIB)


async def test_body_of_several_chunks(admission: Admission) -> None:
    """The chunks of a body are put together in order."""
    async with admission.claim() as claim:
        assert await read_body(chunks(b"ab", b"", b"cd"), claim, None, 10) == b"abcd"


async def test_body_above_the_cap(admission: Admission) -> None:
    """Reading stops at the cap; an announced size is not even read."""
    async with admission.claim() as claim:
        with pytest.raises(TooLarge):
            await read_body(chunks(b"abc", b"def"), claim, None, 5)
        with pytest.raises(TooLarge):
            await read_body(chunks(), claim, 6, 5)


async def test_disconnect(admission: Admission) -> None:
    """A sender that goes away in the middle has sent nothing."""

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async with admission.claim() as claim:
        with pytest.raises(Undecodable):
            await read_body(receive, claim, None, 10)


async def test_slow_sender(admission: Admission, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that never ends is given up, also one of which a little comes all the time."""
    monkeypatch.setattr(body, "_READ_GRACE_S", 0.05)

    async def trickle() -> dict[str, object]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def stand_still() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    for receive in (trickle, stand_still):
        async with asyncio.timeout(30), admission.claim() as claim:
            with pytest.raises(TooSlow):
                await read_body(receive, claim, 10_000, 10_000)


async def test_waiting_for_room_is_not_slow(
    admission: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time in which a sender waits for room is not counted against it."""
    monkeypatch.setattr(body, "_READ_GRACE_S", 0.05)
    holder = await hold(admission, 90 * KIB)
    async with admission.claim() as claim:
        reading = asyncio.create_task(
            read_body(chunks(bytes(60 * KIB), b"x"), claim, None, 90 * KIB)
        )
        await asyncio.sleep(0.2)
        holder.release()
        assert len(await reading) == 60 * KIB + 1


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(0, 70), st.data())
def test_members_are_one_body_wherever_they_are_cut(
    parts: list[bytes], padding: int, data: st.DataObject
) -> None:
    """gzip of several members, with zeros behind them, is what they hold one after the other."""
    piece = data.draw(st.integers(1, 64))
    packed = b"".join(gzip.compress(part) for part in parts) + bytes(padding)

    async def read() -> bytes:
        async with Admission(MIB, Metrics()).claim("") as claim:
            return await inflate(packed, "gzip", claim, MIB)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "_PIECE_BYTES", piece)
        assert asyncio.run(read()) == b"".join(parts)


@pytest.mark.timeout(60)  # copied once for each member, it takes many minutes
async def test_a_body_of_nothing_but_small_members_is_refused() -> None:
    """A million empty members are no shipper's; finding that out costs next to nothing."""
    packed = gzip.compress(b"") * 1_000_000
    async with Admission(64 * MIB, Metrics()).claim("") as claim:
        with pytest.raises(Undecodable, match="members"):
            await inflate(packed, "gzip", claim, 64 * MIB)
