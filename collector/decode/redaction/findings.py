"""
What is written in place of a secret, and how many were replaced.
"""

import hmac
from collections import Counter
from hashlib import sha256

MASK = "[REDACTED]"
_OPENING = MASK[:-1]


class Findings:
    """
    Counts masked values by kind, and writes what stands in their place.

    With a *salt* equal values become equal marks (`[REDACTED:5f0c…]`, 64 bits of an HMAC), so
    that they still join requests; without it all become `[REDACTED]`.
    """

    def __init__(self, salt: bytes = b"", tenant: str = "") -> None:
        self.counts: Counter[str] = Counter()
        self._key = hmac.digest(salt, tenant.encode(), sha256) if salt else b""

    def hide(self, kind: str, value: str | bytes) -> str:
        """Count *value*, a secret of this *kind*, and return its mark."""
        self.counts[kind] += 1
        if not self._key:
            return MASK
        data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
        return f"{_OPENING}:{hmac.digest(self._key, data, sha256).hex()[:16]}]"


def is_mark(value: str) -> bool:
    """Tell whether *value* is a mark already."""
    return value.startswith(_OPENING)


def has_mark(data: bytes, at: int) -> bool:
    """Tell whether a mark begins in *data* at *at*."""
    return at >= 0 and data.startswith(_OPENING.encode(), at)
