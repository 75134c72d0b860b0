"""
What a set of requests has that another one has not.

In: observations, one a request, with the features it has. Out: `Difference`s, the likeliest cause
first. Pure: no store, no time.

Each request has one vote for each of its features, however many spans it has. A difference between
two shares is told with its confidence bound; the rate of false findings among all that are told is
held below 5 %. Values that occur in the same requests are one finding. A finding that another one
explains, because within the requests that have the other and within those that have not it makes no
difference, is left out.

Source: Agresti and Caffo 2000 (interval of a difference of proportions);
Benjamini and Hochberg 1995 (false discovery rate); Mantel and Haenszel 1959 (strata); Kish 1965
(effective size of a weighted sample).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from collector.answers import Duration

# With fewer requests on a side nothing can be told from chance.
MIN_SELECTED = 20
MIN_BASELINE = 40
FALSE_DISCOVERY_RATE = 0.05
# A value that fewer of the selected requests have is no explanation of them.
_MIN_SUPPORT = 8
_MIN_SUPPORT_RATIO = 0.05
_MIN_LOWER = 0.05
_Z = 1.96
_SAME_REQUESTS = 0.9
_MIN_OWN_EFFECT = 0.02
# What happened to a request says less about why than what it was and where it ran.
_SYMPTOM_SCORE = 0.6
_MOST_FEATURES = 4_000
_MOST_FINDINGS = 10
_MOST_EXAMPLES = 5
MOST_TIMES = 100
"""Phases and calls whose times are compared."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Feature:
    """
    Something that a request has: `name` is what, `value` which, `service` of whom, if any.

    A symptom is what happened to the request; the rest was settled before it ran.
    """

    name: str
    value: str
    service: str = ""
    is_symptom: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """One request: how many it stands for, how long it took, and what it has."""

    id: str
    weight: float
    duration_ns: int
    features: frozenset[Feature]
    times_ns: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    """Time on the critical path by phase (`("phase", name)`) and by calls (service, operation)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """
    A feature that the selected requests have more often than the others.

    Shares are of the requests that the observations stand for; `lower` and `upper` bound their
    difference at 95 %. `q_value` is the rate of false findings at which this one is still told.
    `also` are features of the same requests. `delta_ns` is how much longer requests with it take,
    in the median over both sides, `None` where all or none have it.
    """

    feature: Feature
    also: tuple[Feature, ...]
    share_selected: float
    share_baseline: float
    lower: float
    upper: float
    q_value: float
    selected: int
    baseline: int
    delta_ns: Duration | None
    examples_selected: tuple[str, ...]
    examples_baseline: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeDifference:
    """
    Where the selected requests spend more time: a phase, or the calls of a service.

    Means over all requests of a side, also over those without it; `share` is its part of the
    difference in duration, and `requests` on how many it rests.
    """

    key: tuple[str, ...]
    selected_ns: int
    baseline_ns: int
    p50_ns: int
    p95_ns: int
    share: float
    requests: int


def find_differences(
    selected: Sequence[Observation], baseline: Sequence[Observation]
) -> list[Difference]:
    """
    Return what the selected requests have more often, the likeliest cause first.

    Both sides are needed in some number (`MIN_SELECTED`, `MIN_BASELINE`); less gives nothing.
    """
    if len(selected) < MIN_SELECTED or len(baseline) < MIN_BASELINE:
        return []
    features = _supported(selected)
    if not features:
        return []
    sides = _Sides.build(selected, baseline, features)
    lower, upper = sides.bounds()
    q_values = adjust(sides.p_values())
    found = [
        at
        for at in range(len(features))
        if q_values[at] <= FALSE_DISCOVERY_RATE and lower[at] >= _MIN_LOWER
    ]
    scores = {at: score(features[at], float(lower[at])) for at in found}
    found.sort(key=lambda at: (-scores[at], features[at].name, features[at].value))
    groups = _group(sides, found)
    told = _own_effects(sides, features, [head for head, _ in groups])
    durations = np.array([each.duration_ns for each in (*selected, *baseline)], dtype=np.float64)
    return [
        Difference(
            feature=features[head],
            also=tuple(features[at] for at in others),
            share_selected=float(sides.shares[0][head]),
            share_baseline=float(sides.shares[1][head]),
            lower=float(lower[head]),
            upper=float(upper[head]),
            q_value=float(q_values[head]),
            selected=int(sides.has[0][:, head].sum()),
            baseline=int(sides.has[1][:, head].sum()),
            delta_ns=_delta(durations, np.concatenate([side[:, head] for side in sides.has])),
            examples_selected=_examples(selected, sides.has[0][:, head]),
            examples_baseline=_examples(baseline, ~sides.has[1][:, head]),
        )
        for head, others in groups
        if head in told
    ][:_MOST_FINDINGS]


def score(feature: Feature, lower: float) -> float:
    """Return how likely a feature is the cause, from the least that it differs by."""
    return lower * (_SYMPTOM_SCORE if feature.is_symptom else 1)


def find_times(
    selected: Sequence[Observation], baseline: Sequence[Observation]
) -> list[TimeDifference]:
    """
    Return where the time of both sides goes, by how much more it is in the selected requests.

    Of more than `MOST_TIMES` places those where they differ most: operations are named by whoever
    traces, at times with an id in each name, and every place is looked for in every request.
    """
    means = [_means(side) for side in (selected, baseline)]
    keys = dict.fromkeys((*means[0], *means[1]))
    deltas = {key: means[0].get(key, 0.0) - means[1].get(key, 0.0) for key in keys}
    total = _mean_duration(selected) - _mean_duration(baseline)
    everything = [*selected, *baseline]
    weight = np.array([each.weight for each in everything], dtype=np.float64)
    looked_at = sorted(keys, key=lambda key: (key[0] != "phase", -abs(deltas[key])))[:MOST_TIMES]
    found = []
    for key in looked_at:
        times = np.array([each.times_ns.get(key, 0) for each in everything], dtype=np.float64)
        half, most = weighted_quantiles(times, weight, (0.5, 0.95))
        found.append(
            TimeDifference(
                key=key,
                selected_ns=round(means[0].get(key, 0.0)),
                baseline_ns=round(means[1].get(key, 0.0)),
                p50_ns=round(half),
                p95_ns=round(most),
                share=deltas[key] / total if total > 0 else 0.0,
                requests=sum(key in each.times_ns for each in everything),
            )
        )
    return sorted(found, key=lambda each: each.baseline_ns - each.selected_ns)


def weighted_quantiles(
    values: Floats, weights: Floats, quantiles: Iterable[float]
) -> tuple[float, ...]:
    """
    Return quantiles of what the values stand for: each at the middle of its weight, in between
    interpolated.
    """
    if not len(values):
        return tuple(math.nan for _ in quantiles)
    order = np.argsort(values, kind="stable")
    ordered, weight = values[order], weights[order]
    middles = np.cumsum(weight) - weight / 2
    at = middles / weight.sum()
    return tuple(float(np.interp(quantile, at, ordered)) for quantile in quantiles)


def adjust(p_values: Floats) -> Floats:
    """Return the q value of each p value: the least false discovery rate at which it is told."""
    count = len(p_values)
    order = np.argsort(p_values)
    ranked = p_values[order] * count / np.arange(1, count + 1)
    adjusted = np.minimum.accumulate(ranked[::-1])[::-1]
    q_values = np.empty(count)
    q_values[order] = np.minimum(adjusted, 1.0)
    return q_values


@dataclass(frozen=True, slots=True)
class _Sides:
    """
    Selected (0) and baseline (1): which request has which feature, and what follows for all.

    `sizes` are effective: so many requests of equal weight would tell as much. A sampled side of
    unequal weights is worth less than its number.
    """

    has: tuple[Flags, Flags]
    weights: tuple[Floats, Floats]
    shares: tuple[Floats, Floats]
    sizes: tuple[float, float]

    @classmethod
    def build(
        cls,
        selected: Sequence[Observation],
        baseline: Sequence[Observation],
        features: Sequence[Feature],
    ) -> "_Sides":
        places = {feature: at for at, feature in enumerate(features)}
        has = tuple(_matrix(side, places) for side in (selected, baseline))
        weights = tuple(np.array([each.weight for each in side]) for side in (selected, baseline))
        shares = tuple(
            (weight @ flags) / weight.sum() for flags, weight in zip(has, weights, strict=True)
        )
        sizes = tuple(effective_size(weight) for weight in weights)
        return cls(has, weights, shares, sizes)  # type: ignore[arg-type]  # pairs, by construction

    def bounds(self) -> tuple[Floats, Floats]:
        """Return the 95 % interval of each difference, after Agresti and Caffo."""
        variance = np.zeros(len(self.shares[0]))
        middle = np.zeros(len(self.shares[0]))
        for sign, share, size in zip((1, -1), self.shares, self.sizes, strict=True):
            moved = (share * size + 1) / (size + 2)
            middle += sign * moved
            variance += moved * (1 - moved) / (size + 2)
        reach = _Z * np.sqrt(variance)
        return middle - reach, middle + reach

    def p_values(self) -> Floats:
        """
        Return how likely each surplus would be by chance: Fisher's exact test, one-sided.

        It needs whole numbers: counts are scaled to the effective sizes and rounded.
        """
        sizes = [max(round(size), 1) for size in self.sizes]
        counts = [
            np.rint(share * size).astype(np.int64)
            for share, size in zip(self.shares, sizes, strict=True)
        ]
        logs = _log_factorials(sum(sizes))
        return np.array(
            [
                _fisher(int(mine), int(other), sizes[0], sizes[1], logs)
                for mine, other in zip(*counts, strict=True)
            ]
        )


def effective_size(weights: Floats) -> float:
    """Return how many requests of equal weight tell as much as these."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def _matrix(side: Sequence[Observation], places: Mapping[Feature, int]) -> Flags:
    flags = np.zeros((len(side), len(places)), dtype=np.bool_)
    for row, each in enumerate(side):
        found = [places[feature] for feature in each.features if feature in places]
        flags[row, found] = True
    return flags


def _supported(selected: Sequence[Observation]) -> list[Feature]:
    """Return the features that enough of the selected requests have, in a fixed order."""
    counts = Counter(feature for each in selected for feature in each.features)
    least = max(_MIN_SUPPORT, math.ceil(_MIN_SUPPORT_RATIO * len(selected)))
    kept = [(feature, count) for feature, count in counts.items() if count >= least]
    kept.sort(key=lambda pair: (-pair[1], pair[0].name, pair[0].service, pair[0].value))
    return [feature for feature, _ in kept[:_MOST_FEATURES]]


def _log_factorials(most: int) -> Floats:
    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, most + 1)))))


def _fisher(mine: int, other: int, size: int, other_size: int, logs: Floats) -> float:
    """Return the chance that of `mine + other` requests with a feature so many are selected."""
    having, everything = mine + other, size + other_size
    most = min(having, size)
    if mine > most:
        return 1.0
    at = np.arange(mine, most + 1)
    chosen = logs[size] - logs[at] - logs[size - at]
    left = having - at
    possible = left <= other_size
    at, chosen, left = at[possible], chosen[possible], left[possible]
    rest = logs[other_size] - logs[left] - logs[other_size - left]
    whole = logs[everything] - logs[having] - logs[everything - having]
    return float(min(np.exp(chosen + rest - whole).sum(), 1.0))


def _group(sides: _Sides, found: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Put features of the same requests together; the first of a group stands for it."""
    groups: list[tuple[int, list[int]]] = []
    columns = {at: np.concatenate([side[:, at] for side in sides.has]) for at in found}
    for at in found:
        for head, others in groups:
            both = np.count_nonzero(columns[at] & columns[head])
            either = np.count_nonzero(columns[at] | columns[head])
            if both > _SAME_REQUESTS * either:
                others.append(at)
                break
        else:
            groups.append((at, []))
    return groups


def _own_effects(sides: _Sides, features: Sequence[Feature], heads: Sequence[int]) -> set[int]:
    """
    Return the features that make a difference also where those before them are held equal.

    A symptom explains no circumstance: it is what comes of one.
    """
    told: list[int] = []
    for at in heads:
        rivals = [
            other for other in told if features[at].is_symptom or not features[other].is_symptom
        ]
        if all(_differs_within(sides, at, other) for other in rivals):
            told.append(at)
    return set(told)


def _differs_within(sides: _Sides, at: int, other: int) -> bool:
    """Tell whether a feature differs within the requests that have another one, or have it not."""
    total = weight_sum = variance = 0.0
    for has_other in (True, False):
        shares, sizes = [], []
        for flags, weights in zip(sides.has, sides.weights, strict=True):
            within = flags[:, other] == has_other
            weight = weights[within]
            sizes.append(effective_size(weight) if len(weight) else 0.0)
            inside = float(weight @ flags[within, at] / weight.sum()) if len(weight) else 0.0
            shares.append(inside)
        if min(sizes) < 1:
            continue
        strength = sizes[0] * sizes[1] / (sizes[0] + sizes[1])
        total += strength * (shares[0] - shares[1])
        weight_sum += strength
        for share, size in zip(shares, sizes, strict=True):
            moved = (share * size + 1) / (size + 2)
            variance += strength**2 * moved * (1 - moved) / (size + 2)
    if not weight_sum:
        return False
    return (total - _Z * math.sqrt(variance)) / weight_sum > _MIN_OWN_EFFECT


def _delta(durations: Floats, has: Flags) -> int | None:
    if has.all() or not has.any():
        return None
    return round(float(np.median(durations[has]) - np.median(durations[~has])))


def _examples(side: Sequence[Observation], wanted: Flags) -> tuple[str, ...]:
    return tuple(side[at].id for at in np.flatnonzero(wanted)[:_MOST_EXAMPLES])


def _means(side: Sequence[Observation]) -> dict[tuple[str, ...], float]:
    """Return the mean time of each place over all requests of a side."""
    sums: dict[tuple[str, ...], float] = {}
    for each in side:
        for key, time_ns in each.times_ns.items():
            sums[key] = sums.get(key, 0.0) + each.weight * time_ns
    whole = sum(each.weight for each in side)
    return {key: time_ns / whole for key, time_ns in sums.items()} if whole else {}


def _mean_duration(side: Sequence[Observation]) -> float:
    whole = sum(each.weight for each in side)
    return sum(each.weight * each.duration_ns for each in side) / whole if whole else 0.0
