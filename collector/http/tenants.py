"""
Which tenant a request is of: its token's, or the one that a trusted proxy names in a header.

Nobody else may name one, and whoever may has to: what comes without a tenant where one is expected
is refused, never taken for somebody's. Without tenants all requests are of one, called "".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from collector.errors import WrongTenant
from collector.http.asgi import Scope
from collector.http.headers import authorization, peer
from collector.http.tokens import ANY_TENANT, NOBODY, Caller, Tokens
from collector.settings import DEFAULT_TENANT, TenantSettings


class Tenancy:
    """The tenants that there are, and the proxies that may name one."""

    def __init__(self, settings: TenantSettings) -> None:
        self.header = settings.header
        self._header_bytes = settings.header.encode()
        self._known = frozenset(settings.names)
        self._proxies = [ip_network(each) for each in settings.proxies]

    @property
    def is_on(self) -> bool:
        """Whether there is more than one tenant."""
        return bool(self._known)

    def name_of(self, tenant: str) -> str:
        """Return how a tenant is written where it needs a name, "" when there is only one."""
        return tenant or DEFAULT_TENANT if self.is_on else ""

    def place(self, caller: Caller, scope: Scope) -> Caller:
        """Return *caller* as of the tenant that its HTTP request is of. Raises `WrongTenant`."""
        if not self._known and not caller.tenant:
            return caller
        named = [
            value.decode("latin-1")
            for name, value in scope["headers"]
            if name == self._header_bytes
        ]
        return self.place_at(caller, named, peer(scope))

    def place_at(self, caller: Caller, named: Sequence[str], address: str) -> Caller:
        """Return *caller* as of the tenant of a request; see `choose`. Raises `WrongTenant`."""
        try:
            return Caller(caller.name, self.choose(caller, named, address))
        except WrongTenant as exc:
            exc.who = caller.name
            raise

    def choose(self, caller: Caller, named: Sequence[str], address: str) -> str:
        """
        Return the tenant of a request, "" for the default one.

        *named* are the values of the tenant's header, *address* is where the request came from.

        Raises:
            WrongTenant: it names one that it may not name, or none where it has to, or one that is
                not there. Never retried.
        """
        if not self._known:
            if caller.tenant in ("", ANY_TENANT):
                return ""
            raise WrongTenant(
                f"the token is of tenant {caller.tenant[:40]!r}, and there are no tenants",
                hint="name it in HOPLINE_TENANTS",
            )
        values = {value.strip() for value in named}
        if len(values) > 1:
            raise WrongTenant(f"{self.header} names more than one tenant")
        value = values.pop() if values else None
        if caller.tenant not in ("", ANY_TENANT):
            if value not in (None, caller.tenant):
                raise WrongTenant(f"the token is of another tenant than {self.header} names")
            return self._find(caller.tenant)
        if caller.tenant == ANY_TENANT or self._is_proxy(address):
            if value is None:
                raise WrongTenant(
                    "the proxy names no tenant",
                    hint=f"set {self.header}; {DEFAULT_TENANT} is everybody who has none",
                )
            return self._find(value)
        if value is not None:
            raise WrongTenant(
                f"only a trusted proxy may send {self.header}",
                hint="send the token of the tenant, or add the proxy to HOPLINE_TRUSTED_PROXIES",
            )
        return ""

    def _find(self, name: str) -> str:
        if name == DEFAULT_TENANT:
            return ""
        if name not in self._known:
            raise WrongTenant(
                f"there is no tenant {name[:40]!r}", hint="it has to be one of HOPLINE_TENANTS"
            )
        return name

    def _is_proxy(self, address: str) -> bool:
        if not self._proxies:
            return False
        try:
            found = ip_address(address)
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._proxies)


@dataclass(frozen=True, slots=True)
class Gate:
    """What each door asks of a request before its body is read: a known token, and the tenant."""

    tokens: Tokens
    tenancy: Tenancy

    def admit(self, scope: Scope) -> Caller:
        """Return who sends an HTTP request. Raises `Unauthenticated`, `WrongTenant`."""
        caller = NOBODY
        if self.tokens.are_needed:
            caller = self.tokens.check_header(authorization(dict(scope["headers"])))
        return self.tenancy.place(caller, scope)

    def admit_token(self, token: str, scope: Scope) -> Caller:
        """Return who sends an HTTP request whose token is in a place of its own."""
        return self.tenancy.place(self.tokens.check(token), scope)
