"""The pool of questions: bounded, patient, and gone when it is closed."""

import asyncio
import threading

import pytest

from collector.api.workers import Workers
from collector.errors import Overloaded, QueryTimeout


async def test_answers_and_errors_come_through() -> None:
    """What the question returns or raises is what the asker gets."""
    workers = Workers(threads=1)
    assert await workers.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await workers.run(lambda: 1 / 0)
    await workers.close()


async def test_what_does_not_fit_is_told_to_come_again() -> None:
    """Beyond threads and queue the answer is 429 with a hint, and places become free again."""
    workers = Workers(threads=1, queue=1)
    release = threading.Event()
    waiting = [asyncio.create_task(workers.run(release.wait, 10)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as caught:
        await workers.run(lambda: 7)
    assert caught.value.retry_after_s == 1
    release.set()
    assert await asyncio.gather(*waiting) == [True, True]
    assert await workers.run(lambda: 7) == 7
    await workers.close()


async def test_an_asker_does_not_wait_for_ever() -> None:
    """Over the limit the answer is a timeout; the place stays taken until the thread ends."""
    workers = Workers(threads=1, queue=0, timeout_s=0.05)
    release = threading.Event()
    with pytest.raises(QueryTimeout):
        await workers.run(release.wait, 10)
    with pytest.raises(Overloaded):
        await workers.run(lambda: 7)
    release.set()
    await workers.close()


async def test_closing_sees_running_questions_to_their_end() -> None:
    """The store is closed after the pool, so nothing may be running then."""
    workers = Workers(threads=1)
    ended = threading.Event()
    started = threading.Event()

    def question() -> None:
        started.set()
        threading.Event().wait(0.1)
        ended.set()

    running = asyncio.create_task(workers.run(question))
    await asyncio.to_thread(started.wait, 5)
    await workers.close()
    assert ended.is_set()
    await running


async def test_a_cancellation_that_meets_the_answer_is_not_lost() -> None:
    """Who leaves in the moment in which the answer comes has left: what asks again must end."""
    workers = Workers(threads=1)
    may_answer = threading.Event()
    asking = asyncio.create_task(workers.run(may_answer.wait, 10))
    await asyncio.sleep(0)
    may_answer.set()
    # the one thread has answered when it takes another job; the loop has not heard of it yet
    workers._pool.submit(int).result()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await workers.close()


async def test_a_tenant_leaves_a_thread_to_the_others() -> None:
    """However much one tenant asks, another is answered at once, and its own are told to retry."""
    workers = Workers(threads=2, queue=6)
    greedy, modest = workers.share(), workers.share()
    release = threading.Event()
    asked = [asyncio.create_task(greedy.run(release.wait, 10)) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await greedy.run(lambda: 7)
    async with asyncio.timeout(30):
        assert [await modest.run(lambda: 7) for _ in range(3)] == [7, 7, 7]
    release.set()
    assert await asyncio.gather(*asked) == [True] * 4
    assert await greedy.run(lambda: 7) == 7
    await workers.close()


async def test_threads_are_divided_among_tenants() -> None:
    """Each tenant of several has a line of its own on every port; one alone has all threads."""
    workers = Workers(threads=2, queue=6)
    assert workers.divide([""]) == {"": workers}
    lines = workers.divide(["", "red"])
    release = threading.Event()
    asked = [asyncio.create_task(lines["red"].run(release.wait, 10)) for _ in range(4)]
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        assert await lines[""].run(lambda: 7) == 7
    release.set()
    await asyncio.gather(*asked)
    await workers.close()


async def test_a_tenants_question_that_is_given_up_frees_its_turn() -> None:
    """Who leaves while it waits, or while it is answered, takes no turn of its tenant's along."""
    workers = Workers(threads=2, queue=6)
    mine = workers.share()
    release = threading.Event()
    asked = [asyncio.create_task(mine.run(release.wait, 10)) for _ in range(3)]
    await asyncio.sleep(0.05)
    for each in asked:
        each.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    async with asyncio.timeout(30):
        assert await mine.run(lambda: 7) == 7
    release.set()
    await workers.close()
