"""
What requests have now that they had not before: revisions, rollouts, pods, nodes, policies.

In: how many requests of each subject had each value, by steps of time. Out: `FirstSeen`, one a
change. Pure: no store, no clock.

A value that is rare may be missing from a sample by chance. It counts as new only where so many
requests of its subject were seen without it that chance would have shown it, at the rate that it
has since. A value that was there, went away and comes again is a return: a rollback.

Source: Kubernetes, names of pods (`<deployment>-<pod template hash>-<suffix>`, from an alphabet
without vowels: apimachinery, util/rand); Rule of three (Hanley and Lippman-Hand 1983).
"""

import math
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from collector.store import ValueCount
from collector.timestamps import NS_PER_S

# A value that is there would be missed by chance once in a million times: every pod is looked at in
# every gap of the range.
_MISSED_BY_CHANCE = math.log(1e-6)
_LEAST_BEFORE = 20
_LEAST_SEEN = 3
# Pods of one rollout come within this, and so do the version and its pods.
_TOGETHER_NS = 900 * NS_PER_S
_MOST_PODS = 50
_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
_POD = re.compile(rf"(.+-{_SAFE}{{4,10}})-{_SAFE}{{5}}")
# Of these something has to be known from before: else it is the telling that is new.
_NEEDS_FORMER = frozenset({"revision", "backend", "instance", "version", "template", "pod", "node"})
# Kinds whose subject is counted by requests of an API, and not by the values of the kind.
_OF_API = frozenset({"operation", "policy"})
_Subject = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSeen:
    """
    A value that the requests of *subject* had not before.

    `kind` is `revision`, `operation`, `backend`, `policy`, `instance`, `version`, `template` (of
    pods), `pod` or `node`. `names` are the values, several for pods that came together; `former`
    what there was right before. `share` is the share of the subject's requests since that have it.
    `is_rollback`: it was there before, and away in between. `seen` are the requests that tell.
    """

    kind: str
    gateway: str
    subject: str
    value: str
    names: tuple[str, ...]
    former: tuple[str, ...]
    first_ns: int
    last_ns: int
    seen: int
    requests: int
    share: float
    is_rollback: bool
    pods: tuple[str, ...] = ()


@dataclass(slots=True)
class _Step:
    seen: int = 0
    requests: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def add(self, seen: int, requests: int, first_ns: int, last_ns: int) -> None:
        self.first_ns = min(self.first_ns, first_ns) if self.seen else first_ns
        self.last_ns = max(self.last_ns, last_ns)
        self.seen += seen
        self.requests += requests


_Steps = dict[int, _Step]


def find_first_seen(counts: Iterable[ValueCount], since_ns: int) -> list[FirstSeen]:
    """Return what is new since a moment, the newest first; what belongs together as one."""
    values, totals, versions = _tabulate(counts)
    found: dict[str, list[FirstSeen]] = defaultdict(list)
    for (kind, gateway, subject), by_value in values.items():
        total = totals["api", gateway, subject] if kind in _OF_API else _sum(by_value.values())
        former_needed = kind in _NEEDS_FORMER
        for value, steps in by_value.items():
            new = _find_new(value, steps, total, by_value, is_former_needed=former_needed)
            if new is not None and new.first_ns >= since_ns:
                found[kind].append(replace(new, kind=kind, gateway=gateway, subject=subject))
    return sorted(
        _fold(found, versions), key=lambda each: (-each.first_ns, each.kind, each.subject)
    )


def template_of(pod: str) -> str:
    """Return the ReplicaSet of a pod of a Deployment, "" for any other pod."""
    matched = _POD.fullmatch(pod)
    return matched[1] if matched else ""


def _tabulate(
    counts: Iterable[ValueCount],
) -> tuple[
    Mapping[_Subject, Mapping[str, _Steps]], Mapping[_Subject, _Steps], Mapping[str, set[str]]
]:
    """Return the steps of every value by subject, those of every subject, and pods' versions."""
    values: dict[_Subject, dict[str, _Steps]] = defaultdict(lambda: defaultdict(dict))
    totals: dict[_Subject, _Steps] = defaultdict(dict)
    versions: dict[str, set[str]] = defaultdict(set)

    def add(kind: str, subject: str, value: str, each: ValueCount) -> None:
        step = values[kind, each.gateway, subject][value].setdefault(each.step_s, _Step())
        step.add(each.seen, each.requests, each.first_ns, each.last_ns)

    for each in counts:
        if each.kind in ("api", "service"):
            step = totals[each.kind, each.gateway, each.subject].setdefault(each.step_s, _Step())
            step.add(each.seen, each.requests, each.first_ns, each.last_ns)
            continue
        # a node is new to the cluster, whatever runs on it
        add(each.kind, "" if each.kind == "node" else each.subject, each.value, each)
        if each.kind == "pod":
            versions[each.value].add(each.of)
            if template := template_of(each.value):
                add("template", each.subject, template, each)
    return values, totals, versions


def _sum(each: Iterable[_Steps]) -> _Steps:
    total: _Steps = {}
    for steps in each:
        for at, step in steps.items():
            total.setdefault(at, _Step()).add(step.seen, step.requests, step.first_ns, step.last_ns)
    return total


def _find_new(
    value: str,
    steps: _Steps,
    total: _Steps,
    by_value: Mapping[str, _Steps],
    *,
    is_former_needed: bool,
) -> FirstSeen | None:
    """Return when *value* came (again) for the last time, `None` if it was there all along."""
    places = sorted(steps)
    begin, is_rollback = places[0], False
    moments = sorted(total)
    seen_until = [0, *accumulate(total[at].seen for at in moments)]
    # the last gap that cannot be chance
    for before, after in zip(reversed(places[:-1]), reversed(places[1:]), strict=True):
        first, end = bisect_right(moments, before), bisect_left(moments, after)
        if _is_gone(seen_until[end] - seen_until[first], steps, total, after):
            begin, is_rollback = after, True
            break
    if not is_rollback:
        without = seen_until[bisect_left(moments, begin)]
        if not _is_gone(without, steps, total, begin):
            return None
    since = [steps[at] for at in places if at >= begin]
    seen = sum(step.seen for step in since)
    former = _former(value, by_value, begin)
    if seen < _LEAST_SEEN or (is_former_needed and not former):
        return None
    # the step in which it began has requests of before it too
    settled = begin + 1 if max(total) > begin else begin
    of_those = sum(step.requests for at, step in steps.items() if at >= settled)
    all_since = sum(step.requests for at, step in total.items() if at >= settled)
    return FirstSeen(
        kind="",
        gateway="",
        subject="",
        value=value,
        names=(value,),
        former=former,
        first_ns=since[0].first_ns,
        last_ns=max(step.last_ns for step in since),
        seen=seen,
        requests=sum(step.requests for step in since),
        share=min(of_those / all_since, 1.0) if all_since else 0.0,
        is_rollback=is_rollback,
    )


def _rate(steps: _Steps, total: _Steps, begin: int) -> float:
    """
    Return the share of the subject's requests since *begin* that have the value, at least.

    Less its standard error: of a few requests a share looks larger when they come in a bunch.
    """
    since = [step for at, step in steps.items() if at >= begin]
    having, seen = sum(step.requests for step in since), sum(step.seen for step in since)
    everything = sum(step.requests for at, step in total.items() if at >= begin)
    return having / everything * (1 - 1 / math.sqrt(seen)) if everything else 0.0


def _is_gone(without: int, steps: _Steps, total: _Steps, begin: int) -> bool:
    """Tell whether so many requests without the value are no chance, as often as it came since."""
    if without < _LEAST_BEFORE:
        return False
    rate = _rate(steps, total, begin)
    return rate > 0 and without * math.log1p(-rate) < _MISSED_BY_CHANCE


def _former(value: str, by_value: Mapping[str, _Steps], begin: int) -> tuple[str, ...]:
    """Return the other values of the last step before *begin* in which there were any."""
    last: dict[int, list[str]] = defaultdict(list)
    for other, steps in by_value.items():
        before = [at for at in steps if at < begin]
        if other != value and before:
            last[max(before)].append(other)
    return tuple(sorted(last[max(last)]))[:_MOST_PODS] if last else ()


def _fold(
    found: Mapping[str, Sequence[FirstSeen]], versions: Mapping[str, set[str]]
) -> list[FirstSeen]:
    """Put pods to the rollout that made them, and pods of one moment together."""
    rollouts = list(found.get("version", ()))
    for template in found.get("template", ()):
        if not any(_is_of(template, other) for other in rollouts if other.kind == "version"):
            rollouts.append(template)
    alone: list[FirstSeen] = []
    for pod in sorted(found.get("pod", ()), key=lambda each: each.first_ns):
        makers = [at for at, rollout in enumerate(rollouts) if _has_made(rollout, pod, versions)]
        if makers:
            at = makers[0]
            rollouts[at] = replace(rollouts[at], pods=(*rollouts[at].pods, pod.value)[:_MOST_PODS])
        else:
            alone.append(pod)
    rest = [
        each
        for kind, changes in found.items()
        if kind not in ("version", "template", "pod")
        for each in changes
    ]
    return [*rollouts, *_gather(alone), *rest]


def _is_of(one: FirstSeen, other: FirstSeen) -> bool:
    return one.subject == other.subject and abs(one.first_ns - other.first_ns) <= _TOGETHER_NS


def _has_made(rollout: FirstSeen, pod: FirstSeen, versions: Mapping[str, set[str]]) -> bool:
    if rollout.subject != pod.subject:
        return False
    if rollout.kind == "template":
        return template_of(pod.value) == rollout.value
    return rollout.value in versions.get(pod.value, ()) or (
        _is_of(rollout, pod) and not versions.get(pod.value, set()) - {""}
    )


def _gather(pods: Sequence[FirstSeen]) -> list[FirstSeen]:
    """Return pods of a service that came together as one change."""
    groups: list[FirstSeen] = []
    for pod in pods:
        for at, group in enumerate(groups):
            if group.subject == pod.subject and pod.first_ns - group.first_ns <= _TOGETHER_NS:
                names = (*group.names, pod.value)
                groups[at] = replace(
                    group,
                    value=f"{len(names)} pods",
                    names=names,
                    # what came with it was not there before
                    former=tuple(name for name in group.former if name not in names),
                    last_ns=max(group.last_ns, pod.last_ns),
                    seen=group.seen + pod.seen,
                    requests=group.requests + pod.requests,
                    share=min(group.share + pod.share, 1.0),
                )
                break
        else:
            groups.append(pod)
    return [replace(group, pods=group.names[:_MOST_PODS]) for group in groups]
