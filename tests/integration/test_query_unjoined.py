"""Records that no id joins: likely partners in timelines, and how far they can be trusted."""

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import pytest

from collector.model import GatewayRecord, Span
from collector.query.learned.freshness import Freshness
from collector.query.reports.joins import JoinReport
from collector.query.service import QueryService
from collector.store import Store
from tests.api_client import Asker, check_answer, serving
from tests.manual_clock import ManualClock
from tests.stitched_rows import make_stitched
from tests.stories import MINUTE, MS, NOW, SECOND, Story, asking, make_record, make_spans, number_id

T = NOW - 30 * MINUTE
_COUNT = 320


@dataclass(frozen=True)
class Traffic:
    """Requests of one API; every fourth has no id in common with its spans."""

    story: Story
    partner_of: dict[str, str]
    """The trace of each record that no id joins."""


def _traffic(api: str, first: int, gap_ns: int, *, spread: bool) -> Traffic:
    """Tell requests some *gap_ns* apart; without *spread* all of them look the same."""
    rnd = random.Random(api)
    records: list[GatewayRecord] = []
    spans: list[Span] = []
    partner_of = {}
    at_ns = T
    for number in range(first, first + _COUNT):
        at_ns += int(rnd.expovariate(1) * gap_ns) if spread else gap_ns
        policy = int(rnd.lognormvariate(1, 0.4) * MS) if spread else 3 * MS
        network = int(rnd.lognormvariate(0.3, 0.4) * MS) if spread else MS
        inner = int(rnd.lognormvariate(4, 0.6) * MS) if spread else 60 * MS
        backend = (inner + 10 * MS + network) // MS * MS
        is_hidden = number % 4 == 0
        outgoing = "" if is_hidden else number_id(number + 3_000, 16)
        record = make_record(
            number,
            at_ns // MS * MS,
            api=api,
            trace_id="" if is_hidden else number_id(number),
            outgoing_span_id=outgoing,
            backend_ns=backend,
            duration_ns=backend + 10 * MS,
        )
        records.append(record)
        spans += [
            replace(span, service="edge" if place == 0 else span.service)
            for place, span in enumerate(make_spans(number, at_ns + policy, outgoing, inner)[:2])
        ]
        if is_hidden:
            partner_of[record.record_id] = number_id(number)
    return Traffic(Story(records, spans), partner_of)


PLAIN = _traffic("plain", 4_000, 200 * MS, spread=True)
CROWD = _traffic("crowd", 8_000, MS // 20, spread=False)
# Minutes apart, and of an API that nothing is learned of: what a list does not get to by itself.
APART = [
    (
        make_record(number, NOW - 4 * 60 * MINUTE + number * 3 * MINUTE, api="apart"),
        make_spans(number, NOW - 4 * 60 * MINUTE + number * 3 * MINUTE + 5 * MS, "", 40 * MS),
    )
    for number in range(30, 42)
]
STRANGER = make_record(1, T + 10 * SECOND, api="no-pairs")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[QueryService, Store]]:
    # Apart in time, as the edge spans of both would compete.
    later = [replace(r, start_ns=r.start_ns + 10 * MINUTE) for r in CROWD.story.records]
    moved = [
        replace(s, start_ns=s.start_ns + 10 * MINUTE, end_ns=s.end_ns + 10 * MINUTE)
        for s in CROWD.story.spans
    ]
    stories = [PLAIN.story, Story([STRANGER], []), Story(later, moved)]
    stories += [Story([record], spans) for record, spans in APART]
    folder = tmp_path_factory.mktemp("unjoined")
    with asking(stories, folder) as (questions, store):
        stitched = [
            make_stitched(
                number,
                record.start_ns,
                120,
                request_id=record.record_id,
                trace_id=spans[0].trace_id,
                join_tier=4,
                join_confidence=0.5 + number % 2 / 4,
                api=record.api,
            )
            for number, (record, spans) in enumerate(APART)
        ]
        store.write_requests(stitched, [], 1)
        yield questions, store


@pytest.fixture(scope="module")
def asker(told: tuple[QueryService, Store]) -> Iterator[Asker]:
    with serving(told[0]) as found:
        yield found


def test_a_record_without_ids_finds_its_spans(asker: Asker) -> None:
    """Most are joined at tier 4 with confidence and evidence, and nearly all of them rightly."""
    joined = right = 0
    asked = list(PLAIN.partner_of.items())[::2]
    for record_id, trace in asked:
        timeline = asker.timeline(record_id)
        links = [link for link in timeline["links"] if link["tier"] == 4]
        if not links:
            continue
        joined += 1
        [link] = links
        assert link["confidence"] >= 0.5
        assert {proof["field"] for proof in link["evidence"]} >= {"start", "backend_ns, duration"}
        right += timeline["trace_id"] == trace
    assert joined >= 0.7 * len(asked)
    assert right >= 0.95 * joined


def test_requests_that_all_look_the_same_are_not_joined(asker: Asker) -> None:
    """Where likelihood cannot tell one from the other nothing is merged; candidates are listed."""
    for record_id in list(CROWD.partner_of)[:5]:
        timeline = asker.timeline(record_id)
        assert not [link for link in timeline["links"] if link["to"]]
        assert {span["role"] for span in timeline["spans"]} == {"gateway"}
        for link in timeline["links"]:
            assert link["tier"] == 5
            assert link["rejected"]


def test_a_route_without_exact_pairs_is_left_alone(asker: Asker) -> None:
    """Nothing is known of how such a pair looks, so nothing is claimed."""
    timeline = asker.timeline(STRANGER.record_id)
    assert timeline["links"] == []
    assert len(timeline["spans"]) == 1


def test_the_joins_are_measured_per_route(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiers add up to the records; precision is measured, and a route that guesses is demoted."""
    monkeypatch.setattr("collector.query.reports.sampling._MAX_SECONDS", 600.0)
    monkeypatch.setattr("collector.query.reports.joins._DUE_S", 600.0)
    document = asker.get("/api/v1/joins?start=-1h&limit=2000")
    check_answer(JoinReport, document)
    apis = {item["api"]: item for item in document["apis"]}
    assert set(apis) == {"plain", "crowd", "no-pairs"}
    plain, crowd = apis["plain"], apis["crowd"]
    assert plain["tiers"] == {"0": _COUNT * 3 // 4, "none": _COUNT // 4}
    assert plain["joined_ratio"] == 0.75
    [route] = plain["statistical"]["routes"]
    assert not route["demoted"]
    assert route["precision"] >= 0.95
    assert route["coverage"] >= 0.5
    assert plain["statistical"]["exact_pairs"] == _COUNT * 3 // 4
    assert plain["statistical"]["unjoined"] == _COUNT // 4
    assert 0 < plain["statistical"]["joined"] <= _COUNT // 4
    [route] = crowd["statistical"]["routes"]
    assert route["demoted"]
    assert crowd["statistical"]["joined"] == 0
    assert apis["no-pairs"]["statistical"]["routes"] == []


def test_joins_that_take_too_long_to_measure_are_measured_when_asked_again(
    told: tuple[QueryService, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer waits for nothing that is late, and says of how many APIs nothing is known yet."""
    monkeypatch.setattr("collector.query.reports.sampling._MAX_SECONDS", 600.0)
    monkeypatch.setattr("collector.query.reports.joins._DUE_S", -1.0)
    _, store = told
    clock = ManualClock(NOW)
    known = 0
    with closing(QueryService(store, clock, Freshness(store, clock, tmp_path))) as fresh:
        deadline = monotonic() + 60
        while known < 3:
            assert monotonic() < deadline
            report = fresh.reports.joins([("start", "-1h"), ("limit", "2000")])
            assert len(report.apis) == 3
            measured = [api.statistical for api in report.apis if api.statistical]
            assert all(each.as_of_ns == NOW for each in measured)
            assert len(measured) >= known
            known = len(measured)
            assert (f"not measured for {3 - known} of 3 APIs" in report.note) == (known < 3)
        # a little later it is told as it was, and measured again aside
        clock.advance(s=120)
        report = fresh.reports.joins([("start", "-1h"), ("limit", "2000")])
        assert [api.statistical.as_of_ns for api in report.apis if api.statistical] == [NOW] * 3


def test_one_api_alone(asker: Asker) -> None:
    """With `api` only its records are drawn."""
    document = asker.get("/api/v1/joins?start=-1h&api=plain&limit=50")
    assert [item["api"] for item in document["apis"]] == ["plain"]
    assert document["looked_at"] == 50


def test_the_account_tells_the_proof_of_a_likely_join(asker: Asker) -> None:
    """The sentence on a join without ids carries its tier, its confidence and the record's id."""
    for record_id in PLAIN.partner_of:
        sentences = asker.get(f"/api/v1/requests/{record_id}/explain")["sentences"]
        found = [s for s in sentences if s["rule"] == "JOIN_TIER_4"]
        if found:
            assert "without a shared id" in found[0]["text"]
            assert "confidence" in found[0]["text"]
            assert f"azure-apim/{record_id}" in found[0]["refs"]
            return
    pytest.fail("no record was joined without ids")


def test_a_likely_pair_is_one_row_of_a_list(asker: Asker) -> None:
    """Record and trace are told as one request, under the record's id, with how likely it is."""
    page = asker.get(f"/api/v1/requests?start={T}&end={T + 30 * SECOND}&order=-start&limit=100")
    shown = {row["id"]: row for row in page["requests"]}
    joined = 0
    for row in page["requests"]:
        if row["id"] not in PLAIN.partner_of or not row["joined"]:
            continue
        joined += 1
        assert row["join_tier"] == 4
        assert 0.5 <= row["join_confidence"] <= 1
        assert row["trace_id"] not in shown
        assert row["hops"] > 1
    assert joined >= 0.6 * len([each for each in shown if each in PLAIN.partner_of])
    sure = next(row for row in page["requests"] if row["id"] not in PLAIN.partner_of)
    assert sure["join_tier"] < 4


@pytest.mark.parametrize("order", ["-duration", "-start"])
def test_a_long_range_has_the_pairs_that_were_found_before(asker: Asker, order: str) -> None:
    """Hours hold more places than a list weighs: it asks what stitching in the background said."""
    rows = asker.get(f"/api/v1/requests?start=-4h&end=-90m&limit=100&order={order}")["requests"]
    assert sorted((row["id"], row["trace_id"]) for row in rows) == sorted(
        (record.record_id, spans[0].trace_id) for record, spans in APART
    )
    assert {(row["joined"], row["join_tier"]) for row in rows} == {(True, 4)}
    assert {row["join_confidence"] for row in rows} == {0.5, 0.75}


def test_a_trace_opens_with_its_likely_record(asker: Asker) -> None:
    """Asked for by the trace, the request is the same one as asked for by the record."""
    opened = 0
    for record_id, trace in list(PLAIN.partner_of.items())[:6]:
        timeline = asker.timeline(record_id)
        if timeline["trace_id"] == trace:
            opened += 1
            assert asker.timeline(trace)["id"] == record_id
    assert opened
