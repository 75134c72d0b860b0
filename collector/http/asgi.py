"""
The types of ASGI, and answers that are sent whole.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from collector.errors import TooSlow

# what is asked is small; telemetry has a rate of its own, in `receive/body.py`
_BODY_WAIT_S = 30.0

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]


class SenderGone(ConnectionError):
    """Nobody is there any more to take an answer: no fault of ours, and no line of a log's."""


class TimelyBody:
    """
    The messages of a request whose body has to be here within 30 s: else `TooSlow` is raised.

    Once it is here, one may wait as long as one likes for the sender to go away.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._deadline_s = asyncio.get_running_loop().time() + _BODY_WAIT_S
        self.is_whole = False

    async def __call__(self) -> Message:
        if self.is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline_s):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow(f"the body was not here within {_BODY_WAIT_S:g} s") from None
        self.is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message


async def send_answer(
    send: Send, status: int, body: bytes, content_type: bytes, extra: list[tuple[bytes, bytes]]
) -> None:
    """Send a whole answer."""
    head = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
