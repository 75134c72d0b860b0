"""
Paths that hold an id, matched before the id is decoded.

An id may be a whole address, pasted: `…/requests/http%3A%2F%2Fhost%2F4f1c%2Fexplain` asks for a
timeline, though its decoded form ends like the path of an explanation.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from collector.identity.paths import REQUESTS


class EncodedIds:
    """Gives routes the path of a request as it was sent; the route decodes the id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path") or b""
        if scope["type"] == "http" and raw.startswith(REQUESTS.encode()):
            # in place: what is around reads the route from this very scope afterwards
            scope["path"] = raw.partition(b"?")[0].decode("ascii", "replace")
        await self._app(scope, receive, send)
