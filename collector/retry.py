"""
Senders that cannot be told to come back: what they sent waits here instead.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from collector.errors import CollectorError

_T = TypeVar("_T")
_PAUSE_S = 1.0
# the hints that grow are for senders that would cost something while they ask
_MOST_PAUSE_S = 5.0


async def until_accepted(accept: Callable[[], Awaitable[_T]]) -> _T:
    """
    Call *accept* again, at the pace that its refusals ask for and every 5 s, until it returns.

    Raises:
        CollectorError: a refusal that another try would only repeat.
    """
    while True:
        try:
            return await accept()
        except CollectorError as exc:
            if not exc.retryable:
                raise
            await asyncio.sleep(min(exc.retry_after_s or _PAUSE_S, _MOST_PAUSE_S))
