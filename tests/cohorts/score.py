"""Plants causes, asks for them, and counts how often the right one comes first."""

from dataclasses import dataclass

import numpy as np

from collector.query.reports.cohorts import (
    find_differences,
    find_times,
    weighted_quantiles,
)
from tests.cohorts.kinds import KINDS, Blame
from tests.cohorts.population import make, observe, split

COUNT = 20_000
QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Outcome:
    """What was planted, what came first, and at which place the right cause came (0: nowhere)."""

    kind: str
    seed: int
    blamed: Blame
    first: str
    place: int
    findings: int


def run(kind: str, seed: int, count: int = COUNT) -> Outcome:
    """Plant one cause and ask for it."""
    population = make(count, seed)
    blamed = KINDS[kind](population)
    slow, rest = split(observe(population))
    found = find_differences(slow, rest)
    if blamed[0] == "time":
        # Where nothing but the place differs, the place is the answer.
        calls = [each for each in find_times(slow, rest) if each.key[0] == "call"]
        first = " ".join(calls[0].key[1:])
        is_right = calls[0].key[1:] == blamed[1:] and not found
        return Outcome(kind, seed, blamed, first, int(is_right), len(found))
    named = [
        {(each.name, each.value, each.service) for each in (one.feature, *one.also)}
        for one in found
    ]
    place = next((at for at, names in enumerate(named, 1) if blamed in names), 0)
    first = f"{found[0].feature.name} {found[0].feature.value}" if found else "nothing"
    return Outcome(kind, seed, blamed, first, place, len(found))


def run_noise(seed: int, count: int = COUNT) -> int:
    """Return how many findings there are where nothing was planted."""
    slow, rest = split(observe(make(count, seed)))
    return len(find_differences(slow, rest))


def percentile_errors(seed: int, count: int = COUNT) -> list[float]:
    """Return how far the weighted percentiles of a sample are from those of its population."""
    population = make(count, seed)
    KINDS["one pod"](population)
    truth = np.quantile(population.durations_ms, QUANTILES)
    sample = observe(population)
    found = weighted_quantiles(
        np.array([each.duration_ns / 1e6 for each in sample]),
        np.array([each.weight for each in sample]),
        QUANTILES,
    )
    return [abs(mine / right - 1) for mine, right in zip(found, truth, strict=True)]
