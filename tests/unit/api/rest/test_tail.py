"""A reader of the tail that does not read loses the oldest events, and is told how many."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import cast

import pytest

from collector.api.rest import tail as tails
from collector.api.rest.tail import Tails
from collector.errors import Overloaded, StoreUnavailable
from collector.query.results import Summary
from collector.query.search.tail import Tail
from tests.integration.test_query_tail import summaries
from tests.manual_clock import ManualClock


async def stream_of(open_tails: Tails, tail: Tail) -> AsyncGenerator[bytes, None]:
    """Return what one reader is sent."""
    response = await open_tails.open(lambda: tail)
    return cast(AsyncGenerator[bytes, None], response.body_iterator)


async def test_a_slow_reader_is_told_what_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more events than fit the newest stay, and the first thing read is the number lost."""
    monkeypatch.setattr(tails, "_MAX_EVENTS", 10)
    open_tails = Tails(asyncio.Event(), every_s=3_600)
    tail = Tail(lambda _: (summaries(25), False), ManualClock(0))
    stream = await stream_of(open_tails, tail)
    assert await anext(stream) == b": open\n\n"
    chunk = await anext(stream)
    events = chunk.decode().strip().split("\n\n")
    assert events[0].startswith("event: missed\n")
    assert json.loads(events[0].partition("data: ")[2]) == {"requests": 15}
    assert [each.partition("id: ")[2].split("\n")[0] for each in events[1:]] == [
        f"request-{number}" for number in range(15, 25)
    ]
    await stream.aclose()
    await open_tails.close()


async def test_the_end_of_the_service_ends_every_stream() -> None:
    """When the service stops, a stream that would go on for ever is over."""
    stop = asyncio.Event()
    open_tails = Tails(stop, every_s=0.01)
    stream = await stream_of(open_tails, Tail(lambda _: ([], False), ManualClock(0)))
    assert await anext(stream) == b": open\n\n"
    stop.set()
    assert [chunk async for chunk in stream][-1:] in ([], [b": waiting\n\n"])
    await open_tails.close()


async def test_a_store_that_is_down_is_told_and_asked_again() -> None:
    """An error that will pass is an event of the stream, and the stream goes on."""
    outcomes: list[list[Summary] | None] = [None, summaries(1)]

    def find(_: int) -> tuple[list[Summary], bool]:
        found = outcomes.pop(0) if outcomes else []
        if found is None:
            raise StoreUnavailable("the store is down")
        return found, False

    open_tails = Tails(asyncio.Event(), every_s=0.01)
    stream = await stream_of(open_tails, Tail(find, ManualClock(0)))
    text = ""
    async for chunk in stream:
        text += chunk.decode()
        if "event: request" in text:
            break
    assert text.index("event: error") < text.index("event: request")
    assert "the store is down" in text
    await stream.aclose()
    await open_tails.close()


@pytest.mark.parametrize("is_reading", [True, False])
async def test_a_reader_that_leaves_takes_its_tasks_along(is_reading: bool) -> None:
    """Whether it leaves while it waits or between two events, nothing of it goes on."""
    open_tails = Tails(asyncio.Event(), every_s=3_600)
    stream = await stream_of(open_tails, Tail(lambda _: ([], False), ManualClock(0)))
    assert await anext(stream) == b": open\n\n"
    if is_reading:
        reading = asyncio.ensure_future(anext(stream))
        while not any(task.get_name() == "tail-wait" for task in asyncio.all_tasks()):
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    await stream.aclose()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("tail")]
    await open_tails.close()


async def test_readers_who_come_at_once_are_no_more_than_there_are_places() -> None:
    """Of many who ask in one moment as many get a stream as places are free."""
    open_tails = Tails(asyncio.Event(), every_s=3_600)
    tail = Tail(lambda _: ([], False), ManualClock(0))
    came = await asyncio.gather(
        *(open_tails.open(lambda: tail) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(each, Overloaded) for each in came) == 20 - tails.MAX_READERS
    await open_tails.close()
