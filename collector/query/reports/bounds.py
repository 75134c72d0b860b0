"""
How far two sets of requests are apart: percentiles and the share of failures, with bounds.

Pure. A percentile of a sample is bounded by order statistics of the sample's effective size; the
difference of two by the distances of their own bounds. Unequal weights are worth fewer requests.

Source: Woodruff 1952 (bounds of quantiles in weighted samples); Zou and Donner 2008 (MOVER: bounds
of a difference); Agresti and Coull 1998 (bounds of a share).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collector.query.reports.cohorts import Floats, effective_size, weighted_quantiles

LEAST = 20
# Several numbers of several changes are looked at: 99 % each keeps false alarms rare.
_Z = 2.576
_LEAST_RATIO = 0.05
_LEAST_NS = 500_000
_LEAST_SHARE = 0.005


@dataclass(frozen=True, slots=True)
class Bounded:
    """An estimate, between *lower* and *upper*."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Requests: how long each took in ns (NaN: not known), whether it failed, and its weight."""

    took: Floats
    failed: Floats
    weights: Floats

    @classmethod
    def of(
        cls, took_ns: Sequence[int | None], failed: Sequence[bool], weights: Sequence[float]
    ) -> "Sample":
        """Return the sample of parallel sequences."""
        took = [math.nan if each is None else float(each) for each in took_ns]
        return cls(
            np.array(took, dtype=np.float64),
            np.array(failed, dtype=np.float64),
            np.array(weights, dtype=np.float64),
        )

    def __len__(self) -> int:
        return len(self.weights)


def bound_quantile(sample: Sample, level: float) -> Bounded | None:
    """Return a percentile of the durations, `None` where fewer than `LEAST` are known."""
    known = ~np.isnan(sample.took)
    took, weights = sample.took[known], sample.weights[known]
    if len(took) < LEAST:
        return None
    reach = _Z * math.sqrt(level * (1 - level) / effective_size(weights))
    levels = (level, max(level - reach, 0.0), min(level + reach, 1.0))
    return Bounded(*weighted_quantiles(took, weights, levels))


def bound_failures(sample: Sample) -> Bounded | None:
    """Return the share of failed ones, `None` where there are fewer than `LEAST`."""
    if len(sample) < LEAST:
        return None
    size = effective_size(sample.weights)
    share = float(sample.weights @ sample.failed / sample.weights.sum())
    middle = (share * size + _Z**2 / 2) / (size + _Z**2)
    reach = _Z * math.sqrt(middle * (1 - middle) / (size + _Z**2))
    return Bounded(share, max(middle - reach, 0.0), min(middle + reach, 1.0))


def subtract(after: Bounded, before: Bounded) -> Bounded:
    """Return the difference of two independent estimates."""
    lower = math.hypot(after.value - after.lower, before.upper - before.value)
    upper = math.hypot(after.upper - after.value, before.value - before.lower)
    delta = after.value - before.value
    return Bounded(delta, delta - lower, delta + upper)


def is_shift_of_time(delta: Bounded, before: Bounded) -> bool:
    """Tell whether a difference of durations is neither chance nor too small to matter."""
    least = max(_LEAST_RATIO * before.value, _LEAST_NS)
    return _is_sure(delta) and abs(delta.value) >= least


def is_shift_of_failures(delta: Bounded) -> bool:
    """Tell whether a difference of shares is neither chance nor too small to matter."""
    return _is_sure(delta) and abs(delta.value) >= _LEAST_SHARE


def _is_sure(delta: Bounded) -> bool:
    return delta.lower > 0 or delta.upper < 0
