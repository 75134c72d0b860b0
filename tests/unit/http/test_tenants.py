"""Which tenant a request is of, and who may say so."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import WrongTenant
from collector.http.tenants import Gate, Tenancy
from collector.http.tokens import ANY_TENANT, Caller, Tokens
from collector.settings import TenantSettings

NAMES = ("red", "blue")
TENANCY = Tenancy(TenantSettings(NAMES, proxies=("10.0.0.0/8", "fd00::/8", "192.0.2.7")))
PROXIES = ("10.1.2.3", "::ffff:10.1.2.3", "fd00::5", "192.0.2.7")
OTHERS = ("192.0.2.8", "127.0.0.1", "::1", "", "unix:", "10.1.2.3, 1.2.3.4")


@pytest.mark.parametrize(
    ("tenant", "named", "address", "expected"),
    [
        ("red", [], OTHERS[0], "red"),
        ("red", ["red"], OTHERS[0], "red"),
        ("", [], OTHERS[0], ""),
        (ANY_TENANT, ["blue"], OTHERS[0], "blue"),
        (ANY_TENANT, ["default"], OTHERS[0], ""),
        *[("", ["blue"], proxy, "blue") for proxy in PROXIES],
        ("", ["red", " red "], PROXIES[0], "red"),
    ],
)
def test_tenant_of_a_request(tenant: str, named: list[str], address: str, expected: str) -> None:
    """A token's tenant holds; a proxy, known by its address or its token, names another one."""
    assert TENANCY.choose(Caller("t", tenant), named, address) == expected


@pytest.mark.parametrize(
    ("tenant", "named", "address", "said"),
    [
        ("red", ["blue"], PROXIES[0], "another tenant"),
        ("red", ["default"], OTHERS[0], "another tenant"),
        ("green", [], OTHERS[0], "no tenant 'green'"),
        (ANY_TENANT, [], OTHERS[0], "names no tenant"),
        ("", [], PROXIES[0], "names no tenant"),
        ("", ["green"], PROXIES[0], "no tenant 'green'"),
        ("", ["*"], PROXIES[0], "no tenant '*'"),
        ("", [""], PROXIES[0], "no tenant ''"),
        ("", ["red|blue"], PROXIES[0], "no tenant"),
        ("", ["red,blue"], PROXIES[0], "no tenant"),
        ("", ["RED"], PROXIES[0], "no tenant"),
        ("", ["red", "blue"], PROXIES[0], "more than one"),
        *[("", ["red"], other, "only a trusted proxy") for other in OTHERS],
        ("", ["default"], OTHERS[0], "only a trusted proxy"),
    ],
)
def test_refused_tenants(tenant: str, named: list[str], address: str, said: str) -> None:
    """Whoever may not name a tenant, names none where they have to, or one that is not there."""
    with pytest.raises(WrongTenant, match=said.replace("*", r"\*")):
        TENANCY.choose(Caller("t", tenant), named, address)


@given(
    tenant=st.sampled_from(["", *NAMES, "green"]),
    named=st.lists(st.sampled_from([*NAMES, "default", "green"]) | st.text(max_size=8), max_size=3),
    address=st.sampled_from(OTHERS) | st.text(max_size=12),
)
def test_nobody_reaches_another_tenant_by_naming_it(
    tenant: str, named: list[str], address: str
) -> None:
    """Without a proxy's address or token the tenant is the token's own, or there is no answer."""
    with contextlib.suppress(WrongTenant):
        assert TENANCY.choose(Caller("t", tenant), named, address) == tenant


def test_without_tenants_a_header_means_nothing() -> None:
    """All is as it was before there were tenants; only a token of one is refused, not widened."""
    off = Tenancy(TenantSettings())
    for caller in (Caller(), Caller("proxy", ANY_TENANT)):
        assert off.choose(caller, ["red"], PROXIES[0]) == ""
    with pytest.raises(WrongTenant, match="there are no tenants"):
        off.choose(Caller("t", "red"), [], "")


def test_the_header_has_the_name_of_the_setting() -> None:
    """Another header is read when it is set, whatever its case was there."""
    gate = Gate(
        Tokens((), "HOPLINE_INGEST_TOKENS"),
        Tenancy(TenantSettings(NAMES, "x-scope-orgid", ("10.0.0.0/8",))),
    )
    scope = {"headers": [(b"x-scope-orgid", b"red")], "client": ("10.0.0.1", 5)}
    assert gate.admit(scope) == Caller("", "red")
    scope["headers"] = [(b"x-hopline-tenant", b"red")]
    with pytest.raises(WrongTenant, match="names no tenant"):
        gate.admit(scope)
