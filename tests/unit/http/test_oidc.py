"""Tokens of an OpenID Connect issuer, which the test runs on a socket of its own."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from collector.errors import ConfigError, Unauthenticated
from collector.http.oidc import Issuer
from collector.settings import OidcSettings


class FakeIssuer:
    """An issuer with one key; `asked` counts how often its keys were fetched."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += self.path == "/keys"
                body = json.dumps(outer.document(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def document(self, path: str) -> dict[str, Any]:
        if path != "/keys":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": "one", "use": "sig", "alg": "RS256"}]}

    def sign(self, *, kid: str = "one", algorithm: str = "RS256", **claims: Any) -> str:
        now = int(time.time())
        fields = {
            "iss": self.url, "aud": "hopline", "sub": "17", "iat": now, "exp": now + 300,
            "email": "ann@shop.example", "groups": ["ops"],
        }  # fmt: skip
        key: Any = self.key if algorithm == "RS256" else "0123456789abcdef0123456789abcdef"
        if algorithm == "ES256":
            key = ec.generate_private_key(ec.SECP256R1())
        return jwt.encode(fields | claims, key, algorithm, headers={"kid": kid})


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeIssuer]:
    """An issuer for all tests of this file: a key takes a moment to make."""
    issuer = FakeIssuer()
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()


def build(fake: FakeIssuer, *groups: str) -> Issuer:
    return Issuer(OidcSettings(fake.url, "hopline", groups))


def test_signed_token_tells_whose_it_is(fake: FakeIssuer) -> None:
    """A token that is right gives its owner's name, and the keys are fetched once."""
    issuer, before = build(fake), fake.asked
    assert [issuer.verify(fake.sign()).name for _ in range(3)] == ["ann@shop.example"] * 3
    assert fake.asked == before + 1
    assert issuer.verify(fake.sign(email=None)).name == "17"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"iss": "http://127.0.0.1:1"},
        {"exp": 1},
        {"kid": "two"},
        {"algorithm": "HS256"},
        {"algorithm": "ES256"},
        {"sub": None},
    ],
)
def test_token_that_is_not_for_here_is_refused(fake: FakeIssuer, claims: dict[str, Any]) -> None:
    """Audience, issuer, time, key, algorithm and subject must be right."""
    with pytest.raises(Unauthenticated):
        build(fake).verify(fake.sign(**claims))


@pytest.mark.parametrize("token", ["a.b.c", "..", "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_token_is_refused(fake: FakeIssuer, token: str) -> None:
    """Neither rubbish nor an unsigned token passes."""
    with pytest.raises(Unauthenticated):
        build(fake).verify(token)


def test_changed_token_is_refused(fake: FakeIssuer) -> None:
    """A signature is for these very claims."""
    head, _, signature = fake.sign().split(".")
    other = fake.sign(email="eve@shop.example").split(".")[1]
    with pytest.raises(Unauthenticated):
        build(fake).verify(f"{head}.{other}.{signature}")


def test_groups_decide_who_may_read(fake: FakeIssuer) -> None:
    """With groups set only their members may read."""
    assert build(fake, "ops", "dev").verify(fake.sign()).name == "ann@shop.example"
    with pytest.raises(Unauthenticated, match="HOPLINE_OIDC_GROUPS"):
        build(fake, "dev").verify(fake.sign())


def test_unknown_keys_cost_the_issuer_nothing(fake: FakeIssuer) -> None:
    """A hundred tokens of made-up keys have the keys fetched once."""
    issuer, before = build(fake), fake.asked
    for number in range(100):
        with pytest.raises(Unauthenticated):
            issuer.verify(fake.sign(kid=f"made-up-{number}"))
    assert fake.asked == before + 1


@pytest.mark.parametrize(
    ("issuer", "audience"), [("http://login.example", "a"), ("https://login.example", "")]
)
def test_settings_that_are_not_safe_are_refused(issuer: str, audience: str) -> None:
    """Keys over plain text, and tokens for anybody, are refused at the start."""
    with pytest.raises(ConfigError, match="HOPLINE_OIDC"):
        Issuer(OidcSettings(issuer, audience))
