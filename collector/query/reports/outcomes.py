"""
What consumers got against what happened inside, as a matrix per API over a sample of requests.

In: timelines of a `Sample`. Out: `OutcomeReport`. Requests without a gateway record stand under the
empty API: nobody knows what their consumer got.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from collector.answers import Answer
from collector.query.reports.sampling import Sampling
from collector.query.results import TimeRange
from collector.stitch.timeline import Timeline
from collector.stitch.verdict.outcomes import OutcomeCount, count_outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOutcomes:
    """
    The outcomes of one API: in all, and by gateway, edge and application status.

    The API "" are requests without a gateway record.
    """

    api: str
    requests: int
    outcomes: Mapping[str, int]
    matrix: tuple[OutcomeCount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeReport(Answer):
    """
    The matrices of all APIs, the busiest first. `note` says why there is none.

    `answered_at_gateway` requests of those looked at are in no matrix: they never went further.
    """

    apis: tuple[ApiOutcomes, ...]
    looked_at: int
    answered_at_gateway: int
    range: TimeRange
    note: str


class Outcomes:
    """Counts outcomes. Thread-safe."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling

    def report(self, pairs: Iterable[tuple[str, str]]) -> OutcomeReport:
        """
        Return the matrices of a range.

        Raises:
            BadQuestion: a parameter cannot be understood; the message names it.
        """
        sample = self._sampling.draw(pairs)
        return OutcomeReport(
            apis=tabulate(sample.timelines),
            looked_at=len(sample.timelines),
            answered_at_gateway=sum(t.is_answered_at_gateway for t in sample.timelines),
            range=sample.range,
            note=sample.note,
        )


def tabulate(timelines: Sequence[Timeline]) -> tuple[ApiOutcomes, ...]:
    """Return one matrix per API; its counts add up to the API's requests."""
    by_api: dict[str, list[OutcomeCount]] = {}
    for count in count_outcomes(timelines):
        by_api.setdefault(count.api, []).append(count)
    found = [_of_api(api, counts) for api, counts in by_api.items()]
    return tuple(sorted(found, key=lambda each: (-each.requests, each.api)))


def _of_api(api: str, counts: Sequence[OutcomeCount]) -> ApiOutcomes:
    totals: Counter[str] = Counter()
    for count in counts:
        totals[count.outcome] += count.requests
    return ApiOutcomes(
        api=api,
        requests=sum(totals.values()),
        outcomes=dict(sorted(totals.items(), key=lambda item: (-item[1], item[0]))),
        matrix=tuple(sorted(counts, key=lambda c: -c.requests)),
    )
