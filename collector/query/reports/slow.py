"""
Why requests are slow, or fail, in general: what they have that the others have not.

In: filters, a range, and what is held against what, as text. Out: `Slow`. The bound of what is slow
and the percentiles come from every gateway record that fits; what requests have, from stitched
ones, each weighed by how many it stands for.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

import numpy as np

from collector.answers import Answer, Duration
from collector.clock import Clock
from collector.errors import BadQuestion
from collector.query.reports import features
from collector.query.reports.cohorts import (
    MIN_BASELINE,
    MIN_SELECTED,
    Difference,
    Observation,
    TimeDifference,
    find_differences,
    find_times,
    score,
)
from collector.query.reports.wanted import (
    NOT_STITCHED,
    STITCHED_FILTERS,
    join_notes,
    names_of,
    range_of,
    read_filter,
    tell_cut,
    tell_open,
)
from collector.query.results import TimeRange
from collector.query.search.filters import Parameter, collect_pairs, parse_search
from collector.query.timelines.explanation import Sentence
from collector.store import GroupStat, ObservedRequest, RequestFilter, StitchedCount, Store
from collector.timestamps import NS_PER_DAY, format_duration

SELECTS = ("slow", "failed", "all")
_BACK_NS = {"day": NS_PER_DAY, "week": 7 * NS_PER_DAY}
SLOW_PARAMETERS = (
    *STITCHED_FILTERS,
    Parameter(
        "select",
        "Which of the requests that fit are looked at: those that are `slow`, those that `failed`, "
        "or `all`. The others are held against them, or what `baseline` says. Default: `slow`, "
        "with `baseline` `all`.",
        {"type": "string", "enum": list(SELECTS)},
        "slow",
    ),
    Parameter(
        "slower_than_ms",
        "What is slow, in ms; a unit may follow. Default: the 95th percentile of all that fit.",
        {"type": "number", "minimum": 0},
        250,
    ),
    Parameter(
        "baseline",
        "What is held against them: `previous` (the range before), `day` or `week` (the same time "
        "then), or filters like those here, escaped as one value; what it does not name is the "
        "same on both sides, if it names a filter, and range and filters otherwise.",
        example="previous",
    ),
)
_MOST_SELECTED = 4_000
_MOST_BASELINE = 6_000
_MOST_CALLS = 30
# So much of a difference in duration is worth a sentence.
_TOLD_SHARE = 0.2
_MOST_SENTENCES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """
    Durations of requests, `None` where nothing was measured.

    They rest on `measured` gateway records or stitched requests, as `source` says: `records`
    (every one that fits) or `stitched` (weighed).
    """

    source: str
    requests: int
    errors: int
    measured: int
    p50_ns: Duration | None
    p95_ns: Duration | None
    p99_ns: Duration | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortReport:
    """One of the two sets: for how many requests the `observed` ones stand."""

    range: TimeRange
    requests: int
    observed: int
    joined: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeReport:
    """
    Where time goes: a phase, or the calls of a service that hold up the answer.

    `selected_ns` and `baseline_ns` are means over all requests of a side, percentiles over both.
    `share`: its part of the difference in duration. It rests on `requests` requests.
    """

    name: str
    service: str
    operation: str
    selected_ns: Duration
    baseline_ns: Duration
    delta_ns: Duration
    p50_ns: Duration
    p95_ns: Duration
    share: float
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow(Answer):
    """
    Two sets of requests, and what the first has more often than the second.

    `differences` are ordered by how surely and strongly they tell the sets apart, the likeliest
    cause first. `threshold_ns` is what counted as slow.
    """

    select: str
    threshold_ns: Duration | None
    population: Percentiles
    stitched: Percentiles
    selected: CohortReport
    baseline: CohortReport
    differences: tuple[Difference, ...]
    phases: tuple[TimeReport, ...]
    calls: tuple[TimeReport, ...]
    sentences: tuple[Sentence, ...]
    note: str


@dataclass(frozen=True, slots=True)
class _Wish:
    select: str
    wanted: RequestFilter
    baseline: RequestFilter | None
    slower_than_ns: int | None


@dataclass(frozen=True, slots=True)
class _Cohort:
    wanted: RequestFilter
    requests: int
    among: int
    observed: Sequence[ObservedRequest]

    @property
    def joined(self) -> list[ObservedRequest]:
        return [each for each in self.observed if each.is_joined]

    def report(self) -> CohortReport:
        return CohortReport(
            range=range_of(self.wanted),
            requests=self.requests,
            observed=len(self.observed),
            joined=len(self.joined),
        )


class SlowReports:
    """Answers why requests are slow or fail. Thread-safe."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def report(self, pairs: Iterable[tuple[str, str]]) -> Slow:
        """
        Return what sets the selected requests apart; default: the slowest 5 % of the last hour.

        Raises:
            BadQuestion: a parameter cannot be understood, or a set is compared with itself.
        """
        wish = parse_slow(pairs, now_ns=self._clock.now_ns())
        count = self._store.count_stitched(wish.wanted)
        stitched = _of_stitched(count)
        whole = None if wish.wanted.service else self._store.get_whole_stat(wish.wanted)
        population, open_ = stitched, float(count.open)
        if whole is not None and (whole.measured or whole.open):
            population, open_ = _of_records(whole), whole.open
        threshold_ns = None
        if wish.select == "slow":
            threshold_ns = wish.slower_than_ns
            if threshold_ns is None:
                threshold_ns = population.p95_ns
        selected, baseline = self._cohorts(wish, threshold_ns)
        found = compare_cohorts(selected.observed, baseline.observed)
        phases = tuple(_time(each) for each in found.times if each.key[0] == "phase")
        calls = tuple(_time(each) for each in found.times if each.key[0] == "call")
        return Slow(
            select=wish.select,
            threshold_ns=threshold_ns,
            population=population,
            stitched=stitched,
            selected=selected.report(),
            baseline=baseline.report(),
            differences=tuple(found.differences),
            phases=phases,
            calls=calls[:_MOST_CALLS],
            sentences=tuple(tell(wish.select, found.differences, calls)),
            note=join_notes(
                (
                    _note(stitched, selected, baseline),
                    tell_open(open_),
                    tell_cut(found.calls, _MOST_CALLS, "calls", "most different"),
                )
            ),
        )

    def _cohorts(self, wish: _Wish, threshold_ns: int | None) -> tuple[_Cohort, _Cohort]:
        chosen = others = wish.wanted
        if wish.select == "slow" and threshold_ns is not None:
            chosen = replace(chosen, min_duration_ns=threshold_ns)
            others = replace(others, max_duration_ns=max(threshold_ns - 1, 0))
        elif wish.select == "failed":
            chosen, others = replace(chosen, is_error=True), replace(others, is_error=False)
        return (
            self._cohort(chosen, _MOST_SELECTED),
            self._cohort(wish.baseline or others, _MOST_BASELINE),
        )

    def _cohort(self, wanted: RequestFilter, most: int) -> _Cohort:
        count = self._store.count_stitched(wanted)
        among = count.measured
        observed = self._store.find_observed(wanted, most, among=among) if among else ()
        return _Cohort(wanted, count.requests, among, observed)


def _of_records(stat: GroupStat) -> Percentiles:
    return Percentiles(
        source="records",
        requests=round(stat.requests),
        errors=round(stat.errors),
        measured=stat.measured,
        p50_ns=stat.quantiles_ns.get(0.5),
        p95_ns=stat.quantiles_ns.get(0.95),
        p99_ns=stat.quantiles_ns.get(0.99),
    )


def _of_stitched(count: StitchedCount) -> Percentiles:
    return Percentiles(
        source="stitched",
        requests=count.requests,
        errors=count.errors,
        measured=count.measured,
        p50_ns=count.p50_ns,
        p95_ns=count.p95_ns,
        p99_ns=count.p99_ns,
    )


def parse_slow(pairs: Iterable[tuple[str, str]], *, now_ns: int) -> _Wish:
    """
    Read the parameters of the question.

    Raises:
        BadQuestion: one is unknown, given twice or not what it should be; a set would be compared
            with itself.
    """
    given = collect_pairs(pairs, names_of(*SLOW_PARAMETERS))
    wanted = read_filter(given, now_ns)
    has_baseline = "baseline" in given
    select = given.get("select", "all" if has_baseline else "slow")
    if select not in SELECTS:
        msg = f"select: {select[:80]!r} is not one of {', '.join(SELECTS)}"
        raise BadQuestion(msg)
    if select == "failed" and wanted.is_error is not None:
        msg = (
            "error: cannot be combined with select=failed, which compares failed with good requests"
        )
        raise BadQuestion(msg)
    slower_than_ns = None
    if text := given.get("slower_than_ms"):
        if select != "slow":
            msg = f"slower_than_ms: has no meaning with select={select}"
            raise BadQuestion(msg)
        asked = parse_search((("min_duration_ms", text),), now_ns=now_ns)
        slower_than_ns = asked.wanted.min_duration_ns
    baseline = _read_baseline(given, wanted, now_ns) if has_baseline else None
    if select == "all" and (baseline is None or baseline == wanted):
        msg = "baseline: all requests would be compared with themselves"
        raise BadQuestion(msg, hint="say what to compare them with: baseline=previous, or filters")
    return _Wish(select, wanted, baseline, slower_than_ns)


def _read_baseline(given: Mapping[str, str], wanted: RequestFilter, now_ns: int) -> RequestFilter:
    text = given["baseline"]
    length_ns = wanted.end_ns - wanted.start_ns
    if text == "previous" or text in _BACK_NS:
        back_ns = _BACK_NS.get(text, length_ns)
        start_ns, end_ns = wanted.start_ns - back_ns, wanted.end_ns - back_ns
        return replace(wanted, start_ns=max(start_ns, 0), end_ns=max(end_ns, 1))
    pairs = parse_qsl(text, keep_blank_values=True)
    if not pairs:
        msg = f"baseline: {text[:80]!r} is neither previous, day or week nor filters"
        raise BadQuestion(msg, hint="escape filters as one value: baseline=revision%3D7")
    try:
        own = collect_pairs(pairs, names_of(*STITCHED_FILTERS))
        inherited = {k: v for k, v in given.items() if k in names_of(*STITCHED_FILTERS)}
        if "status" in own or "status_class" in own:
            inherited = {k: v for k, v in inherited.items() if not k.startswith("status")}
        found = read_filter({**inherited, **own}, now_ns)
    except BadQuestion as exc:
        msg = f"baseline: {exc.message}"
        # of the same kind: an unknown filter is one here too
        raise type(exc)(msg, hint=exc.hint) from exc
    return found


@dataclass(frozen=True, slots=True)
class Compared:
    """What two cohorts differ in: what they have, and where their time goes."""

    differences: Sequence[Difference]
    times: Sequence[TimeDifference]
    calls: int
    """How many calls there are, of which the times are those that differ most."""


def compare_cohorts(
    selected: Sequence[ObservedRequest], baseline: Sequence[ObservedRequest]
) -> Compared:
    """
    Return what the selected requests have more often, and where they spend more time.

    Where they ran is compared among those whose spans are known, which are weighed up to stand for
    all; what the gateway says, among all.
    """
    with_spans = [_stand_for_all(side) for side in (selected, baseline)]
    has_spans = len(with_spans[0]) >= MIN_SELECTED and len(with_spans[1]) >= MIN_BASELINE
    everything = [features.observe(side, with_mesh=False) for side in (selected, baseline)]
    if not has_spans:
        return _compared(find_differences(*everything), *everything)
    observed = _observe_alike(*with_spans)
    differences = find_differences(*observed)
    if len(with_spans[0]) + len(with_spans[1]) < len(selected) + len(baseline):
        differences = _merge(differences, find_differences(*everything))
    return _compared(differences, *observed)


def _compared(
    differences: Sequence[Difference],
    selected: Sequence[Observation],
    baseline: Sequence[Observation],
) -> Compared:
    if not (selected and baseline):  # of nothing there is no mean to be longer than
        return Compared(differences, (), 0)
    calls = {key for each in (*selected, *baseline) for key in each.times_ns if key[0] == "call"}
    return Compared(differences, find_times(selected, baseline), len(calls))


def _observe_alike(
    selected: Sequence[ObservedRequest], baseline: Sequence[ObservedRequest]
) -> tuple[list[Observation], list[Observation]]:
    """Observe both sides by the same features: a hop is absent where the other side has it."""
    found = features.observe([*selected, *baseline], with_mesh=True)
    return found[: len(selected)], found[len(selected) :]


def _merge(found: Sequence[Difference], more: Sequence[Difference]) -> list[Difference]:
    known = {feature for each in found for feature in (each.feature, *each.also)}
    new = [each for each in more if each.feature not in known]
    return sorted([*found, *new], key=lambda each: -score(each.feature, each.lower))


def _stand_for_all(side: Sequence[ObservedRequest]) -> list[ObservedRequest]:
    """
    Return the requests with spans, weighed to stand for those without as well.

    Stratum by stratum of duration and error: which requests are traced may depend on both.
    """
    joined = [each for each in side if each.is_joined or each.is_joined is None]
    if not any(each.is_joined for each in joined):
        return []
    if len(joined) == len(side):
        return joined
    bounds = np.quantile([each.duration_ns for each in side], (0.25, 0.5, 0.75, 0.9))
    whole: dict[tuple[int, bool], float] = {}
    known: dict[tuple[int, bool], float] = {}
    for each in side:
        key = (int(np.searchsorted(bounds, each.duration_ns)), each.is_error)
        whole[key] = whole.get(key, 0) + each.weight
        if each.is_joined or each.is_joined is None:
            known[key] = known.get(key, 0) + each.weight
    scales = {key: whole[key] / weight for key, weight in known.items()}
    weighed = []
    for each in joined:
        key = (int(np.searchsorted(bounds, each.duration_ns)), each.is_error)
        weighed.append(replace(each, weight=each.weight * scales[key]))
    return weighed


def tell(
    select: str, differences: Sequence[Difference], calls: Sequence[TimeReport]
) -> Iterator[Sentence]:
    """Yield a sentence a finding, and one for the calls that hold up most."""
    name = {"slow": "slow", "failed": "failed", "all": "selected"}[select]
    for each in differences[:_MOST_SENTENCES]:
        text = (
            f"{_percent(each.share_selected)} of the {name} requests {features.say(each.feature)}, "
            f"but only {_percent(each.share_baseline)} of the others"
        )
        if each.delta_ns is not None and select != "failed":
            more = "longer" if each.delta_ns >= 0 else "less"
            text += f"; requests that did take {format_duration(abs(each.delta_ns))} {more}"
        refs = (*each.examples_selected[:2], *each.examples_baseline[:1])
        yield Sentence("differences", f"{text}.", "COHORT_DIFFERENCE", refs)
    for call in calls[:2]:
        if call.share >= _TOLD_SHARE and call.delta_ns > 0:
            label = f"{call.service} {call.operation}".strip()
            text = (
                f"In {label} the {name} requests wait {format_duration(call.delta_ns)} longer "
                f"than the others: {_percent(min(call.share, 1.0))} of the difference."
            )
            yield Sentence("times", text, "COHORT_TIME")


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %") if share >= 0.01 or not share else "less than 1 %"


def _time(found: TimeDifference) -> TimeReport:
    kind, name, *operation = found.key
    is_call = kind == "call"
    return TimeReport(
        name=" ".join((name, *operation)).strip(),
        service=name if is_call else "",
        operation=operation[0] if operation else "",
        selected_ns=found.selected_ns,
        baseline_ns=found.baseline_ns,
        delta_ns=found.selected_ns - found.baseline_ns,
        p50_ns=_whole(found.p50_ns),
        p95_ns=_whole(found.p95_ns),
        share=found.share,
        requests=found.requests,
    )


def _whole(value: float) -> int:
    return round(value)


def _note(stitched: Percentiles, selected: _Cohort, baseline: _Cohort) -> str:
    notes = []
    if not stitched.requests:
        notes.append(NOT_STITCHED)
    elif len(selected.observed) < MIN_SELECTED or len(baseline.observed) < MIN_BASELINE:
        notes.append(
            f"Too few requests to tell anything from chance: {len(selected.observed)} against "
            f"{len(baseline.observed)}, where {MIN_SELECTED} and {MIN_BASELINE} are needed. "
            "Ask for a longer range."
        )
    for cohort in (selected, baseline):
        if cohort.observed and len(cohort.observed) < 0.95 * cohort.among:
            notes.append(
                f"{len(cohort.observed)} requests were drawn to stand for {cohort.requests}."
            )
    return join_notes(notes)
