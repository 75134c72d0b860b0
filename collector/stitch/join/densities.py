"""
Probability densities learned from samples: smooth, never zero, quick to look up.

A share of each density is spread over a wide range, so that a value never seen before is unlikely
and not impossible: a join must not become certain because its rival is unprecedented.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
_BINS = 1024
# What is not explained by the samples: spread evenly over twenty times their range.
_SURPRISE = 0.02
_WIDE = 20.0


@dataclass(frozen=True, slots=True)
class Density:
    """A density over a grid; outside of the grid it is the floor."""

    grid: Numbers
    values: Numbers
    floor: float

    def log_at(self, points: Numbers) -> Numbers:
        """Return the natural logarithm of the density at *points*, per unit of the samples."""
        found = np.interp(points, self.grid, self.values, left=0.0, right=0.0)
        return np.asarray(np.log(np.maximum(found, 0.0) + self.floor), dtype=np.float64)

    def quantile(self, share: float) -> float:
        """Return the value below which *share* of the density lies."""
        cumulated = np.cumsum(self.values)
        if cumulated[-1] <= 0:
            return float(self.grid[0])
        place = int(np.searchsorted(cumulated / cumulated[-1], share))
        return float(self.grid[min(place, len(self.grid) - 1)])


def learn_density(samples: Numbers, step: float) -> Density:
    """
    Return the density of *samples*, which are known to within *step*.

    A histogram smoothed by a normal kernel; its width follows Silverman's rule and is never below
    the step's own spread.
    """
    low, high = float(samples.min()), float(samples.max())
    width = max(_silverman(samples), step / 2.0, 1.0)
    low, high = low - 5 * width, high + 5 * width
    grid = np.linspace(low, high, _BINS)
    bin_width = (high - low) / (_BINS - 1)
    places = np.clip(np.rint((samples - low) / bin_width).astype(np.int64), 0, _BINS - 1)
    counts = np.bincount(places, minlength=_BINS).astype(np.float64)
    reach = int(np.clip(np.ceil(4 * width / bin_width), 1, _BINS // 2 - 1))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * bin_width / width) ** 2)
    smooth = np.convolve(counts, kernel / kernel.sum(), mode="same")
    values = smooth / max(smooth.sum() * bin_width, 1e-300)
    floor = _SURPRISE / (_WIDE * (high - low))
    return Density(grid, (1 - _SURPRISE) * values, floor)


def _silverman(samples: Numbers) -> float:
    if len(samples) < 2:
        return 0.0
    lower, upper = np.quantile(samples, [0.25, 0.75])
    # Latencies have long tails: the quartiles tell the body's width, the deviation does not.
    spread = min(float(samples.std()), float(upper - lower) / 1.34) or float(samples.std())
    return float(0.9 * spread * float(len(samples)) ** -0.2)
