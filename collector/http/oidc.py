"""
People and Grafana by OpenID Connect: a signed token of an issuer instead of one of ours.

The issuer's keys are fetched once and kept; a token of an unknown key has them fetched again, at
most once a minute, so that made-up keys cost the issuer nothing.

Source: OpenID Connect Core 1.0, section 3.1.3.7; OpenID Connect Discovery 1.0; RFC 7517; RFC 8725.
"""

import json
import logging
import threading
import urllib.request
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import jwt

from collector.errors import ConfigError, Unauthenticated
from collector.http.tokens import ANY_TENANT, Caller
from collector.settings import OidcSettings, is_loopback

# signatures by the issuer's public key only: with HS256 that key would be the password
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
_FETCH_EVERY_S = 60.0
_KEPT_S = 3600.0
_TIMEOUT_S = 5.0
_LEEWAY_S = 30
_MAX_BYTES = 1024 * 1024
_NAMES = ("email", "preferred_username", "sub")
_log = logging.getLogger(__name__)


class Issuer:
    """One issuer, and who of its people may read. Blocking; used from threads."""

    def __init__(self, settings: OidcSettings) -> None:
        address = urlsplit(settings.issuer)
        is_safe = address.scheme == "https" or is_loopback(address.hostname or "")
        if address.scheme not in ("https", "http") or not is_safe:
            raise ConfigError("HOPLINE_OIDC_ISSUER must be an https:// address")
        if not settings.audience:
            raise ConfigError(
                "HOPLINE_OIDC_AUDIENCE is empty: a token for any application would do",
                hint="set it to the client id that your issuer knows Hopline by",
            )
        self._settings = settings
        self._keys: dict[str, Any] = {}
        self._fetched_s = -_KEPT_S
        self._tried_s = -_FETCH_EVERY_S
        self._lock = threading.Lock()

    def verify(self, token: str) -> Caller:
        """
        Check signature, issuer, audience and time of *token*, and return whose it is.

        With a claim for it, it has to name a tenant: people without one have none to ask.

        Raises:
            Unauthenticated: it is not valid here; the message says what is wrong. Never retried.
        """
        try:
            key = self._find_key(str(jwt.get_unverified_header(token).get("kid", "")))
            claims = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, TypeError) as exc:  # TypeError: a key of another kind than `alg`
            raise Unauthenticated(f"the token is not valid: {exc}") from exc
        self._check_group(claims)
        name = next((claims[name] for name in _NAMES if claims.get(name)), "")
        return Caller(str(name)[:200], self._find_tenant(claims))

    def _find_tenant(self, claims: dict[str, Any]) -> str:
        claim = self._settings.tenant_claim
        if not claim:
            return ""
        tenant = claims.get(claim)
        if not isinstance(tenant, str) or tenant in ("", ANY_TENANT):
            raise Unauthenticated(f"the token names no tenant: it has no text as {claim}")
        return tenant

    def _check_group(self, claims: dict[str, Any]) -> None:
        wanted = self._settings.groups
        groups = claims.get("groups", ())
        has = {groups} if isinstance(groups, str) else {str(each) for each in groups or ()}
        if wanted and not has.intersection(wanted):
            raise Unauthenticated("the token's owner is in none of HOPLINE_OIDC_GROUPS")

    def _find_key(self, kid: str) -> Any:
        with self._lock:
            now_s = monotonic()
            is_known = kid in self._keys and now_s - self._fetched_s < _KEPT_S
            if not is_known and now_s - self._tried_s >= _FETCH_EVERY_S:
                self._tried_s = now_s
                try:
                    self._keys = self._fetch_keys()
                    self._fetched_s = now_s
                except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError) as exc:
                    _log.warning("cannot fetch the keys of %s: %s", self._settings.issuer, exc)
            if kid not in self._keys:
                raise Unauthenticated(
                    "the token is signed with a key that its issuer does not have"
                )
            return self._keys[kid]

    def _fetch_keys(self) -> dict[str, Any]:
        about = _fetch(self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if about["issuer"] != self._settings.issuer:
            raise ValueError("it says that its name is another one")
        listed = jwt.PyJWKSet.from_dict(_fetch(about["jwks_uri"]))
        return {str(each.key_id or ""): each.key for each in listed.keys}


def _fetch(url: str) -> dict[str, Any]:
    if urlsplit(url).scheme not in ("https", "http"):
        raise ValueError("not a web address")
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - checked above
        document: dict[str, Any] = json.loads(answer.read(_MAX_BYTES))
    return document
