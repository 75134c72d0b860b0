"""The fuzz harnesses of OTLP and the mesh hold on their seeds and on simple mutations of them."""

import random
import time
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from tests.fuzz import access_logs, mesh_spans, otlp

ROUNDS = 1500


def _mutated(seeds: list[bytes], rounds: int) -> Iterator[bytes]:
    """Give seeds with bytes flipped, cut, doubled and joined, the same ones each time."""
    chance = random.Random(20)
    changes: tuple[Callable[[bytearray], object], ...] = (
        lambda data: data.__setitem__(chance.randrange(len(data)), chance.randrange(256)),
        lambda data: data.__delitem__(slice(chance.randrange(len(data)), None)),
        lambda data: data.__delitem__(chance.randrange(len(data))),
        lambda data: data.extend(chance.choice(seeds)[1:]),
        lambda data: data.insert(chance.randrange(len(data)), chance.choice((0, 1, 127, 128, 255))),
    )
    for _ in range(rounds):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(1, 5)):
            if len(data) > 1:
                chance.choice(changes)(data)
        yield bytes(data)


@pytest.mark.parametrize(
    "harness", [otlp, mesh_spans, access_logs], ids=lambda module: module.__name__
)
def test_harness_holds_on_seeds_and_mutations(harness: ModuleType) -> None:
    """No decoder fails in a way that is not its own, and none takes long."""
    seeds = list(harness.seeds())
    for data in (*seeds, *_mutated(seeds, ROUNDS)):
        started = time.thread_time()
        harness.TestOneInput(data)
        assert time.thread_time() - started < 1, data
