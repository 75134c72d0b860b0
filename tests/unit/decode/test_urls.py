"""Request targets and URLs taken apart."""

import pytest

from collector.decode.urls import Target, is_event_stream, kind_of, split_target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("/a/b?c=d#e", Target("", "", "/a/b", "c=d")),
        ("/", Target("", "", "/", "")),
        ("", Target("", "", "", "")),
        ("https://h.example:8443/a?b", Target("https", "h.example:8443", "/a", "b")),
        ("HTTP://u:p@h.example", Target("http", "h.example", "", "")),
        ("h.example:80/a", Target("", "h.example:80", "/a", "")),
        ("*", Target("", "*", "", "")),
        ("?q=1", Target("", "", "", "q=1")),
        ("/redirect?to=https://x/y", Target("", "", "/redirect", "to=https://x/y")),
    ],
)
def test_targets_are_split(text: str, target: Target) -> None:
    """User information and fragments are dropped, everything else finds its part."""
    assert split_target(text) == target


def test_kinds_follow_from_headers() -> None:
    """An upgrade wins over a content type."""
    assert kind_of("application/grpc+proto") == "grpc"
    assert kind_of("application/json") == "http"
    assert kind_of("application/grpc", "WebSocket") == "websocket"
    assert is_event_stream("text/event-stream; charset=utf-8")
    assert not is_event_stream("text/html")
