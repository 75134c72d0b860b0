"""
Keeps pages of other sites away from ports that ask for no token.

A browser lets any page send to this machine, and a name that its owner points at 127.0.0.1 makes
that page read the answer as well (DNS rebinding). Programs send no `Origin`, and what they put into
`Host` is up to them: so a foreign `Origin` is refused on every port, and a foreign `Host` where the
port is bound to loopback and somebody reads. Where a token is needed, pages cannot know it.

Source: Fetch standard, `Origin` header; RFC 6454; OWASP, DNS rebinding.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from collector.answers import encode
from collector.errors import ForeignPage
from collector.http.asgi import App, Receive, Scope, Send, send_answer
from collector.http.errors import error_answer_of
from collector.settings import is_loopback

_READS = ("GET", "HEAD", "OPTIONS")


class Origins:
    """Which names a browser may use for a port. *is_open*: nobody needs a token."""

    def __init__(self, bind: str, allowed: Sequence[str], *, is_open: bool) -> None:
        self._is_open = is_open
        self._is_local = is_loopback(bind)
        self._allowed = frozenset(name.lower() for name in allowed)

    def check(self, scope: Scope) -> None:
        """
        Check `Host` and `Origin` of a request.

        Raises:
            ForeignPage: a page of another site asks. Never retried.
        """
        if not self._is_open:
            return
        named = origin = ""
        for name, value in scope["headers"]:
            if name == b"host":
                named = value.decode("latin-1")
            elif name == b"origin":
                origin = value.decode("latin-1")
        is_read = self._is_local and scope["method"] in _READS
        if not (is_read or origin):
            return
        hint = "name it in HOPLINE_ALLOWED_HOSTS if it is yours"
        host = _name_of("//" + named)
        if is_read and host and not self._is_ours(host):
            raise ForeignPage(f"this port does not answer as {host[:80]!r}", hint=hint)
        if not origin:
            return
        name = _name_of(origin)
        is_same = bool(name) and name == host and not self._is_local
        if not (is_same or self._is_ours(name)):
            raise ForeignPage(f"a page of {origin[:80]!r} may not use this port", hint=hint)

    def _is_ours(self, name: str) -> bool:
        return bool(name) and (is_loopback(name) or name in self._allowed)


class OwnPagesOnly:
    """The application *app* for programs and its own pages; other pages get 403."""

    def __init__(self, app: App, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._origins.check(scope)
            except ForeignPage as error:
                body = encode(error_answer_of(error))
                await send_answer(send, error.http_status, body, b"application/json", [])
                return
        await self._app(scope, receive, send)


def _name_of(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""
