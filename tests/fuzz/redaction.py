"""
Masking of texts: a vendor's token that stands by itself goes, whatever is written around it.

The input's checksum chooses the token; the input is cut in two and written before and behind.
"""

import random
import zlib
from collections.abc import Iterator
from pathlib import Path

from collector.decode.redaction.redactor import Redactor
from tests.unit.decode.redaction.test_corpus import TEMPLATES, VENDOR_TOKENS, fill

FOUND = Path(__file__).parent / "seeds/redaction"
DECODERS = ("texts",)
_REDACTOR = Redactor()
_CHANCE = random.Random(19)
_TOKENS = [
    (prefix, "".join(_CHANCE.choice(alphabet) for _ in range(length)))
    for prefix, alphabet, length in VENDOR_TOKENS
]


def TestOneInput(data: bytes) -> bool:  # noqa: N802
    """Mask one text and look for its token; return whether there was anything around it."""
    prefix, secret = _TOKENS[zlib.crc32(data) % len(_TOKENS)]
    around = data[1:].decode("utf-8", "replace")
    middle = len(around) // 2
    masked = _REDACTOR.redact_text(f"{around[:middle]} {prefix}{secret} {around[middle:]}")
    assert secret not in masked, (prefix, around)
    return bool(around)


def seeds() -> Iterator[bytes]:
    """Give what was found before, and every line of the corpus around every token."""
    yield from (path.read_bytes() for path in sorted(FOUND.glob("*")))
    for template in TEMPLATES:
        yield b"\0" + fill(template, "Zq7xK2mV9tLw4RbN").encode()
