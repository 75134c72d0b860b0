"""
Joining records to mesh spans that share no id at all, and measuring how well that works.

Of one route, the requests that are joined by ids teach how long after the gateway's start the
mesh's span begins, how much longer the gateway waits than the mesh works, and whether the response
sizes agree. For a request without ids every mesh span of the same method and status near it is
weighed: how likely under what was learned, against how likely by chance at the traffic's density,
against its partner not being recorded. A span belongs to one record only, so that the weights of
all requests are settled together (belief propagation over matchings).

The same is done to requests whose ids are known and hidden: where the measured precision is below
what is claimed, the route is demoted and gives candidates only.

Source: TraceWeaver (SIGCOMM 2024) for joins without ids.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from collector.model import GatewayRecord
from collector.stitch.join.densities import Density, Numbers, learn_density
from collector.stitch.join.likely import TIMELINE_MINIMUM, LikelyPair
from collector.stitch.timeline import Evidence, RejectedCandidate

STATISTICS_MINIMUM = 0.95
_MIN_PAIRS = 20
_MIN_AUDITED = 20
_ROUNDS = 40
_MAX_CANDIDATES = 64
_KEPT_WEIGHT = 1e-4
_MAX_RIVALS = 5
_LEAST_RIVAL = 0.01
_SECOND = 1_000_000_000

Indexes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPoint:
    """A gateway record as this join sees it; `route` groups what behaves alike."""

    key: str
    route: str
    method: str
    status: int | None
    start_ns: int
    backend_ns: int
    resolution_ns: int
    response_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanPoint:
    """A mesh entry span as this join sees it."""

    key: str
    method: str
    status: int | None
    start_ns: int
    duration_ns: int
    response_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class RouteModel:
    """
    What exact pairs taught of one route.

    `delay`: span start less record start. `excess`: backend time less span duration. `size_share`:
    how often the sizes are equal among pairs, `None` when they are not both logged.
    """

    route: str
    pairs: int
    delay: Density
    excess: Density
    size_share: float | None


@dataclass(frozen=True, slots=True)
class RouteAudit:
    """
    How this join did on requests whose partners are known.

    `precision` and `coverage` are of the pairs claimed at `STATISTICS_MINIMUM` and above; `curve`
    holds (claimed probability, measured share, pairs) per tenth from 0.5 on.
    """

    route: str
    audited: int
    claimed: int
    precision: float
    coverage: float
    curve: tuple[tuple[float, float, int], ...]
    is_demoted: bool


@dataclass(slots=True)
class _Weighed:
    """Every candidate pair of a batch as three parallel arrays."""

    rows: list[Indexes] = field(default_factory=list)
    columns: list[Indexes] = field(default_factory=list)
    weights: list[Numbers] = field(default_factory=list)


def record_point(record: GatewayRecord) -> RecordPoint | None:
    """Return what a record tells, or `None` when it called no backend or does not say how long."""
    if record.backend_ns is None or record.backend_ns <= 0:
        return None
    place = record.operation or record.route or record.backend_path or record.path
    return RecordPoint(
        key=record.reference,
        route="|".join((record.gateway, record.instance, record.api, record.method, place)),
        method=(record.backend_method or record.method).upper(),
        status=record.backend_status,
        start_ns=record.start_ns,
        backend_ns=record.backend_ns,
        resolution_ns=record.resolution_ns,
        response_bytes=record.response_bytes,
    )


def learn_routes(pairs: Iterable[tuple[RecordPoint, SpanPoint]]) -> dict[str, RouteModel]:
    """Return a model per route that has at least twenty exact pairs."""
    by_route: dict[str, list[tuple[RecordPoint, SpanPoint]]] = {}
    for record, span in pairs:
        by_route.setdefault(record.route, []).append((record, span))
    return {
        route: _learn(route, found)
        for route, found in sorted(by_route.items())
        if len(found) >= _MIN_PAIRS
    }


def join_without_ids(
    records: Sequence[RecordPoint],
    spans: Sequence[SpanPoint],
    models: Mapping[str, RouteModel],
    audits: Mapping[str, RouteAudit] | None = None,
    *,
    minimum: float = TIMELINE_MINIMUM,
) -> list[LikelyPair]:
    """
    Return the pairs that are more likely than not, one per record and per span at most.

    A lower *minimum* adds the likeliest span of records that have none more likely than not.

    *records* and *spans* are those that no id joins, of one stretch of time. Routes without a model
    give nothing; routes that were demoted, or never audited, give candidates only.
    """
    ordered = sorted(spans, key=lambda s: (s.start_ns, s.key))
    known = sorted(
        (record for record in records if record.route in models),
        key=lambda r: (r.start_ns, r.key),
    )
    if not known or not ordered:
        return []
    weighed = _Weighed()
    starts = np.array([s.start_ns for s in ordered], dtype=np.int64)
    for route in sorted({record.route for record in known}):
        indexes = [i for i, record in enumerate(known) if record.route == route]
        _weigh_route(models[route], known, indexes, ordered, starts, weighed)
    if not weighed.rows:
        return []
    rows, columns = np.concatenate(weighed.rows), np.concatenate(weighed.columns)
    chances = _settle(rows, columns, np.concatenate(weighed.weights), len(known), len(ordered))
    pairs = _choose((rows, columns, chances), known, ordered, minimum)
    return [replace(pair, is_demoted=_is_demoted(pair.route, audits)) for pair in pairs]


def audit_routes(
    pairs: Sequence[tuple[RecordPoint, SpanPoint]],
    others: Sequence[SpanPoint] = (),
    unpaired: Sequence[RecordPoint] = (),
) -> dict[str, RouteAudit]:
    """
    Return how well this join finds the partners of *pairs* when their ids are hidden.

    Each half is joined by what the other half taught. *others* are spans and *unpaired* records of
    the same time without known partners: they compete, and what is claimed of them is not judged.
    """
    ordered = sorted(pairs, key=lambda p: (p[0].start_ns, p[0].key))
    models = [learn_routes(ordered[half::2]) for half in (0, 1)]
    truth = {record.key: span.key for record, span in ordered}
    records = [record for record, _ in ordered]
    spans = [*(span for _, span in ordered), *others]
    claims: dict[str, list[tuple[float, bool]]] = {}
    for half in (0, 1):
        judged = {record.key for record in records[half::2]}
        # All records compete for the spans, as they do in earnest; only this half is judged.
        found = join_without_ids([*records, *unpaired], spans, models[1 - half])
        for pair in found:
            if pair.record in judged:
                is_right = truth[pair.record] == pair.span
                claims.setdefault(pair.route, []).append((pair.probability, is_right))
    counts: dict[str, int] = {}
    for record in records:
        counts[record.route] = counts.get(record.route, 0) + 1
    return {
        route: _audit(route, count, claims.get(route, ()))
        for route, count in sorted(counts.items())
    }


def _learn(route: str, pairs: Sequence[tuple[RecordPoint, SpanPoint]]) -> RouteModel:
    delays = np.array([s.start_ns - r.start_ns for r, s in pairs], dtype=np.float64)
    excesses = np.array([r.backend_ns - s.duration_ns for r, s in pairs], dtype=np.float64)
    step = float(max(record.resolution_ns for record, _ in pairs))
    sized = [
        (r.response_bytes, s.response_bytes)
        for r, s in pairs
        if r.response_bytes is not None and s.response_bytes is not None
    ]
    share = None
    if len(sized) >= _MIN_PAIRS:
        # Laplace: twenty equal pairs are no proof that the next one is equal.
        share = (sum(a == b for a, b in sized) + 1) / (len(sized) + 2)
    return RouteModel(
        route=route,
        pairs=len(pairs),
        delay=learn_density(delays, step),
        excess=learn_density(excesses, step),
        size_share=share,
    )


def _weigh_route(
    model: RouteModel,
    records: Sequence[RecordPoint],
    indexes: Sequence[int],
    spans: Sequence[SpanPoint],
    starts: Indexes,
    weighed: _Weighed,
) -> None:
    """Weigh every candidate of one route's records against chance and against no partner."""
    first = records[indexes[0]]
    same = np.array([s.method == first.method or not s.method for s in spans], dtype=np.bool_)
    durations = np.array([s.duration_ns for s in spans], dtype=np.float64)
    statuses = np.array([-1 if s.status is None else s.status for s in spans], dtype=np.int64)
    sizes = np.array([-1 if s.response_bytes is None else s.response_bytes for s in spans])
    pool = np.flatnonzero(same)
    if len(pool) == 0:
        return
    stretch = max(int(starts[pool[-1]] - starts[pool[0]]), _SECOND)
    log_density = np.log(len(pool) / stretch)
    chance = _chance_of_excess([records[i] for i in indexes], durations[pool])
    equal_by_chance = _equal_by_chance(sizes[pool])
    recorded = min(max(len(pool) / len(indexes), 0.01), 0.99)
    log_prior = np.log(recorded / (1 - recorded))
    low, high = model.delay.grid[0], model.delay.grid[-1]
    for index in indexes:
        record = records[index]
        left = np.searchsorted(starts, record.start_ns + low)
        right = np.searchsorted(starts, record.start_ns + high, side="right")
        near = np.arange(left, right)
        near = near[same[near] & _fits_status(statuses[near], record.status)]
        if len(near) == 0:
            continue
        excess = record.backend_ns - durations[near]
        delay = (starts[near] - record.start_ns).astype(np.float64)
        odds = model.delay.log_at(delay) + model.excess.log_at(excess)
        odds += log_prior - log_density - chance.log_at(excess)
        odds += _size_odds(model, record, sizes[near], equal_by_chance)
        weights = np.exp(np.clip(odds, -50.0, 50.0))
        best = np.argsort(-weights, kind="stable")[:_MAX_CANDIDATES]
        best = best[weights[best] > _KEPT_WEIGHT]
        weighed.rows.append(np.full(len(best), index, dtype=np.int64))
        weighed.columns.append(near[best])
        weighed.weights.append(weights[best])


def _fits_status(seen: Indexes, status: int | None) -> NDArray[np.bool_]:
    if status is None:
        return np.ones(len(seen), dtype=np.bool_)
    return np.asarray((seen == status) | (seen == -1), dtype=np.bool_)


def _chance_of_excess(records: Sequence[RecordPoint], durations: Numbers) -> Density:
    """Return how backend time less span duration is spread when the two are strangers."""
    backends = np.array([record.backend_ns for record in records], dtype=np.float64)
    count = max(len(backends), len(durations), 2)
    # Every record beside spans of other moments: shifted by a share of the whole, not at random,
    # so that the same batch always gives the same answer.
    shifts = [np.roll(np.resize(durations, count), count * part // 7) for part in range(1, 7)]
    strangers = np.concatenate([np.resize(backends, count) - shift for shift in shifts])
    return learn_density(strangers, float(records[0].resolution_ns))


def _equal_by_chance(sizes: Indexes) -> float:
    """Return how often two strangers have the same response size."""
    known = sizes[sizes >= 0]
    if len(known) < 2:
        return 1.0
    _, counts = np.unique(known, return_counts=True)
    total = float(len(known))
    return max(float(((counts / total) ** 2).sum()), 1.0 / total)


def _size_odds(model: RouteModel, record: RecordPoint, sizes: Indexes, by_chance: float) -> Numbers:
    odds = np.zeros(len(sizes), dtype=np.float64)
    if model.size_share is None or record.response_bytes is None or by_chance >= 1.0:
        return odds
    equal = sizes == record.response_bytes
    odds[equal] = np.log(model.size_share / by_chance)
    odds[~equal & (sizes >= 0)] = np.log((1 - model.size_share) / (1 - by_chance))
    return odds


def _settle(
    rows: Indexes, columns: Indexes, weights: Numbers, row_count: int, column_count: int
) -> Numbers:
    """
    Return the probability of each candidate pair when every span has one record at most.

    Belief propagation over all matchings, exact where candidates form no circle: a message is the
    probability that its sender is free without the other's help.
    """
    from_row = np.ones(len(weights))
    from_column = np.ones(len(weights))
    for _ in range(_ROUNDS):
        claimed = weights * from_column
        total = np.bincount(rows, weights=claimed, minlength=row_count)[rows]
        from_row = 0.5 * from_row + 0.5 / (1.0 + np.maximum(total - claimed, 0.0))
        claimed = weights * from_row
        total = np.bincount(columns, weights=claimed, minlength=column_count)[columns]
        from_column = 0.5 * from_column + 0.5 / (1.0 + np.maximum(total - claimed, 0.0))
    odds = weights * from_row * from_column
    return np.asarray(odds / (1.0 + odds), dtype=np.float64)


def _choose(
    settled: tuple[Indexes, Indexes, Numbers],
    records: Sequence[RecordPoint],
    spans: Sequence[SpanPoint],
    minimum: float,
) -> list[LikelyPair]:
    rows, columns, chances = settled
    chosen: list[tuple[int, int, float]] = []
    taken_columns: set[int] = set()
    by_row: dict[int, list[tuple[int, float]]] = {}
    for place in np.argsort(-chances, kind="stable"):
        row, column, chance = int(rows[place]), int(columns[place]), float(chances[place])
        is_first = row not in by_row
        by_row.setdefault(row, []).append((column, chance))
        if is_first and chance >= minimum and column not in taken_columns:
            if chance >= TIMELINE_MINIMUM:
                taken_columns.add(column)
            chosen.append((row, column, chance))
    pairs = []
    for row, column, chance in chosen:
        others = by_row[row][1 : _MAX_RIVALS + 1]
        pair = _pair(records[row], spans[column], chance, others[0][1] if others else 0.0)
        pairs.append(replace(pair, rivals=_rivals(others, spans)))
    return sorted(pairs, key=lambda pair: pair.record)


def _rivals(
    others: Sequence[tuple[int, float]], spans: Sequence[SpanPoint]
) -> tuple[RejectedCandidate, ...]:
    return tuple(
        RejectedCandidate(
            to=spans[column].key,
            tier=5,
            confidence=round(chance, 4),
            reason="another span is likelier",
        )
        for column, chance in others
        if chance >= _LEAST_RIVAL
    )


def _pair(record: RecordPoint, span: SpanPoint, chance: float, runner_up: float) -> LikelyPair:
    ms = 1_000_000
    evidence = [
        Evidence(
            field="start",
            left=f"{record.start_ns}",
            right=f"{span.start_ns} ({(span.start_ns - record.start_ns) / ms:+.3f} ms)",
        ),
        Evidence(
            field="backend_ns, duration",
            left=f"{record.backend_ns}",
            right=f"{span.duration_ns}",
        ),
        Evidence(
            field="method, status",
            left=f"{record.method} {record.status}",
            right=f"{span.method} {span.status}",
        ),
    ]
    if record.response_bytes is not None and span.response_bytes is not None:
        evidence.append(
            Evidence(
                field="response_bytes",
                left=str(record.response_bytes),
                right=str(span.response_bytes),
            )
        )
    return LikelyPair(
        record=record.key,
        span=span.key,
        route=record.route,
        probability=chance,
        runner_up=runner_up,
        evidence=tuple(evidence),
    )


def _audit(route: str, count: int, claims: Sequence[tuple[float, bool]]) -> RouteAudit:
    strong = [is_right for chance, is_right in claims if chance >= STATISTICS_MINIMUM]
    right = sum(strong)
    precision = right / len(strong) if strong else 0.0
    curve = []
    for tenth in range(5, 10):
        low, high = tenth / 10, (tenth + 1) / 10
        inside = [
            ok for chance, ok in claims if low <= chance < high or (tenth == 9 and chance == 1)
        ]
        if inside:
            curve.append((low, sum(inside) / len(inside), len(inside)))
    is_proven = len(strong) >= _MIN_AUDITED and precision >= STATISTICS_MINIMUM
    return RouteAudit(
        route=route,
        audited=count,
        claimed=len(strong),
        precision=precision,
        coverage=right / count if count else 0.0,
        curve=tuple(curve),
        is_demoted=not is_proven,
    )


def _is_demoted(route: str, audits: Mapping[str, RouteAudit] | None) -> bool:
    if audits is None:
        return False
    audit = audits.get(route)
    return audit is None or audit.is_demoted
