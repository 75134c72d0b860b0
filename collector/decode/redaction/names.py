"""
Which names stand for secrets: keys, headers, parameters, columns, flags.

Exact names count where a key ends with them (`x-api-key`), words anywhere in it (`*token*`), and
short ones only as a part of their own (`db_pass`, `x-auth`, `userPin`, not `compass`).

Source: OpenTelemetry semantic conventions (header capture), Azure SAS and API Management
documentation, RFC 6749 and 7636 (OAuth parameters), PCI DSS 3.3 (card data).
"""

from collections.abc import Sequence
from typing import Any

import re2

EXACT = (
    "authorization",
    "cookie2?",
    "api[-_. ]?key",
    "subscription[-_. ]?key",
    "functions[-_. ]?key",
    "(?:account|access|primary|secondary|private|encryption|decryption|master|auth|ssh|gpg|pgp|aes"
    "|hmac|sentry|shared|storage|deploy|licen[cs]e|signing|webhook|admin|app|application|consumer|ingest"
    "|ingestion|symmetric|root|recovery|sso|sas|service[-_. ]?account)[-_. ]?key",
    "(?:store|key|user|db|database|root|smtp|ftp|ldap|proxy|mysql|pg|svc|bind|sudo|become|ssh)pass",
    "honeycomb[-_.]team",
    "jfrog[-_.]art[-_.]api",
    "rspauth",
    "oauth2[-_]bearer",
    # passwords of German, Portuguese, Spanish, French, Russian and Chinese programs
    "kennwort",
    "senha",
    r"contrase(?:n|\xc3\xb1)a",
    "mot[-_ ]de[-_ ]passe",
    r"\xd0[\x9f\xbf]\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c",
    r"\xe5\xaf\x86\xe7\xa0\x81",
    "client[-_. ]?cert",
    "www[-_]authenticate",
    "proxy[-_]authenticate",
    "authentication[-_]info",
    "(?:verification|security|mfa|2fa|otp|auth|authorization|recovery|backup|pin)[-_. ]?code",
    "code[-_. ]?verifier",
    "client[-_. ]?assertion",
    "saml[-_. ]?(?:response|assertion)",
    "card[-_. ]?(?:number|num|no)",
    "social[-_. ]?security(?:[-_. ]?(?:number|no))?",
    "requirepass",
    "masterauth",
    "phpsessid",
    "sess(?:ion)?[-_.]?id",
)
WORDS = (
    "token",
    "secret",
    "passw",
    "passphrase",
    "passcode",
    "pwd",
    "session",
    "credential",
    "signature",
    "jwt",
    "client[-_]principal",
)
SHORT = "pass|pw|crumb|auth|otp|totp|pin|psk|cvv2?|cvc2?|ssn|creds?|passwd"
# of these a number is a secret too; under the others it is a count
NUMERIC_LONG = (
    "passw|passphrase|passcode|pwd|secret|card[-_. ]?(?:number|num|no)|api[-_. ]?key"
    "|(?:verification|security|mfa|2fa|auth|recovery|pin)[-_. ]?code"
)
NUMERIC_SHORT = "otp|totp|pin|cvv2?|cvc2?|ssn"
# query parameters of OAuth, Azure Functions, shared access signatures and map services
PARAMETERS = (
    f"sig|code|assertion|key|hmac|sid|{SHORT}|samlresponse|samlrequest|oauth_verifier|ticket|apikey"
    "|(?:[-\\w]{1,24}[-_.])?sign|(?:api|app|req|pay)sign|[-\\w]{1,24}[-_.]sig|openid\\.sig"
    "|[su]?key|[as]k|(?:user|reset|invite|activation|write|read|app)[-_]?key"
    "|(?:device|user|activation|confirmation|invit(?:e|ation)|reset|login|registration)[-_]?code"
    "|_wpnonce|tk|tok|tkn|sess(?:id)?|ssid|csrf|xsrf|ott|refresh|wresult|samlart|magic"
)
TAIL = r"(?:[-\w.\[\]]|%5b|%5d)*"
# before a short name: no letter or digit, or the length byte of a serialized text
LEFT = r"(?:^|[^a-z0-9]|[\x01-\x1f\x80-\xff][a-z0-9])"
_CAMEL = r"(?-i:[a-z](?:Pass|Pw|Pin|Otp|Auth|Psk|Cvv|Cvc|Ssn|Creds))"
# what is said of a secret is none: its kind, size, place or life
_ABOUT = (
    "types?|counts?|usage|limit|bucket|length|len|size|ttl|expiry|expires|expires[-_.]?(?:in|at|on)"
    "|expired|expiration|age|duration|timeout|max|min|rate|total|names?|kind|algorithm|alg|method"
    "|version|policy|state|status|valid|invalid|enabled|disabled|required|present|provider|issuer"
    "|endpoint|ur[il]|path|file|field|header|manager|affinity|created|started|stdin|prompt|mode|(?:key)?refs?"
)
_HARMLESS_KEY = (
    rf"(?:token|secret|password|session|signature|credential|cookie|jwt|auth|pass)s?[-_.]?"
    rf"(?:{_ABOUT})(?:[-_.][-_.\w]*)?$|tokens$|sessions$|token[-_.]ids?$|tokeni[sz]|secretar"
    r"|passwordless|imagepullsecrets?$|max[-_]tokens|gen_ai\.usage|session[-_.]affinity"
)
_ID_KEY = "(?:request|correlation|trace|span|message|transaction|record)[-_.]?id$"
_KEY_CACHE = 10_000


def compile_pattern(*alternatives: str, has_groups: bool = False) -> Any:
    """Compile alternatives for bytes, without case. Linear time whatever the text (RE2)."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = False
    options.dot_nl = True
    options.log_errors = False
    options.never_capture = not has_groups
    options.max_mem = 64 * 1024 * 1024
    return re2.compile("|".join(alternatives).encode("latin-1"), options)


class Names:
    """
    The built-in names, with *extra* exact ones of the operator's and without the *allowed* ones.

    `exact`, `words` and `any` are patterns to build searches from; `any` is wider than
    `is_secret`, which decides.
    """

    def __init__(self, extra: Sequence[str] = (), allowed: Sequence[str] = ()) -> None:
        self.exact = "|".join((*EXACT, *(quote_name(key) for key in extra if key)))
        self.words = "|".join(WORDS)
        self.any = rf"(?:(?:{self.exact})|(?:{self.words}){TAIL}|{LEFT}(?:{SHORT})|{_CAMEL})"
        self._long = compile_pattern(rf"(?:{self.exact})$", self.words)
        self._short = compile_pattern(rf"(?:^|[^a-z0-9])(?:{SHORT})$", rf"{_CAMEL}$")
        self._extra = compile_pattern(*(f"(?:{quote_name(key)})$" for key in extra if key))
        self._has_extra = any(extra)
        self._header = compile_pattern(rf"^[-\w]*(?:{self.exact})$")
        self._harmless = compile_pattern(_HARMLESS_KEY)
        self._numeric = compile_pattern(
            NUMERIC_LONG,
            rf"(?:^|[^a-z0-9])(?:{NUMERIC_SHORT})$",
            r"(?-i:[a-z](?:Pin|Otp|Cvv|Ssn))$",
        )
        self._id_key = compile_pattern(_ID_KEY)
        self._allowed = frozenset(key.lower() for key in allowed)
        self._known: dict[str, bool] = {}

    def is_secret(self, key: str) -> bool:
        """Tell whether the value under *key* is a secret whatever it looks like."""
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _KEY_CACHE:
                self._known.clear()
            known = self._decide(key)
            self._known[key] = known
        return known

    def is_short(self, key: str) -> bool:
        """Tell whether only a short name makes *key* secret: then plain words are no values."""
        return not self._long.search(_bytes(key))

    def is_numeric(self, key: str) -> bool:
        """Tell whether a number under a secret *key* is the secret, and no count."""
        data = _bytes(key)
        return bool(self._numeric.search(data) or (self._has_extra and self._extra.search(data)))

    def is_header(self, key: str) -> bool:
        """Tell whether *key* is one of the exact names, as headers are called."""
        return bool(self._header.search(_bytes(key)))

    def is_id(self, key: str) -> bool:
        """Tell whether *key* names an id that joins requests."""
        return bool(self._id_key.search(_bytes(key)))

    def _decide(self, key: str) -> bool:
        if key.lower() in self._allowed:
            return False
        data = _bytes(key)
        if self._has_extra and self._extra.search(data):
            return True
        if not (self._long.search(data) or self._short.search(data)):
            return False
        return not self._harmless.search(data)


def quote_name(key: str) -> str:
    """Match an operator's key name literally, `-` and `_` alike."""
    return "".join(
        "[-_]"
        if byte in b"-_"
        else chr(byte)
        if chr(byte).isalnum() and byte < 128
        else rf"\x{byte:02x}"
        for byte in key.strip().encode()
    )


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "replace")
