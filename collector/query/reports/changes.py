"""
What changed in a range, and what came of it.

In: `start`, `end`, `gateway`, `api`, `service`, `kind`, `limit` as text. Out: `Changes`: revisions,
rollouts, pods, nodes, backends and policies that requests had for the first time, what deployment
tools said, and by how much latency and failures moved with each.

A service is held against its own time before, without the time of its calls: what a callee did is
the callee's change. Where requests without the new value ran at the same time and moved as far, the
change does not explain it, and the answer says so.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from collector.clock import Clock
from collector.decode.redaction.secrets import Secrets
from collector.errors import BadQuestion
from collector.query.reports import bounds
from collector.query.reports.change import (
    Change,
    Changes,
    Effect,
    FailureEffect,
    TimeEffect,
)
from collector.query.reports.change_sentences import write_sentence
from collector.query.reports.first_seen import FirstSeen, find_first_seen
from collector.query.reports.told import read_told
from collector.query.reports.wanted import join_notes, tell_cut
from collector.query.results import TimeRange
from collector.query.search.filters import (
    PARAMETERS,
    Parameter,
    collect_pairs,
    parse_range,
    read_choice,
    read_text,
)
from collector.store import (
    MAX_TOLD,
    MAX_VALUES,
    ChangeFilter,
    Store,
    ToldChange,
    Visit,
)
from collector.timestamps import NS_PER_DAY, NS_PER_S

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
KINDS = (
    "rollout", "revision", "pods", "node", "backend", "policy", "operation", "instance", "told",
)  # fmt: skip
CHANGE_PARAMETERS: tuple[Parameter, ...] = (
    *(p for p in PARAMETERS if p.name in ("start", "end", "gateway", "api", "service")),
    Parameter("kind", "Only changes of this kind.", {"type": "string", "enum": list(KINDS)}),
    Parameter(
        "limit",
        f"Changes to list, the newest first; at most {MAX_LIMIT}.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        DEFAULT_LIMIT,
    ),
)
# New is what was not there in so long before the range.
_LOOK_BACK_NS = NS_PER_DAY
_COMPARED_NS = 3600 * NS_PER_S
_APART_NS = 300 * NS_PER_S
# A tool tells of a change when it begins it; requests see it some minutes later.
_TOLD_BEFORE_NS = 900 * NS_PER_S
_TOLD_AFTER_NS = 300 * NS_PER_S
_NAMES = {"version": "rollout", "template": "rollout", "pod": "pods"}
# How queries/find_visits.sql finds the requests with the value.
_FOUND_BY = {"template": "pod"}
_NOT_COMPARED = frozenset({"operation"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    asked: ChangeFilter
    kind: str
    limit: int


class FindingChanges:
    """Finds changes. Thread-safe."""

    def __init__(self, store: Store, clock: Clock, secrets: Secrets) -> None:
        self._store = store
        self._clock = clock
        self._secrets = secrets

    def report(self, pairs: Iterable[tuple[str, str]]) -> Changes:
        """
        Return the changes of a range (default: an hour), the newest first.

        Raises:
            BadQuestion: a parameter cannot be understood; the message names it.
        """
        wish = _parse(pairs, self._clock.now_ns())
        start_ns = wish.asked.start_ns
        looked_at_ns = max(start_ns - _LOOK_BACK_NS, NS_PER_DAY)
        counts, cut_kinds = self._store.find_values(replace(wish.asked, start_ns=looked_at_ns))
        all_seen = find_first_seen(counts, start_ns - _COMPARED_NS)
        seen = [each for each in all_seen if each.first_ns >= start_ns and _fits(each, wish.asked)]
        told = self._store.find_told(wish.asked)
        found = _join(seen, told[:MAX_TOLD])
        if wish.kind:
            found = [each for each in found if each.kind == wish.kind]
        shown = [
            replace(change, effect=effect, sentence=write_sentence(change, effect))
            for change, by in ((each, _find(each, seen)) for each in found[: wish.limit])
            for effect in (self._effect(change, by, all_seen),)
        ]
        return Changes(
            changes=tuple(shown),
            range=TimeRange(start_ns=start_ns, end_ns=wish.asked.end_ns),
            note=join_notes(
                (
                    _note(len(found), len(shown), is_empty=not counts),
                    tell_cut(len(told), MAX_TOLD, "changes that were told", "newest"),
                    _tell_cut_kinds(cut_kinds),
                )
            ),
        )

    def tell(self, document: object) -> ToldChange:
        """
        Keep what a deployment tool says, and return it as it is kept.

        Raises:
            BadQuestion: a field is missing, unknown or not what it should be; the message names it.
        """
        now_ns = self._clock.now_ns()
        told = read_told(document, now_ns, self._secrets)
        self._store.write_told(told, now_ns)
        return told

    def _effect(
        self, change: Change, seen: FirstSeen | None, others: Sequence[FirstSeen]
    ) -> Effect | None:
        kind = seen.kind if seen else "told"
        if kind in _NOT_COMPARED or not (change.api or change.service or change.gateway):
            return None
        if seen is not None and seen.kind == "template":
            names = change.pods
        else:
            names = seen.names if seen else ()
        middle_ns = change.first_seen_ns
        start_ns, end_ns = _choose_window(change, others)
        visits = self._store.find_visits(
            ChangeFilter(
                start_ns=max(start_ns, NS_PER_DAY),
                end_ns=min(end_ns, self._clock.now_ns()),
                gateway=change.gateway,
                api=change.api,
                service=change.service,
            ),
            kind=_FOUND_BY.get(kind, kind),
            names=names,
            middle_ns=middle_ns,
        )
        return measure_effect(visits, middle_ns, "service" if change.service else "request")


def _choose_window(change: Change, others: Sequence[FirstSeen]) -> tuple[int, int]:
    """
    Return where a change is looked at: an hour on both sides, but not beyond another change.

    A request is moved by every change on its way, a service's own time by its own ones. A neighbour
    within five minutes cannot be told apart.
    """
    middle_ns = change.first_seen_ns
    moments = [
        each.first_ns
        for each in others
        if _id(each) != change.id
        and (not change.service or (not each.gateway and each.subject in ("", change.service)))
        and each.kind not in _NOT_COMPARED
    ]
    starts = [at for at in moments if at <= middle_ns - _APART_NS]
    ends = [at for at in moments if at >= middle_ns + _APART_NS]
    return (
        max((*starts, middle_ns - _COMPARED_NS)),
        min((*ends, middle_ns + _COMPARED_NS)),
    )


def measure_effect(visits: Sequence[Visit], middle_ns: int, measure: str) -> Effect:
    """Return what came with a change at *middle_ns*, from requests on both sides of it."""
    before = [each for each in visits if each.start_ns < middle_ns and not each.has_value]
    after = [each for each in visits if each.start_ns >= middle_ns and each.has_value]
    beside = [each for each in visits if each.start_ns >= middle_ns and not each.has_value]
    old, new, other = (_sample(side) for side in (before, after, beside))
    p50, p95 = _time_shift(old, new, 0.5), _time_shift(old, new, 0.95)
    failures = _failure_shift(old, new)
    moved = [each for each in (p50, p95, failures) if each is not None and each.is_shift]
    verdict = "none"
    if p50 is None and failures is None:
        verdict = "unknown"
    elif moved:
        signs = [
            each.delta_ns if isinstance(each, TimeEffect) else each.delta_ratio for each in moved
        ]
        verdict = "worse" if any(sign > 0 for sign in signs) else "better"
        if len(other) >= 2 * bounds.LEAST and not _differs(other, new):
            verdict = "elsewhere_too"
    slow = sorted(
        (each for each in after if each.took_ns is not None or each.is_failed),
        key=lambda each: (-each.is_failed, -(each.took_ns or 0)),
    )
    return Effect(
        verdict=verdict,
        measure=measure,
        before=len(old),
        after=len(new),
        beside=len(other),
        p50=p50,
        p95=p95,
        failures=failures,
        example_ids=tuple(dict.fromkeys(each.request_id for each in slow))[:3],
    )


def _join(seen: Sequence[FirstSeen], told: Sequence[ToldChange]) -> list[Change]:
    """Return what was seen and what was told, what is told of something seen with it."""
    left = list(told)
    found = []
    for each in seen:
        change = _change(each)
        own = [
            one
            for one in left
            if change.kind in ("rollout", "revision", "pods")
            and (one.service or one.api) == (change.service or change.api)
            and -_TOLD_AFTER_NS <= change.first_seen_ns - one.time_ns <= _TOLD_BEFORE_NS
            and one.value in ("", change.value)
        ]
        left = [one for one in left if one not in own]
        found.append(replace(change, told=tuple(own)))
    found += [
        Change(
            id=one.id,
            kind="told",
            gateway=one.gateway,
            api=one.api,
            service=one.service,
            value=one.value or one.title,
            former=(),
            is_rollback=False,
            first_seen_ns=one.time_ns,
            last_seen_ns=one.time_ns,
            requests=0,
            share=None,
            pods=(),
            told=(one,),
            effect=None,
            sentence="",
        )
        for one in left
    ]
    return sorted(found, key=lambda each: (-each.first_seen_ns, each.kind, each.id))


def _change(seen: FirstSeen) -> Change:
    is_of_api = bool(seen.gateway)
    return Change(
        id=_id(seen),
        kind=_NAMES.get(seen.kind, seen.kind),
        gateway=seen.gateway,
        api=seen.subject if is_of_api else "",
        service="" if is_of_api else seen.subject,
        value=seen.value,
        former=seen.former,
        is_rollback=seen.is_rollback,
        first_seen_ns=seen.first_ns,
        last_seen_ns=seen.last_ns,
        requests=seen.requests,
        share=seen.share,
        pods=seen.pods,
        told=(),
        effect=None,
        sentence="",
    )


def _id(seen: FirstSeen) -> str:
    words = (seen.kind, seen.gateway, seen.subject, *seen.names, str(seen.first_ns))
    return hashlib.sha256("\x00".join(words).encode("utf-8", "replace")).hexdigest()[:16]


def _find(change: Change, seen: Sequence[FirstSeen]) -> FirstSeen | None:
    return next((each for each in seen if _id(each) == change.id), None)


def _parse(pairs: Iterable[tuple[str, str]], now_ns: int) -> _Wish:
    given = collect_pairs(pairs, (parameter.name for parameter in CHANGE_PARAMETERS))
    start_ns, end_ns = parse_range(given, now_ns)
    limit = given.get("limit", str(DEFAULT_LIMIT))
    if not (
        limit.isascii() and limit.isdecimal() and len(limit) < 6 and 1 <= int(limit) <= MAX_LIMIT
    ):
        msg = f"limit: is not a whole number from 1 to {MAX_LIMIT}"
        raise BadQuestion(msg)
    asked = ChangeFilter(
        start_ns=start_ns,
        end_ns=end_ns,
        gateway=read_text("gateway", given.get("gateway", "")),
        api=read_text("api", given.get("api", "")),
        service=read_text("service", given.get("service", "")),
    )
    return _Wish(asked=asked, kind=read_choice(given, "kind", KINDS), limit=int(limit))


def _fits(seen: FirstSeen, asked: ChangeFilter) -> bool:
    """Tell whether a change is of what is asked for, and not only of requests that are."""
    if asked.service and not seen.gateway and seen.subject not in ("", asked.service):
        return False
    return not (asked.service and seen.gateway)


def _sample(visits: Sequence[Visit]) -> bounds.Sample:
    return bounds.Sample.of(
        [each.took_ns for each in visits],
        [each.is_failed for each in visits],
        [each.weight for each in visits],
    )


def _time_shift(old: bounds.Sample, new: bounds.Sample, level: float) -> TimeEffect | None:
    before, after = bounds.bound_quantile(old, level), bounds.bound_quantile(new, level)
    if before is None or after is None:
        return None
    delta = bounds.subtract(after, before)
    return TimeEffect(
        before_ns=round(before.value),
        after_ns=round(after.value),
        delta_ns=round(delta.value),
        lower_ns=round(delta.lower),
        upper_ns=round(delta.upper),
        is_shift=bounds.is_shift_of_time(delta, before),
    )


def _failure_shift(old: bounds.Sample, new: bounds.Sample) -> FailureEffect | None:
    before, after = bounds.bound_failures(old), bounds.bound_failures(new)
    if before is None or after is None:
        return None
    delta = bounds.subtract(after, before)
    return FailureEffect(
        before_ratio=before.value,
        after_ratio=after.value,
        delta_ratio=delta.value,
        lower_ratio=delta.lower,
        upper_ratio=delta.upper,
        is_shift=bounds.is_shift_of_failures(delta),
    )


def _differs(old: bounds.Sample, new: bounds.Sample) -> bool:
    found = (_time_shift(old, new, 0.5), _time_shift(old, new, 0.95), _failure_shift(old, new))
    return any(each is not None and each.is_shift for each in found)


def _tell_cut_kinds(kinds: Sequence[str]) -> str:
    if not kinds:
        return ""
    return (
        f"More than {MAX_VALUES:,} values by time were seen of: {', '.join(kinds)}. Of these only "
        "the busiest APIs and services were looked at: ask for one of them, or for a shorter range."
    )


def _note(found: int, shown: int, *, is_empty: bool) -> str:
    if is_empty:
        return (
            "No stitched request in this range or the day before it: changes are found in what "
            "background stitching writes."
        )
    if not found:
        return "Nothing is new in this range against the day before it."
    return f"{found - shown} older changes are not shown: raise limit." if found > shown else ""
