"""
How gateway records are joined, and how far joins without ids can be trusted, per API.

In: timelines of a `Sample`, and what `LikelyPartners` learned around its newest requests. Out:
`JoinReport`. The tiers are of joins by ids; what likelihood adds stands beside them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from time import monotonic

from collector.answers import Answer, Moment
from collector.model import GatewayRecord
from collector.query.learned.likely_partners import Learned, LikelyPartners
from collector.query.reports.join_count import tier_name
from collector.query.reports.sampling import Sampling
from collector.query.results import TimeRange
from collector.stitch.timeline import Timeline

_MAX_APIS = 20
# When an answer is due: what is not learned by then is left out until it is asked again.
_DUE_S = 1.5

# (gateway, API), and its records with their tiers
_OfApi = tuple[tuple[str, str], list[tuple[GatewayRecord, str]]]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Of `pairs` claimed at this probability and up to a tenth above, how many were right."""

    claimed_from: float
    measured: float
    pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteJoins:
    """
    What joins without ids achieve on one route, measured on requests whose ids were hidden.

    `route` is gateway|instance|api|method|operation. `claimed` pairs have a probability of 0.95 and
    more, `precision` of them are right; `coverage` of the audited requests are joined right. A
    demoted route gives candidates only: its claim is not kept or not proven.
    """

    route: str
    audited: int
    claimed: int
    precision: float
    coverage: float
    is_demoted: bool
    curve: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticalJoins:
    """
    Joins without ids around the newest requests of an API, as they were at `as_of_ns`.

    `exact_pairs` are joined by ids: what is learned from. `unjoined` records called a backend and
    no id joins them; of those `joined` are, at 0.95 and more on routes that are not demoted.
    """

    start_ns: Moment
    end_ns: Moment
    records: int
    exact_pairs: int
    unjoined: int
    joined: int
    routes: tuple[RouteJoins, ...]
    as_of_ns: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiJoins:
    """
    The joins of one API of one gateway.

    `tiers` counts the records of the sample by their tier, "none" for those that no id joins,
    "gateway" for those that never left it. `joined_ratio` leaves the latter out, and is `None`
    where there are no others. `statistical` is `None` where the time did not suffice.
    """

    gateway: str
    api: str
    records: int
    tiers: Mapping[str, int]
    joined_ratio: float | None
    statistical: StatisticalJoins | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinReport(Answer):
    """The joins of all APIs, the busiest first. `unrecorded` requests have spans and no record."""

    apis: tuple[ApiJoins, ...]
    looked_at: int
    unrecorded: int
    range: TimeRange
    note: str


class Joins:
    """Counts joins and publishes what the joins without ids achieve. Thread-safe."""

    def __init__(self, sampling: Sampling, likely_partners: LikelyPartners) -> None:
        self._sampling = sampling
        self._likely_partners = likely_partners

    def report(self, pairs: Iterable[tuple[str, str]]) -> JoinReport:
        """
        Return the joins of a range.

        Raises:
            BadQuestion: a parameter cannot be understood; the message names it.
        """
        due = monotonic() + _DUE_S
        sample = self._sampling.draw(pairs)
        groups = group_by_api(sample.timelines, sample.api)
        learned = self._learn(groups, due)
        notes = [sample.note] if sample.note else []
        if len(learned) < len(groups):
            notes.append(
                f"Joins without ids were not measured for {len(groups) - len(learned)} of "
                f"{len(groups)} APIs: ask again, or name one with `api`."
            )
        return JoinReport(
            apis=tuple(
                _of_api(*api, [tier for _, tier in found], learned.get(api))
                for api, found in groups
            ),
            looked_at=len(sample.timelines),
            unrecorded=sum(not timeline.gateway_records for timeline in sample.timelines),
            range=sample.range,
            note=" ".join(notes),
        )

    def _learn(self, groups: Sequence[_OfApi], due: float) -> dict[tuple[str, str], Learned]:
        """
        Return what joins without ids achieve, of APIs with records that no id joins first.

        What is not learned when the answer is due goes on being learned: asking again gets further.
        """
        in_need = sorted(groups, key=lambda group: all(tier != "none" for _, tier in group[1]))
        newest = {
            api: max(record.start_ns for record, _ in records)
            for api, records in in_need[:_MAX_APIS]
        }
        recall, learn_aside = self._likely_partners.recall, self._likely_partners.learn_aside
        known = {api: recall(*api, at_ns) for api, at_ns in newest.items()}
        learning = {api: learn_aside(*api, at_ns) for api, at_ns in newest.items()}
        missing = [api for api, learned in known.items() if learned is None]
        awaited = [each for api in missing if (each := learning[api]) is not None]
        for done in wait(awaited, max(due - monotonic(), 0.0)).done:
            done.result()
        known |= {api: recall(*api, newest[api]) for api in missing}
        return {api: learned for api, learned in known.items() if learned is not None}


def group_by_api(timelines: Sequence[Timeline], wanted: str) -> list[_OfApi]:
    """Return the records with their tiers by gateway and API, the busiest first."""
    groups: dict[tuple[str, str], list[tuple[GatewayRecord, str]]] = {}
    for timeline in timelines:
        for merged in timeline.gateway_records:
            record = merged.record
            if not wanted or record.api == wanted:
                tier = tier_name(timeline, record)
                groups.setdefault((record.gateway, record.api), []).append((record, tier))
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))


def _of_api(gateway: str, api: str, tiers: Sequence[str], learned: Learned | None) -> ApiJoins:
    counts = Counter(tiers)
    able = len(tiers) - counts["gateway"]
    joined = able - counts["none"]
    return ApiJoins(
        gateway=gateway,
        api=api,
        records=len(tiers),
        tiers=dict(sorted((tier, count) for tier, count in counts.items() if count)),
        joined_ratio=round(joined / able, 6) if able else None,
        statistical=None if learned is None else _statistical(learned),
    )


def _statistical(learned: Learned) -> StatisticalJoins:
    return StatisticalJoins(
        start_ns=learned.start_ns,
        end_ns=learned.end_ns,
        records=learned.records,
        exact_pairs=learned.pairs,
        unjoined=learned.unjoined,
        joined=learned.joined,
        routes=tuple(
            RouteJoins(
                route=audit.route,
                audited=audit.audited,
                claimed=audit.claimed,
                precision=round(audit.precision, 6),
                coverage=round(audit.coverage, 6),
                is_demoted=audit.is_demoted,
                curve=tuple(
                    CurvePoint(low, round(share, 6), pairs) for low, share, pairs in audit.curve
                ),
            )
            for _, audit in sorted(learned.audits.items())
        ),
        as_of_ns=learned.as_of_ns,
    )
