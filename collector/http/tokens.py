"""
Bearer tokens, checked before a body is read.

They come from a setting, in the clear, or from a file, hashed and with a name:

    [ci]                        # the name, which the audit log shows
    sha256 = "5e88…"            # of the token: `hopline token ci --scope ingest` makes both
    scopes = ["ingest"]         # ingest, read, or admin: both
    tenant = "team-a"           # whose data it is for; without: the default tenant's. A trusted
                                # proxy has "*": whose data, its requests say in a header

The file is read again when it changes, so tokens come and go without a restart.
"""

import hmac
import logging
import re
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any

from collector.errors import ConfigError, Unauthenticated
from collector.http.stamps import stamp_of
from collector.settings import TenantSettings

SCOPES = ("ingest", "read", "admin")
ANY_TENANT = "*"
_LOOK_AGAIN_S = 1.0
_NAME = re.compile(r"[A-Za-z0-9][-\w.@]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NamedToken:
    """One token of the file: only its digest is known."""

    name: str
    digest: bytes
    scopes: frozenset[str]
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks or sends: a token's name, "" when nobody has to say, and the tenant it is of."""

    name: str = ""
    tenant: str = ""


NOBODY = Caller()
"""Who does not have to say."""


class Tokens:
    """
    The tokens that may do one thing: those of a setting, and those of *file* with the scope.

    Without either everyone may. Only digests are kept and all are compared each time, so neither
    memory nor time tells a token.

    Raises:
        ConfigError: the file cannot be read.
    """

    def __init__(self, tokens: Sequence[str], setting: str, file: Path | None = None) -> None:
        self._setting = setting
        self._scope = "read" if "QUERY" in setting else "ingest"
        self._own = [(Caller(setting), sha256(token.encode()).digest()) for token in tokens]
        self._file = file
        self._known = list(self._own)
        self._looked_s = monotonic()
        self._stamp: tuple[int, int] | None = None
        if file is not None:
            self._stamp = stamp_of(file)
            self._known += self._read(file)

    @property
    def are_needed(self) -> bool:
        """Whether anything is checked at all."""
        return bool(self._own) or self._file is not None

    def check_header(self, authorization: str) -> Caller:
        """
        Check an `Authorization` value, "" when there is none, and return whose token it is.

        Raises:
            Unauthenticated: not `Bearer` with a known token. Never retried.
        """
        scheme, _, token = authorization.partition(" ")
        return self.check(token.strip() if scheme.lower() == "bearer" else "")

    def check(self, token: str) -> Caller:
        """Check a token, wherever it was, and return whose it is. Raises `Unauthenticated`."""
        if not self.are_needed:
            return NOBODY
        self._refresh()
        digest = sha256(token.encode("utf-8", "replace")).digest()
        known = [caller for caller, each in self._known if hmac.compare_digest(digest, each)]
        if not known:
            place = f" or of {self._file.name} with the scope {self._scope}" if self._file else ""
            raise Unauthenticated(
                "a known bearer token is needed",
                hint=f"send `Authorization: Bearer <token>` with one of {self._setting}{place}",
            )
        return known[0]

    def _refresh(self) -> None:
        now_s = monotonic()
        if self._file is None or now_s - self._looked_s < _LOOK_AGAIN_S:
            return
        self._looked_s = now_s
        stamp = stamp_of(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._known = self._own + self._read(self._file)
            _log.info("%s was reloaded", self._file.name)
        except ConfigError as exc:  # half of a file must not lock everybody out
            _log.error("%s; the tokens loaded before stay valid", exc.message)

    def _read(self, file: Path) -> list[tuple[Caller, bytes]]:
        wanted = {self._scope, "admin"}
        return [
            (Caller(each.name, each.tenant), each.digest)
            for each in read_tokens(file)
            if each.scopes & wanted
        ]


def make_token(name: str, scopes: Sequence[str], tenant: str = "") -> tuple[str, str]:
    """Return a new token of 256 random bits and its entry for the file. Raises `ConfigError`."""
    token = "hop_" + secrets.token_urlsafe(32)
    digest = sha256(token.encode()).hexdigest()
    unique = list(dict.fromkeys(scopes))
    _read_entry(Path("a new token"), name, {"sha256": digest, "scopes": unique, "tenant": tenant})
    listed = ", ".join(f'"{each}"' for each in unique)
    entry = f'["{name}"]\nsha256 = "{digest}"\nscopes = [{listed}]'
    return token, entry + (f'\ntenant = "{tenant}"' if tenant else "")


def check_token_tenants(file: Path, tenants: TenantSettings) -> None:
    """
    Check that every token of a file is of a tenant that is there.

    Raises:
        ConfigError: one is not, or the file cannot be read; the message names it.
    """
    for each in read_tokens(file):
        if each.tenant not in ("", ANY_TENANT, *tenants.names):
            raise ConfigError(
                f"HOPLINE_TOKENS_FILE: {file}: [{each.name}]: tenant {each.tenant[:40]!r} is not "
                "in HOPLINE_TENANTS"
            )


def read_tokens(file: Path) -> list[NamedToken]:
    """
    Read a file of tokens.

    Raises:
        ConfigError: it cannot be read, or an entry is wrong; the message names it.
    """
    try:
        entries = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigError(f"HOPLINE_TOKENS_FILE: {file}: {exc}") from exc
    return [_read_entry(file, name, entry) for name, entry in entries.items()]


def _read_entry(file: Path, name: str, entry: Any) -> NamedToken:
    fields: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    digest, scopes = fields.get("sha256"), fields.get("scopes")
    where = f"HOPLINE_TOKENS_FILE: {file}: [{name}]"
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: a name is letters, digits and -_.@")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ConfigError(f"{where}: sha256 is the token's digest, 64 hexadecimal digits")
    if not isinstance(scopes, list) or not scopes or not all(each in SCOPES for each in scopes):
        raise ConfigError(f"{where}: scopes is a list of {', '.join(SCOPES)}")
    tenant = fields.get("tenant", "")
    if not isinstance(tenant, str):
        raise ConfigError(f"{where}: tenant is one of HOPLINE_TENANTS, or *")
    unknown = set(fields) - {"sha256", "scopes", "tenant"}
    if unknown:
        raise ConfigError(f"{where}: {min(unknown)} is unknown")
    return NamedToken(name, bytes.fromhex(digest), frozenset(scopes), tenant)
