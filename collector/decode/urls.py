"""
Where a request went: request targets and URLs taken apart.

Nothing here raises on input; a text that is no URL gives empty parts.
"""

from typing import NamedTuple


class Target(NamedTuple):
    """The parts of a URL or of a request target; "" for what it does not have."""

    scheme: str
    host: str
    path: str
    query: str


# what calling the class comes down to, in 0.08 us instead of 0.17
_new = tuple.__new__
_NOWHERE = Target("", "", "", "")


def split_target(text: str) -> Target:
    """
    Split an absolute URL, a path with query, or `host:port/path`.

    The fragment and user information are cut off: neither is part of what was requested, and the
    second is a secret.
    """
    if not text:
        return _NOWHERE
    if "#" in text:
        text = text.partition("#")[0]
    before, _, query = text.partition("?")
    if before[:1] == "/" or not before:
        return _new(Target, ("", "", before, query))
    scheme, separator, rest = before.partition("://")
    if not separator:
        scheme, rest = "", before
    authority, slash, path = rest.partition("/")
    host = authority.rpartition("@")[2] if "@" in authority else authority
    return _new(Target, (scheme.lower(), host, slash + path, query))


def without_default_port(host: str, scheme: str) -> str:
    """Return *host* without the port that goes without saying; `:443` and `:80` of no scheme do."""
    if host[-4:] == ":443" and scheme in ("https", "wss", ""):
        return host[:-4]
    return host[:-3] if host[-3:] == ":80" and scheme in ("http", "ws", "") else host


def kind_of(content_type: str, upgrade: str = "") -> str:
    """Return the `GatewayRecord.kind` that a request's content type and upgrade header tell."""
    if upgrade and upgrade.lower() == "websocket":
        return "websocket"
    return "grpc" if content_type[:16] == "application/grpc" else "http"


def is_event_stream(content_type: str) -> bool:
    """Tell whether an answer of this type stays open as long as there is something to say."""
    # a span's attribute may be a list, written as JSON
    return content_type.lstrip('["').startswith("text/event-stream")


def is_tunnel(method: str, status: int | None) -> bool:
    """Tell whether a request became a connection that others use: an upgrade, or a `CONNECT`."""
    return status == 101 or (method == "CONNECT" and status is not None and 200 <= status < 300)
