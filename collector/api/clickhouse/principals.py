"""
Who asks, and for which tenant.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from collector.errors import Unauthenticated, WrongTenant
from collector.http.asgi import Scope
from collector.http.tenants import Tenancy
from collector.http.tokens import Caller, Tokens
from collector.settings import SqlSettings
from collector.store.sql import SqlFailure


@dataclass(frozen=True, slots=True)
class Principal:
    """One who may ask, by the name of the token, and whose database."""

    name: str = ""
    tenant: str = ""


class Principals:
    """The tokens that may read. None: everyone may."""

    def __init__(self, settings: SqlSettings) -> None:
        self._tokens = Tokens(settings.tokens, "HOPLINE_QUERY_TOKENS", settings.token_file)
        self.tenancy = Tenancy(settings.tenants)

    def find(self, credentials: Sequence[str], scope: Scope) -> Principal:
        """
        Return who has one of *credentials*, for the tenant that the request is of.

        Raises:
            SqlFailure: nobody has, or the tenant is not theirs.
        """
        try:
            caller = self.tenancy.place(self._find_caller(credentials), scope)
        except WrongTenant as exc:
            failure = SqlFailure(497, exc.message)
            failure.who = exc.who
            raise failure from exc
        return Principal(caller.name, caller.tenant)

    def _find_caller(self, credentials: Sequence[str]) -> Caller:
        if not self._tokens.are_needed:
            return Caller()
        for credential in credentials:
            try:
                return self._tokens.check(credential)
            except Unauthenticated:
                continue
        if not credentials:
            raise SqlFailure(
                194,
                "A token is needed, as password or Bearer: of HOPLINE_QUERY_TOKENS, or with scope "
                "read of HOPLINE_TOKENS_FILE",
            )
        raise SqlFailure(
            516, "Authentication failed: password is incorrect, or there is no user with such name"
        )
