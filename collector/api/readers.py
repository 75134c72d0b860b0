"""
Who may read: whoever has a token of ours, or a signed one of the issuer.
"""

import asyncio
from pathlib import Path

from collector.errors import Unauthenticated
from collector.http.oidc import Issuer
from collector.http.tokens import Caller, Tokens


class Readers:
    """The tokens that may read. Without any, and without an issuer, everyone may."""

    def __init__(
        self, tokens: tuple[str, ...], token_file: Path | None, issuer: Issuer | None
    ) -> None:
        self._tokens = Tokens(tokens, "HOPLINE_QUERY_TOKENS", token_file)
        self._issuer = issuer

    @property
    def are_asked(self) -> bool:
        """Whether anybody has to say who they are."""
        return self._tokens.are_needed or self._issuer is not None

    async def identify(self, authorization: str) -> Caller:
        """
        Return who sent an `Authorization` value, nobody when nobody has to say.

        Raises:
            Unauthenticated: nobody who may read. Never retried.
        """
        if self._issuer is None:
            return self._tokens.check_header(authorization)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token.count(".") == 2:
            return await asyncio.to_thread(self._issuer.verify, token.strip())
        if not self._tokens.are_needed:
            raise Unauthenticated(
                "a token of the issuer is needed", hint="send `Authorization: Bearer <token>`"
            )
        return self._tokens.check_header(authorization)
