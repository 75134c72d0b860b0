"""
Whether an API keeps its latency budget, who spends it, and what would help.

In: filters, a range, targets as text. Out: `Budget`. Percentiles and failures come from every
gateway record that fits; who spends the time, from stitched requests, each weighed by how many it
stands for.

What a faster hop would save is an estimate and the most that it can be: with less time in one hop,
another one that ran beside it may hold up the answer.

Source: Google SRE workbook, chapter 5 (burn rates); Woodruff 1952 (bounds of quantiles).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest

import numpy as np

from collector.answers import Answer, Duration
from collector.clock import Clock
from collector.errors import BadQuestion
from collector.query.reports.bounds import LEAST
from collector.query.reports.cohorts import Floats, weighted_quantiles
from collector.query.reports.wanted import (
    NOT_STITCHED,
    STITCHED_FILTERS,
    join_notes,
    names_of,
    range_of,
    ratio,
    read_filter,
    tell_cut,
    tell_open,
)
from collector.query.results import TimeRange
from collector.query.search.filters import Parameter, collect_pairs, read_duration
from collector.store import ObservedRequest, RequestFilter, StitchedCount, Store
from collector.timestamps import NS_PER_MIN

_LEVELS = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_Z = 1.96
_MOST_OBSERVED = 6_000
_MOST_HOPS = 30
_FASTER = 0.3
_WINDOWS_NS = {"5 min": 5 * NS_PER_MIN, "1 h": 60 * NS_PER_MIN, "6 h": 360 * NS_PER_MIN}
_MOST_TIMES = 200
_ELSEWHERE = ("between", "between the hops")
_OTHERS = ("others", "all other services")
BUDGET_PARAMETERS: tuple[Parameter, ...] = (
    *(p for p in STITCHED_FILTERS if p.name not in ("status", "status_class", "error")),
    *(
        Parameter(
            f"{name}_ms",
            f"What the {round(level * 100)}th percentile may be, in ms; a unit may follow.",
            {"type": "number", "minimum": 0},
            300,
        )
        for name, level in _LEVELS.items()
    ),
    Parameter(
        "objective",
        "Share of requests that have to be good, in per cent: neither failed nor slower than "
        "`good_within_ms`.",
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100},
        99.5,
    ),
    Parameter(
        "good_within_ms",
        "The longest that a good request takes; without it only failed ones are not good.",
        {"type": "number", "minimum": 0},
        1000,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    A percentile against what it may be.

    `verdict`: `kept` or `missed` when the 95 % bounds are on one side of the target, `unsure` when
    they hold it, `unknown` with fewer than 20 requests.
    """

    name: str
    target_ns: Duration
    value_ns: Duration | None
    lower_ns: Duration | None
    upper_ns: Duration | None
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """
    What a hop holds up the answer: on average, and in the slowest twentieth of the requests.

    Shares are of their whole durations. `requests` are the stitched ones that have the hop.
    """

    role: str
    service: str
    mean_ns: Duration
    share: float
    slowest_mean_ns: Duration
    slowest_share: float
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The percentiles if a hop took *factor* less of the time that it holds up the answer."""

    role: str
    service: str
    factor: float
    p50_ns: Duration
    p95_ns: Duration
    p99_ns: Duration
    p95_saved_ns: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnRate:
    """How fast a window uses up the error budget: at 1 it lasts exactly as long as is agreed."""

    window: str
    requests: int
    bad: int
    bad_ratio: float
    burn_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBudget:
    """
    The share of requests that may be bad, and how it is used up.

    `verdict` is `kept`, `missed` or `unknown` over the whole range.
    """

    objective_ratio: float
    allowed_ratio: float
    burn_rates: tuple[BurnRate, ...]
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget(Answer):
    """
    Targets against what is, who spends the time, and what would help most.

    `verdict` is the worst of all: `missed`, `unknown`, `unsure`, `kept`, or `none` without targets.
    """

    verdict: str
    targets: tuple[Target, ...]
    errors: ErrorBudget | None
    spending: tuple[Spending, ...]
    what_if: tuple[WhatIf, ...]
    requests: int
    stitched: int
    range: TimeRange
    note: str


@dataclass(frozen=True, slots=True)
class _Wish:
    wanted: RequestFilter
    targets_ns: Mapping[str, int]
    objective: float | None
    good_within_ns: int | None


@dataclass(frozen=True, slots=True)
class _Population:
    requests: int
    measured: int
    quantiles_ns: Mapping[float, int]
    open: int


class Budgets:
    """Holds APIs against their budgets. Thread-safe."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def report(self, pairs: Iterable[tuple[str, str]]) -> Budget:
        """
        Return the budget of the requests that fit; default: those of the last hour.

        Raises:
            BadQuestion: a parameter cannot be understood; the message names it.
        """
        wish = parse_budget(pairs, now_ns=self._clock.now_ns())
        count = self._store.count_stitched(wish.wanted)
        population = self._population(wish.wanted, count)
        among = count.measured
        observed = (
            self._store.find_observed(wish.wanted, _MOST_OBSERVED, among=among) if among else ()
        )
        known = [each for each in observed if each.is_joined is not False]
        targets = tuple(
            hold(name, target_ns, population.measured, population.quantiles_ns)
            for name, target_ns in wish.targets_ns.items()
        )
        errors = self._errors(wish)
        spending = spend(known)
        return Budget(
            verdict=_worst([each.verdict for each in (*targets, *((errors,) if errors else ()))]),
            targets=targets,
            errors=errors,
            spending=tuple(spending[:_MOST_HOPS]),
            what_if=tuple(imagine(known, spending)[: 2 * _MOST_HOPS]),
            requests=population.requests,
            stitched=len(known),
            range=range_of(wish.wanted),
            note=_note(wish, observed, known, population, len(spending)),
        )

    def _population(self, wanted: RequestFilter, count: StitchedCount) -> _Population:
        """Return all requests that fit: by the gateways' records, or else by stitched ones."""
        if not wanted.service:
            stat = self._store.get_whole_stat(wanted)
            if stat.measured or stat.open:
                requests, open_ = round(stat.requests), round(stat.open)
                return _Population(requests, stat.measured, stat.quantiles_ns, open_)
        found = {0.5: count.p50_ns, 0.95: count.p95_ns, 0.99: count.p99_ns}
        known = {level: value for level, value in found.items() if value is not None}
        return _Population(count.requests, count.measured, known, count.open)

    def _errors(self, wish: _Wish) -> ErrorBudget | None:
        if wish.objective is None:
            return None
        allowed = 1 - wish.objective
        wanted = wish.wanted
        windows_ns = {
            window: length_ns
            for window, length_ns in _WINDOWS_NS.items()
            if length_ns < wanted.end_ns - wanted.start_ns
        }
        since_ns = [wanted.start_ns, *(wanted.end_ns - each for each in windows_ns.values())]
        counts = self._store.count_bad(wanted, since_ns, wish.good_within_ns)
        rates = [
            BurnRate(
                window=window,
                requests=round(requests),
                bad=round(bad),
                bad_ratio=ratio(bad, requests),
                burn_rate=ratio(bad, requests) / allowed,
            )
            for window, (requests, bad) in zip(("range", *windows_ns), counts, strict=True)
        ]
        whole = rates[0]
        verdict = "missed" if whole.bad_ratio > allowed else "kept"
        return ErrorBudget(
            objective_ratio=wish.objective,
            allowed_ratio=allowed,
            burn_rates=tuple(rates),
            verdict=verdict if whole.requests >= LEAST else "unknown",
        )


def parse_budget(pairs: Iterable[tuple[str, str]], *, now_ns: int) -> _Wish:
    """
    Read the parameters of the question.

    Raises:
        BadQuestion: one is unknown, given twice or not what it should be.
    """
    given = collect_pairs(pairs, names_of(*BUDGET_PARAMETERS))
    targets_ns = {
        name: read_duration(f"{name}_ms", given[f"{name}_ms"])
        for name in _LEVELS
        if f"{name}_ms" in given
    }
    objective = None
    if text := given.get("objective"):
        try:
            objective = float(text.removesuffix("%")) / 100
        except ValueError:
            objective = math.nan
        if not 0 < objective < 1:
            msg = f"objective: {text[:40]!r} is not a share between 0 and 100 percent"
            raise BadQuestion(msg, hint="for example 99.5")
    good_within_ns = None
    if "good_within_ms" in given:
        good_within_ns = read_duration("good_within_ms", given["good_within_ms"])
        if objective is None:
            msg = "good_within_ms: needs `objective`"
            raise BadQuestion(msg)
    return _Wish(read_filter(given, now_ns), targets_ns, objective, good_within_ns)


def hold(name: str, target_ns: int, measured: int, quantiles_ns: Mapping[float, int]) -> Target:
    """
    Return a percentile against its target.

    Its bounds lie where the percentiles lie between which it is by chance; of a few percentiles
    that are known they are the next ones.
    """
    level = _LEVELS[name]
    value = quantiles_ns.get(level)
    if value is None or measured < LEAST:
        return Target(
            name=name,
            target_ns=target_ns,
            value_ns=value,
            lower_ns=None,
            upper_ns=None,
            verdict="unknown",
        )
    reach = _Z * math.sqrt(level * (1 - level) / measured)
    levels = sorted(quantiles_ns)
    values = [quantiles_ns[each] for each in levels]
    lower, upper = (
        round(float(np.interp(at, levels, values))) for at in (level - reach, level + reach)
    )
    verdict = "kept" if upper <= target_ns else "missed" if lower > target_ns else "unsure"
    return Target(
        name=name,
        target_ns=target_ns,
        value_ns=value,
        lower_ns=lower,
        upper_ns=upper,
        verdict=verdict,
    )


def spend(requests: Sequence[ObservedRequest]) -> list[Spending]:
    """Return who holds up the answers of some requests, most first in the slowest of them."""
    if not requests:
        return []
    weights, durations = _columns(requests)
    [slow_ns] = weighted_quantiles(durations, weights, (0.95,))
    slowest = durations >= slow_ns
    found = []
    for (role, service), times in _times(requests).items():
        mean = float(weights @ times / weights.sum())
        late = float(weights[slowest] @ times[slowest] / weights[slowest].sum())
        found.append(
            Spending(
                role=role,
                service=service,
                mean_ns=round(mean),
                share=ratio(mean, float(weights @ durations / weights.sum())),
                slowest_mean_ns=round(late),
                slowest_share=ratio(
                    late,
                    float(weights[slowest] @ durations[slowest] / weights[slowest].sum()),
                ),
                requests=int(np.count_nonzero(times)),
            )
        )
    return sorted(found, key=lambda each: (-each.slowest_mean_ns, -each.mean_ns, each.service))


def imagine(requests: Sequence[ObservedRequest], spending: Sequence[Spending]) -> list[WhatIf]:
    """Return the percentiles if each hop were 30 % faster, and if it were gone."""
    if not requests:
        return []
    weights, durations = _columns(requests)
    times = _times(requests)
    levels = tuple(_LEVELS.values())
    now = weighted_quantiles(durations, weights, levels)
    found = []
    for each in spending:
        if (each.role, each.service) == _ELSEWHERE:
            continue
        for factor in (_FASTER, 1.0):
            left = durations - factor * times[each.role, each.service]
            p50, p95, p99 = weighted_quantiles(left, weights, levels)
            found.append(
                WhatIf(
                    role=each.role,
                    service=each.service,
                    factor=factor,
                    p50_ns=round(p50),
                    p95_ns=round(p95),
                    p99_ns=round(p99),
                    p95_saved_ns=round(now[1] - p95),
                )
            )
    return sorted(found, key=lambda each: (each.factor, -each.p95_saved_ns, each.service))


def _columns(requests: Sequence[ObservedRequest]) -> tuple[Floats, Floats]:
    weights = np.array([each.weight for each in requests], dtype=np.float64)
    return weights, np.array([each.duration_ns for each in requests], dtype=np.float64)


def _times(requests: Sequence[ObservedRequest]) -> dict[tuple[str, str], Floats]:
    """
    Return what each hop holds up each request, and what no hop does, by role and service.

    Services that are no services, such as addresses, can be many: those beyond the first are one.
    """
    totals: dict[tuple[str, str], float] = defaultdict(float)
    for request in requests:
        for hop in request.hops:
            if hop.critical_ns > 0:
                totals[hop.role, hop.service or hop.role] += request.weight * hop.critical_ns
    told = set(nlargest(_MOST_TIMES, totals, key=totals.__getitem__))
    found: dict[tuple[str, str], Floats] = {}
    rest = np.array([each.duration_ns for each in requests], dtype=np.float64)
    for row, request in enumerate(requests):
        for hop in request.hops:
            if hop.critical_ns > 0:
                key = (hop.role, hop.service or hop.role)
                key = key if key in told else _OTHERS
                if key not in found:
                    found[key] = np.zeros(len(requests))
                found[key][row] += hop.critical_ns
                rest[row] -= hop.critical_ns
    found[_ELSEWHERE] = np.maximum(rest, 0.0)
    return found


def _worst(verdicts: Sequence[str]) -> str:
    return next(
        (each for each in ("missed", "unknown", "unsure", "kept") if each in verdicts), "none"
    )


def _note(
    wish: _Wish,
    observed: Sequence[ObservedRequest],
    known: Sequence[ObservedRequest],
    population: _Population,
    spending: int,
) -> str:
    if not population.requests and not observed:
        return "No request fits in this range."
    unjoined = len(observed) - len(known)
    counted = [population.measured] if wish.targets_ns else []
    counted += [population.requests] if wish.objective is not None else []
    return join_notes(
        (
            f"Too few requests for a verdict: {min(counted)}, where {LEAST} are needed. Ask for a "
            "longer range."
            if counted and min(counted) < LEAST
            else "",
            tell_open(population.open),
            tell_cut(spending, _MOST_HOPS, "hops", "most expensive"),
            NOT_STITCHED if not observed else "",
            f"{unjoined} of {len(observed)} stitched requests have no spans: who spent their time "
            "is not known, and they are left out of spending and what-if."
            if unjoined
            else "",
            "What-if is the most that a faster hop can save." if known else "",
        )
    )
