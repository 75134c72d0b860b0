"""Doctor and outcomes over HTTP and a real embedded engine."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from collector.query.learned.freshness import Freshness
from collector.query.learned.likely_partners import LikelyPartners
from collector.query.reports.doctor import DoctorReport
from collector.query.reports.outcomes import OutcomeReport
from collector.query.reports.sampling import Sampling
from collector.query.service import QueryService
from collector.query.timelines.rows import RowStitching
from collector.query.timelines.stitching import Stitching
from collector.store import RequestRow, Store
from collector.telemetry import Metrics
from tests.api_client import Asker, check_answer, serving
from tests.manual_clock import ManualClock
from tests.stories import (
    MINUTE,
    NOW,
    SECOND,
    Story,
    asking,
    joined_story,
    make_record,
    refused_story,
    unrecorded_story,
)

T = NOW - 50 * MINUTE
LOST = 22
GOOD = 20
ZERO_PARENT = f"00-{7:032x}-{0:016x}-01"


def _stories() -> list[Story]:
    good = [joined_story(n, T + n * SECOND) for n in range(1, GOOD + 1)]
    lost = [
        Story([make_record(100 + n, T + n * SECOND, raw=f'{{"traceparent": "{ZERO_PARENT}"}}')], [])
        for n in range(LOST)
    ]
    bad = [joined_story(200 + n, T + n * SECOND, failed=True) for n in range(3)]
    other = [refused_story(300, T), unrecorded_story(301, T)]
    return [*good, *lost, *bad, *other]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[QueryService, Store]]:
    with asking(_stories(), tmp_path_factory.mktemp("samples")) as found:
        yield found


@pytest.fixture(scope="module")
def asker(told: tuple[QueryService, Store]) -> Iterator[Asker]:
    with serving(told[0]) as found:
        yield found


def test_the_doctor_finds_what_is_missing(asker: Asker) -> None:
    """Records whose spans did not come are one finding with share, examples and what to do."""
    document = asker.get("/api/v1/doctor")
    check_answer(DoctorReport, document)
    assert document["looked_at"] == GOOD + LOST + 5
    [found] = [f for f in document["findings"] if f["rule"] == "SOURCE_LATE"]
    assert found["affected"] == LOST
    assert found["requests"] == GOOD + LOST + 4
    assert found["layer"] == "gateway"
    assert found["first_seen"] < found["last_seen"]
    assert found["fix"]
    for example in found["example_ids"]:
        assert asker.timeline(example)["spans"]


def test_the_doctor_reads_what_records_say_themselves(asker: Asker) -> None:
    """A header that only the text of the gateway's records shows is a finding too."""
    document = asker.get("/api/v1/doctor")
    [found] = [f for f in document["findings"] if f["rule"] == "ZERO_PARENT"]
    assert found["affected"] == LOST
    assert ZERO_PARENT in found["message"]


def test_an_empty_range_says_why(asker: Asker) -> None:
    """Where nothing is stored the answer names what there is."""
    document = asker.get("/api/v1/doctor?start=-30d&end=-20d")
    assert document["findings"] == []
    assert document["looked_at"] == 0
    assert "there is data from" in document["note"]


def test_a_sample_is_stable(asker: Asker) -> None:
    """Asked again it is the same, and a larger sample holds the smaller one."""
    small = asker.get("/api/v1/outcomes?limit=10")
    again = asker.get("/api/v1/outcomes?limit=10")
    assert small["apis"] == again["apis"]
    assert small["looked_at"] == 10
    large = asker.get("/api/v1/outcomes?limit=40")
    for api in small["apis"]:
        [whole] = [each for each in large["apis"] if each["api"] == api["api"]]
        for outcome, count in api["outcomes"].items():
            assert whole["outcomes"][outcome] >= count


def test_asked_again_within_a_minute_only_what_is_new_is_stitched(
    told: tuple[QueryService, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is the same and says how old it is; after the minute all is stitched again."""
    clock = ManualClock(NOW)
    freshness = Freshness(told[1], clock, tmp_path)
    partners = LikelyPartners(told[1], clock, freshness)
    stitched: list[int] = []
    stitch = RowStitching.stitch

    def counted(self: RowStitching, rows: Sequence[RequestRow], *args: Any) -> Any:
        stitched.append(len(rows))
        return stitch(self, rows, *args)

    monkeypatch.setattr(RowStitching, "stitch", counted)
    with ThreadPoolExecutor(2) as aside, closing(freshness), closing(partners):
        rows = RowStitching(told[1], Stitching(freshness, Metrics(), ()), aside, partners)
        sampling = Sampling(told[1], clock, freshness, rows)
        clock.advance(s=30)  # what has just come may have more to come
        first = sampling.draw([("start", "-2h")])
        clock.advance(s=40)
        again = sampling.draw([("start", "-2h")])
        assert stitched == [GOOD + LOST + 5]
        assert again.timelines == first.timelines
        assert (first.note, again.note) == ("", "Requests are told as they were up to 40.0 s ago.")
        clock.advance(s=40)
        assert sampling.draw([("start", "-2h")]).note == ""
        assert stitched == [GOOD + LOST + 5] * 2


def test_outcomes_reconcile_to_the_records(asker: Asker) -> None:
    """Every record is counted once; what no gateway saw, or no mesh, stands apart."""
    document = asker.get("/api/v1/outcomes")
    check_answer(OutcomeReport, document)
    apis = {each["api"]: each for each in document["apis"]}
    assert document["answered_at_gateway"] == 1
    assert apis["orders-api"]["requests"] == GOOD + LOST + 3
    assert apis[""]["requests"] == 1
    assert sum(row["requests"] for row in apis["orders-api"]["matrix"]) == GOOD + LOST + 3
    failed = [r for r in apis["orders-api"]["matrix"] if r["app_status"] == "5xx"]
    assert [(r["gateway_status"], r["edge_status"], r["requests"]) for r in failed] == [
        ("5xx", "5xx", 3)
    ]


@pytest.mark.parametrize("path", ["doctor", "joins", "outcomes"])
@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("start=whenever", "start"),
        ("start=now&end=-1h", "start"),
        ("gateway=azure-apim", "gateway"),
        ("api=a&api=b", "api"),
    ],
)
def test_a_bad_parameter_is_named(asker: Asker, path: str, query: str, name: str) -> None:
    """400, or 422 for one that is unknown, and the message begins with the parameter."""
    status = 422 if name == "gateway" else 400
    error = asker.get(f"/api/v1/{path}?{query}", status=status)["error"]
    assert error["message"].lstrip("'").startswith(name)


def test_a_sample_ends_with_its_time(
    told: tuple[QueryService, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the time is over, what was stitched so far is the answer, and it says how much."""
    monkeypatch.setattr("collector.query.reports.sampling._MAX_SECONDS", -1.0)
    clock = ManualClock(NOW)
    freshness = Freshness(told[1], clock, tmp_path)
    with ThreadPoolExecutor(1) as aside:
        partners = LikelyPartners(told[1], clock, freshness)
        rows = RowStitching(told[1], Stitching(freshness, Metrics(), ()), aside, partners)
        sampling = Sampling(told[1], clock, freshness, rows)
        sample = sampling.draw([])
    assert sample.timelines == ()
    assert f"0 of {GOOD + LOST + 5} were looked at" in sample.note


def test_what_has_no_room_in_a_large_page_is_read_in_smaller_ones(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traces of many spans are all looked at, where a page of them would hold more than it may."""
    whole = asker.get("/api/v1/doctor?start=-1h")
    monkeypatch.setattr("collector.query.timelines.rows.MAX_PAGE_SPANS", 40)
    monkeypatch.setattr("collector.query.reports.sampling._LEAST_PAGE", 5)
    document = asker.get("/api/v1/doctor?start=-1h")
    assert document["looked_at"] == whole["looked_at"]
    assert "too large" not in document["note"]
