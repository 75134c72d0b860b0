"""
Payloads made by mutation alone: many more a second than coverage can guide.

They begin at the harness's seeds and at what guided runs have kept in its corpus, so that they
get as deep as those did.
"""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

# numbers, words and signs that decoders have had trouble with
_ODD = (
    *(b"%d" % number for number in (-1, 0, 2**31, 2**32, 2**63, 2**64, 10**30)),
    *b"1e400 -0.0 NaN Infinity 0x1F null true [] {} \"\" ''".split(),
    *(b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\0", b"\\u0000", b"\\ud800", b"\xef\xbb\xbf"),
    *(b"\xff" * 9 + b"\x01", b"\x80" * 10, b"\r\n", b'","', b"[" * 200, b'{"a":' * 200),
)
_MOST_BYTES = 16 * 1024
SLOW_S = 5.0


@dataclass
class Figures:
    """What one decoder did with its payloads."""

    payloads: int = 0
    refused: int = 0
    crashes: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0


class Mutations:
    """Endless payloads for one harness, those of one decoder at a time."""

    def __init__(self, harness: ModuleType, corpus: Path, chance: random.Random) -> None:
        kept = [path.read_bytes() for path in sorted(corpus.glob("*"))]
        self._all = [each[:_MOST_BYTES] for each in (*harness.seeds(), *kept) if len(each) > 1]
        self._chance = chance
        count = len(harness.DECODERS)
        self._starts = [
            [each[1:] for each in self._all if each[0] % count == number] or [b"{}"]
            for number in range(count)
        ]

    def take(self, decoder: int, count: int) -> Iterator[bytes]:
        """Yield *count* payloads; the first byte is the number of the decoder."""
        starts, chance, first = self._starts[decoder], self._chance, bytes([decoder])
        for _ in range(count):
            data = chance.choice(starts)
            for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
                data = self._change(data)
            yield first + data

    def _change(self, data: bytes) -> bytes:
        chance = self._chance
        at = chance.randrange(len(data) + 1)
        end = at + chance.choice((0, 1, 1, 2, 4, 8, 32))
        kind = chance.randrange(7)
        if kind == 0:
            return data[:at] + chance.randbytes(1) + data[at + 1 :]
        if kind == 1:
            return data[:at] + data[end:]
        if kind == 2:
            return data[:at] + chance.choice(_ODD) + data[end:]
        if kind == 3:
            return data[:end] + data[at:]
        if kind == 4:
            other = chance.choice(self._all)
            begin = chance.randrange(len(other))
            return data[:at] + other[begin : begin + end - at + 8] + data[end:]
        if kind == 5:
            flipped = bytes([data[at] ^ 1 << chance.randrange(8)]) if at < len(data) else b""
            return data[:at] + flipped + data[at + 1 :]
        return data[:at] if chance.random() < 0.1 else self._swap(data, at)

    def _swap(self, data: bytes, at: int) -> bytes:
        """Put a value of another payload where a value of JSON, or of a line of text, stands."""
        begin = max(data.find(sign, at) for sign in (b":", b" ", b",")) + 1
        other = self._chance.choice(self._all)
        value = self._chance.choice(other.split(b",")).rpartition(b":")[2]
        end = min((i for i in (data.find(s, begin) for s in b", }") if i >= 0), default=len(data))
        return data[:begin] + value + data[end:]


def run(
    harness: ModuleType, payloads: Iterator[bytes], figures: Figures, kept: Path
) -> Sequence[Path]:
    """Give each payload to the harness and add to *figures*; return the files of the bad ones."""
    bad = []
    began = time.monotonic()
    for data in payloads:
        start = time.thread_time()
        try:
            figures.refused += not harness.TestOneInput(data)
            has_failed = False
        except Exception as exc:  # noqa: BLE001 whatever it is, it is what is looked for
            print(f"{type(exc).__name__}: {exc}", flush=True)
            has_failed = True
        took_s = time.thread_time() - start
        figures.payloads += 1
        figures.slowest_s = max(figures.slowest_s, took_s)
        if has_failed or took_s > SLOW_S:
            figures.crashes += 1
            path = kept / f"mutated-{random.getrandbits(64):016x}"
            path.write_bytes(data)
            bad.append(path)
    figures.seconds += time.monotonic() - began
    return bad
