"""Joins without ids: right where they are sure, silent where they cannot be, and measured."""

import random
from dataclasses import replace

import numpy as np
import pytest

from collector.stitch.join.by_likelihood import (
    RecordPoint,
    SpanPoint,
    audit_routes,
    join_without_ids,
    learn_routes,
    record_point,
)
from collector.stitch.join.densities import learn_density
from collector.stitch.join.likely import LikelyPair
from tests.unit.stitch.building import LONG_AFTER, MS, TRACE, record, shop_request, stitch

Pairs = list[tuple[RecordPoint, SpanPoint]]


def traffic(
    rate_per_s: float, count: int, *, sampled: float = 1.0, sizes: bool = False, seed: int = 1
) -> tuple[list[RecordPoint], list[SpanPoint], dict[str, str]]:
    """
    Return records, spans and the truth of one route.

    Poisson arrivals, log-normal latencies around 80 ms, gateway times in whole milliseconds, and a
    mesh clock that is 37 ms ahead.
    """
    rnd = random.Random(seed)
    records, spans, truth = [], [], {}
    at_ns = 0.0
    for number in range(count):
        at_ns += rnd.expovariate(rate_per_s) * 1e9
        policy, network = rnd.lognormvariate(1, 0.5) * MS, rnd.lognormvariate(0.3, 0.4) * MS
        work = rnd.lognormvariate(4.38, 0.5) * MS
        size = int(rnd.lognormvariate(8, 1)) if sizes else None
        known = RecordPoint(
            key=f"azure-apim/r{number}",
            route="orders|GET",
            method="GET",
            status=200,
            start_ns=round(at_ns / MS) * MS,
            backend_ns=round((work + network) / MS) * MS,
            resolution_ns=MS,
            response_bytes=size,
        )
        records.append(known)
        if rnd.random() < sampled:
            span = SpanPoint(
                key=f"t{number}/s{number}",
                method="GET",
                status=200,
                start_ns=int(at_ns + policy + network / 2) + 37 * MS,
                duration_ns=int(work),
                response_bytes=size,
            )
            spans.append(span)
            truth[known.key] = span.key
    return records, spans, truth


def split(
    records: list[RecordPoint], spans: list[SpanPoint], truth: dict[str, str], step: int
) -> tuple[Pairs, list[RecordPoint], list[SpanPoint]]:
    """Return every *step*-th pair as known by its ids, and the rest without."""
    by_key = {span.key: span for span in spans}
    traced = [r for r in records if r.key in truth]
    pairs = [(r, by_key[truth[r.key]]) for r in traced[::step]]
    known = {r.key for r, _ in pairs} | {s.key for _, s in pairs}
    return (
        pairs,
        [r for r in records if r.key not in known],
        [s for s in spans if s.key not in known],
    )


@pytest.mark.parametrize("rate_per_s", [10, 50, 200])
@pytest.mark.parametrize("sampled", [1.0, 0.3])
def test_what_is_claimed_is_kept(rate_per_s: float, sampled: float) -> None:
    """Up to 200 requests a second, pairs claimed at 0.95 are right in 95 of 100 cases and more."""
    records, spans, truth = traffic(rate_per_s, 2400, sampled=sampled)
    pairs, unknown, loose = split(records, spans, truth, 10)
    found = join_without_ids(unknown, loose, learn_routes(pairs))
    claimed = [pair for pair in found if pair.probability >= 0.95]
    right = sum(truth.get(pair.record) == pair.span for pair in claimed)
    assert right / len(claimed) >= 0.98
    possible = sum(record.key in truth for record in unknown)
    assert right / possible > (0.8 if sampled == 1.0 else 0.5)


def test_equal_sizes_make_it_sure() -> None:
    """Where both sides log the response size, hardly a pair is missed at 200 a second."""
    records, spans, truth = traffic(200, 2000, sizes=True)
    pairs, unknown, loose = split(records, spans, truth, 10)
    found = join_without_ids(unknown, loose, learn_routes(pairs))
    assert sum(truth[pair.record] == pair.span for pair in found) > 0.99 * len(unknown)


def test_no_span_is_given_to_two_records() -> None:
    """Every record and every span is in one pair at most."""
    records, spans, truth = traffic(500, 1500)
    pairs, unknown, loose = split(records, spans, truth, 10)
    found = join_without_ids(unknown, loose, learn_routes(pairs))
    assert len({pair.record for pair in found}) == len({pair.span for pair in found}) == len(found)


def test_a_record_whose_partner_was_not_sampled_stays_alone() -> None:
    """With a tenth of the spans recorded, most records get no partner rather than a wrong one."""
    records, spans, truth = traffic(20, 4000, sampled=0.1)
    pairs, unknown, loose = split(records, spans, truth, 4)
    found = join_without_ids(unknown, loose, learn_routes(pairs))
    wrong = [pair for pair in found if truth.get(pair.record) != pair.span]
    assert len(wrong) <= 0.02 * len(found)


def test_the_order_of_the_batch_does_not_matter() -> None:
    """The same records and spans in any order give the same pairs."""
    records, spans, truth = traffic(50, 600)
    pairs, unknown, loose = split(records, spans, truth, 10)
    models = learn_routes(pairs)
    assert join_without_ids(unknown, loose, models) == join_without_ids(
        unknown[::-1], loose[::-1], models
    )


def test_other_methods_and_statuses_are_no_candidates() -> None:
    """A POST or a 500 is not the partner of a GET that ended with 200, however well it fits."""
    records, spans, truth = traffic(10, 400)
    pairs, unknown, loose = split(records, spans, truth, 4)
    models = learn_routes(pairs)
    assert not join_without_ids(unknown, [replace(s, method="POST") for s in loose], models)
    assert not join_without_ids(unknown, [replace(s, status=500) for s in loose], models)


def test_a_route_needs_twenty_exact_pairs() -> None:
    """Nineteen pairs teach nothing."""
    records, spans, truth = traffic(10, 400)
    pairs, unknown, loose = split(records, spans, truth, 10)
    assert learn_routes(pairs[:19]) == {}
    assert join_without_ids(unknown, loose, {}) == []


def test_the_audit_measures_precision_and_coverage() -> None:
    """Hidden ids show that a quiet route keeps its word: it is not demoted."""
    records, spans, truth = traffic(50, 1500)
    pairs, unknown, loose = split(records, spans, truth, 4)
    audit = audit_routes(pairs, loose, unknown)["orders|GET"]
    assert audit.precision >= 0.98
    assert audit.coverage > 0.8
    assert audit.audited == len(pairs)
    assert not audit.is_demoted
    assert audit.curve[-1][0] == 0.9


def test_a_route_that_does_not_keep_its_word_is_demoted() -> None:
    """Where every fifth known id is wrong, the claimed precision is not reached: no links."""
    records, spans, truth = traffic(50, 1500)
    pairs, unknown, loose = split(records, spans, truth, 4)
    shifted = [
        (r, pairs[(n + 1) % len(pairs)][1]) if n % 5 in (0, 1) else (r, s)
        for n, (r, s) in enumerate(pairs)
    ]
    audits = audit_routes(shifted, loose, unknown)
    assert audits["orders|GET"].is_demoted
    found = join_without_ids(unknown, loose, learn_routes(pairs), audits)
    assert found
    assert all(pair.is_demoted for pair in found)


def test_a_crowd_of_equals_is_left_alone() -> None:
    """Identical requests at the same moment cannot be told apart, and nothing is claimed."""
    rnd = random.Random(2)
    records, spans, truth = traffic(10, 300)
    pairs, _, _ = split(records, spans, truth, 4)
    start = records[-1].start_ns + 10_000 * MS
    crowd = [
        replace(records[0], key=f"azure-apim/c{n}", start_ns=start, backend_ns=80 * MS)
        for n in range(60)
    ]
    answers = [
        SpanPoint(
            key=f"c{n}/c",
            method="GET",
            status=200,
            start_ns=start + 40 * MS + rnd.randrange(MS),
            duration_ns=79 * MS,
        )
        for n in range(60)
    ]
    assert join_without_ids(crowd, answers, learn_routes(pairs)) == []


def test_densities_are_densities() -> None:
    """A learned density integrates to less than one, and is nowhere zero."""
    samples = np.array([float(n % 97) * MS for n in range(500)])
    density = learn_density(samples, MS)
    mass = float(density.values.sum() * (density.grid[1] - density.grid[0]))
    assert 0.9 < mass <= 1.0
    assert np.isfinite(density.log_at(np.array([-1e18, 0.0, 1e18]))).all()
    assert 30 * MS < density.quantile(0.5) < 65 * MS
    single = learn_density(np.array([5.0]), 0)
    assert np.isfinite(single.log_at(np.array([5.0]))).all()


def test_a_record_is_a_point_by_its_call_to_the_backend() -> None:
    """A record without a backend call has no partner."""
    known, _ = shop_request()
    point = record_point(known)
    assert point is not None
    assert point.backend_ns == 90 * MS
    assert record_point(record(total=5, backend=0)) is None


def _likely(probability: float, *, is_demoted: bool = False) -> LikelyPair:
    known, trace = shop_request()
    return LikelyPair(
        record=f"azure-apim/{known.record_id}",
        span=f"{TRACE}/{trace.spans[0].span_id}",
        route="orders",
        probability=probability,
        runner_up=0.01,
        evidence=(),
        is_demoted=is_demoted,
    )


def test_a_likely_pair_joins_a_timeline() -> None:
    """A record that no id joins is joined at tier 4 with its probability."""
    known, trace = shop_request()
    known.trace_id = known.outgoing_span_id = ""
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER, likely=[_likely(0.97)])
    assert [(link.tier, link.confidence) for link in timeline.links] == [(4, 0.97)]
    assert [hop.role for hop in timeline.hops][:2] == ["gateway", "edge"]


@pytest.mark.parametrize(
    ("pair", "reason"),
    [(_likely(0.4), "less likely than not"), (_likely(0.99, is_demoted=True), "not proven")],
)
def test_a_pair_that_is_not_sure_is_listed_only(pair: LikelyPair, reason: str) -> None:
    """An unlikely or unproven pair is a rejected candidate with its reason."""
    known, trace = shop_request()
    known.trace_id = known.outgoing_span_id = ""
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER, likely=[pair])
    assert [hop.role for hop in timeline.hops] == ["gateway"]
    assert reason in timeline.links[0].rejected[0].reason


def test_likelihood_never_overrides_an_id() -> None:
    """A record that an id joins is not touched by a likely pair."""
    known, trace = shop_request()
    timeline = stitch([known], trace.spans, now_ns=LONG_AFTER, likely=[_likely(0.99)])
    assert [link.tier for link in timeline.links] == [0]
