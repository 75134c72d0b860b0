"""
Bearer tokens, checked before a body is read.
"""

import hmac
from collections.abc import Sequence
from hashlib import sha256

from collector.errors import Unauthenticated


class Tokens:
    """
    The tokens that may send, or ask, from the setting of that name. None: everyone may.

    Only digests are kept and all are compared each time, so neither memory nor time tells a token.
    """

    def __init__(self, tokens: Sequence[str], setting: str) -> None:
        self._setting = setting
        self._digests = [sha256(token.encode()).digest() for token in tokens]

    def check_header(self, authorization: str) -> None:
        """
        Check an `Authorization` value, "" when there is none.

        Raises:
            Unauthenticated: not `Bearer` with a known token. Never retried.
        """
        scheme, _, token = authorization.partition(" ")
        self.check(token.strip() if scheme.lower() == "bearer" else "")

    def check(self, token: str) -> None:
        """Check a token, wherever it was. Raises `Unauthenticated`."""
        if not self._digests:
            return
        digest = sha256(token.encode("utf-8", "replace")).digest()
        known = [hmac.compare_digest(digest, each) for each in self._digests]
        if not any(known):
            raise Unauthenticated(
                "a known bearer token is needed",
                hint=f"send `Authorization: Bearer <token>` with one of {self._setting}",
            )
