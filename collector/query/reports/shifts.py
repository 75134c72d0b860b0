"""
Whether numbers of two ranges differ by more than chance, and by enough to matter.

In: what the records of both add up to. Out: `ApiChange`. Pure.

A percentile is compared by the interval that its neighbours span (Woodruff 1952), a share by
Agresti and Caffo's, a count as Poisson's. All comparisons of an answer are adjusted together, so
that at most 5 % of those called significant are chance (Benjamini and Hochberg 1995). Requests that
come in bursts are less independent than that assumes: what is called significant has to be a
difference of some size as well.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from collector.answers import Duration
from collector.query.reports.cohorts import FALSE_DISCOVERY_RATE, adjust
from collector.query.reports.wanted import ratio
from collector.query.results import TimeRange
from collector.store import GroupStat
from collector.timestamps import NS_PER_MS, NS_PER_S

_Z = 1.96
_MIN_REQUESTS = 20
# A shift matters from a twentieth on: of a time, and not below a millisecond; of a rate a tenth; of
# a share of errors two in a thousand.
_TIME_SHARE = 0.05
_RATE_SHARE = 0.1
_ERROR_SHARE = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeShift:
    """
    A duration then, and how much longer it is now; `None` where either was not measured.

    `q_value` is the rate of false findings at which the shift is still told, `None` with too few
    requests to say.
    """

    before_ns: Duration | None
    delta_ns: Duration | None
    q_value: float | None
    is_significant: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberShift:
    """A number then, and how much greater it is now; see `TimeShift`."""

    before: float
    delta: float
    q_value: float | None
    is_significant: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiChange:
    """
    The same API in another range: the one just `previous`, or the same time a `day` or `week` ago.
    """

    against: str
    range: TimeRange
    requests: int
    requests_per_s: NumberShift
    error_ratio: NumberShift
    p50: TimeShift
    p95: TimeShift


@dataclass(frozen=True, slots=True)
class Pair:
    """
    The same requests in two ranges of the same length.

    While records of the later one are still coming in, their number says nothing: not `is_whole`.
    """

    against: str
    range: TimeRange
    now: GroupStat
    before: GroupStat
    is_whole: bool = True


_Tests = Mapping[str, float]


def compare_pairs(pairs: Sequence[Pair]) -> list[ApiChange]:
    """Return what changed in each pair; all of their tests are adjusted together."""
    p_values = [_p_values(each) for each in pairs]
    keys = [(at, name) for at, found in enumerate(p_values) for name in found]
    q_values: list[dict[str, float]] = [{} for _ in pairs]
    if keys:
        adjusted = adjust(np.array([p_values[at][name] for at, name in keys]))
        for (at, name), value in zip(keys, adjusted, strict=True):
            q_values[at][name] = float(value)
    return [_change(each, found) for each, found in zip(pairs, q_values, strict=True)]


def _change(pair: Pair, q_values: _Tests) -> ApiChange:
    now, before = pair.now, pair.before
    seconds = (pair.range.end_ns - pair.range.start_ns) / NS_PER_S
    rates = (before.requests / seconds, now.requests / seconds)
    ratios = (ratio(before.errors, before.requests), ratio(now.errors, now.requests))
    return ApiChange(
        against=pair.against,
        range=pair.range,
        requests=round(before.requests),
        requests_per_s=_number(*rates, _RATE_SHARE * max(rates), q_values.get("rate")),
        error_ratio=_number(*ratios, _ERROR_SHARE, q_values.get("errors")),
        p50=_time(before, now, 0.5, q_values.get("p50")),
        p95=_time(before, now, 0.95, q_values.get("p95")),
    )


def _number(before: float, now: float, least: float, q_value: float | None) -> NumberShift:
    return NumberShift(
        before=before,
        delta=now - before,
        q_value=q_value,
        is_significant=_is_told(q_value) and abs(now - before) >= least,
    )


def _time(before: GroupStat, now: GroupStat, level: float, q_value: float | None) -> TimeShift:
    old, new = before.quantiles_ns.get(level), now.quantiles_ns.get(level)
    if old is None or new is None:
        return TimeShift(before_ns=old, delta_ns=None, q_value=None, is_significant=False)
    least_ns = max(_TIME_SHARE * max(old, new), NS_PER_MS)
    return TimeShift(
        before_ns=old,
        delta_ns=new - old,
        q_value=q_value,
        is_significant=_is_told(q_value) and abs(new - old) >= least_ns,
    )


def _is_told(q_value: float | None) -> bool:
    return q_value is not None and q_value <= FALSE_DISCOVERY_RATE


def _p_values(pair: Pair) -> dict[str, float]:
    now, before = pair.now, pair.before
    found: dict[str, float] = {}
    if min(now.effective, before.effective) >= _MIN_REQUESTS:
        if pair.is_whole:
            found["rate"] = _p(_rate_z(now, before))
        found["errors"] = _p(_errors_z(now, before))
    for name, level in (("p50", 0.5), ("p95", 0.95)):
        errors = [standard_error_ns(each, level) for each in (now, before)]
        if errors[0] is not None and errors[1] is not None:
            apart = now.quantiles_ns[level] - before.quantiles_ns[level]
            # what is measured in whole milliseconds is no better known than that
            found[name] = _p(apart / math.hypot(errors[0], errors[1], NS_PER_MS / 4))
    return found


def _rate_z(now: GroupStat, before: GroupStat) -> float:
    scale = (now.effective + before.effective) / (now.requests + before.requests)
    return (now.requests - before.requests) * scale / math.sqrt(now.effective + before.effective)


def _errors_z(now: GroupStat, before: GroupStat) -> float:
    middle = variance = 0.0
    for sign, stat in ((1, now), (-1, before)):
        share = (ratio(stat.errors, stat.requests) * stat.effective + 1) / (stat.effective + 2)
        middle += sign * share
        variance += share * (1 - share) / (stat.effective + 2)
    return middle / math.sqrt(variance)


def standard_error_ns(stat: GroupStat, level: float) -> float | None:
    """Return how exactly a percentile is known, `None` when too few requests were measured."""
    measured = stat.measured * min(ratio(stat.effective, stat.requests), 1.0)
    if measured < _MIN_REQUESTS or level not in stat.quantiles_ns:
        return None
    reach = _Z * math.sqrt(level * (1 - level) / measured)
    if level + reach >= 1:
        return None
    levels = sorted(stat.quantiles_ns)
    values = [stat.quantiles_ns[each] for each in levels]
    low, high = np.interp([level - reach, level + reach], levels, values)
    return float(high - low) / (2 * _Z)


def _p(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))
