"""
Masking of texts: a vendor's token that stands by itself goes, whatever is written around it.

The first byte of the input chooses the token, the rest is cut in two and written before and behind.
"""

import random
from collections.abc import Iterator

from collector.decode.redaction.redactor import Redactor
from tests.unit.decode.redaction.test_corpus import TEMPLATES, VENDOR_TOKENS, fill

_REDACTOR = Redactor()
_CHANCE = random.Random(19)
_TOKENS = [
    (prefix, "".join(_CHANCE.choice(alphabet) for _ in range(length)))
    for prefix, alphabet, length in VENDOR_TOKENS
]


def TestOneInput(data: bytes) -> bool:  # noqa: N802
    """Mask one text and look for its token; return whether there was anything around it."""
    prefix, secret = _TOKENS[data[0] % len(_TOKENS)] if data else _TOKENS[0]
    around = data[1:].decode("utf-8", "replace")
    middle = len(around) // 2
    masked = _REDACTOR.redact_text(f"{around[:middle]} {prefix}{secret} {around[middle:]}")
    assert secret not in masked, (prefix, around)
    return bool(around)


def seeds() -> Iterator[bytes]:
    """Give every line of the corpus around every token."""
    for number, template in enumerate(TEMPLATES):
        yield bytes([number % 256]) + fill(template, "Zq7xK2mV9tLw4RbN").encode()
