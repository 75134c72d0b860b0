"""
Questions whose asker has gone: they are given up, so that they take nobody's place.

A plain ASGI middleware. Only GET: what has a body is read by its own endpoint.
"""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send


class Abandoned:
    """Cancels the answering of a GET when its connection is closed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        answering = asyncio.ensure_future(self._app(scope, receive, send))
        gone = asyncio.ensure_future(_wait_until_gone(receive))
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            is_given_up = answering.cancel()
            await asyncio.wait({answering, gone})
        if not is_given_up or not answering.cancelled():
            await answering


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
