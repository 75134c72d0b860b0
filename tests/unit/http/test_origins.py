"""Which pages may use a port that asks for no token."""

import pytest

from collector.errors import ForeignPage
from collector.http.origins import Origins

LOCAL = Origins("127.0.0.1", ["hopline.example"], is_open=True)
OUTSIDE = Origins("0.0.0.0", ["hopline.example"], is_open=True)
WITH_TOKEN = Origins("127.0.0.1", [], is_open=False)


def is_refused(origins: Origins, method: str, host: str, origin: str = "") -> bool:
    headers = [(b"host", host.encode())] if host else []
    headers += [(b"origin", origin.encode())] if origin else []
    try:
        origins.check({"method": method, "headers": headers})
    except ForeignPage:
        return True
    return False


@pytest.mark.parametrize(
    ("method", "host", "origin"),
    [
        ("GET", "localhost:8080", ""),
        ("GET", "127.0.0.1", ""),
        ("GET", "127.9.9.9:8080", ""),
        ("GET", "[::1]:8080", ""),
        ("GET", "LOCALHOST:8080", "http://localhost:8080"),
        ("GET", "hopline.example", "https://hopline.example"),
        ("POST", "collector", ""),
        ("POST", "any.name:4318", ""),
        ("POST", "localhost:4318", "http://127.0.0.1:3000"),
        ("GET", "", ""),
    ],
)
def test_programs_and_own_pages_are_let_in(method: str, host: str, origin: str) -> None:
    """Names of this machine and allowed ones pass; programs that send may call it as they like."""
    assert not is_refused(LOCAL, method, host, origin)


@pytest.mark.parametrize(
    ("method", "host", "origin"),
    [
        ("GET", "evil.example:8080", ""),
        ("GET", "localhost.evil.example", ""),
        ("GET", "127.0.0.1.evil.example", ""),
        ("GET", "evil.example#@localhost", ""),
        ("GET", "localhost", "https://evil.example"),
        ("POST", "localhost", "https://evil.example"),
        ("POST", "evil.example:4318", "http://evil.example:4318"),
        ("POST", "localhost", "null"),
        ("POST", "localhost", "http://[::1"),
        ("POST", "localhost", "file://"),
    ],
)
def test_foreign_pages_are_refused(method: str, host: str, origin: str) -> None:
    """Neither another site's page nor a name that points here may use a loopback port."""
    assert is_refused(LOCAL, method, host, origin)


def test_port_for_others_knows_its_own_name() -> None:
    """On a port that others reach, a page of the same name is its own, any other is foreign."""
    assert not is_refused(OUTSIDE, "GET", "hopline.intern", "http://hopline.intern")
    assert not is_refused(OUTSIDE, "GET", "whatever", "")
    assert is_refused(OUTSIDE, "POST", "hopline.intern", "https://evil.example")


def test_token_makes_the_check_needless() -> None:
    """Where a token is needed no page can know it, and no cookie stands for one."""
    assert not is_refused(WITH_TOKEN, "GET", "evil.example", "https://evil.example")
