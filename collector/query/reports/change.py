"""
The values of a change: what came, what was told of it, and what came with it.
"""

from dataclasses import dataclass

from collector.answers import Answer, Duration, Moment
from collector.query.results import TimeRange
from collector.store import ToldChange


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeEffect:
    """
    A percentile before and after, and the difference with its 99 % bounds.

    `is_shift`: it is neither chance nor less than 5 %.
    """

    before_ns: Duration
    after_ns: Duration
    delta_ns: Duration
    lower_ns: Duration
    upper_ns: Duration
    is_shift: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureEffect:
    """The share of failures before and after, and the difference with its 99 % bounds."""

    before_ratio: float
    after_ratio: float
    delta_ratio: float
    lower_ratio: float
    upper_ratio: float
    is_shift: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """
    What came with a change.

    `verdict` is `worse`, `better`, `none`, `unknown` (too few requests), or `elsewhere_too`: those
    without the change moved as far at the same time. `measure` is whose time it is: that of the
    whole `request`, or a `service`'s own. `before` and `after` are the requests it rests on,
    `beside` those without the change after it.
    """

    verdict: str
    measure: str
    before: int
    after: int
    beside: int
    p50: TimeEffect | None
    p95: TimeEffect | None
    failures: FailureEffect | None
    example_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    One change.

    `kind` is `rollout` (a version, or a template of pods), `revision`, `backend`, `policy` or
    `operation` of an API, `instance` of a gateway, `pods`, `node`, or `told` by a deployment tool.
    `value` is what came, `former` what there was right before; `is_rollback` tells that it had been
    there already. `first_seen_ns` is the first request with it, `share` the share of the requests
    since that have it. `told` is what a deployment tool said about it.
    """

    id: str
    kind: str
    gateway: str
    api: str
    service: str
    value: str
    former: tuple[str, ...]
    is_rollback: bool
    first_seen_ns: Moment
    last_seen_ns: Moment
    requests: int
    share: float | None
    pods: tuple[str, ...]
    told: tuple[ToldChange, ...]
    effect: Effect | None
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes(Answer):
    """The changes of a range, the newest first. `note` says why there are none, or not all."""

    changes: tuple[Change, ...]
    range: TimeRange
    note: str
