"""Budgets over stored requests: targets, burn rates, who spends the time, what would help."""

from collections.abc import Iterator
from random import Random

import pytest

from collector.__main__ import main
from collector.query.reports.budget import Budget
from tests.api_client import Asker, check_answer, serving
from tests.changing import make_hop, make_request
from tests.stories import MINUTE, MS, NOW, SECOND, Story, asking, make_record

COUNT = 400
_AGO = (NOW - 30 * MINUTE) // MS
_AGO_13 = _AGO + 13 * 4_000


def _stories() -> list[Story]:
    """Return records of half an hour: one in twenty fails, one in ten takes 500 ms."""
    return [
        Story(
            records=[
                make_record(
                    number,
                    NOW - 30 * MINUTE + number * 4 * SECOND,
                    duration_ns=(500 if number % 10 == 0 else 100) * MS,
                    status=500 if number % 20 == 1 else 200,
                    is_error=number % 20 == 1,
                )
            ]
        )
        for number in range(COUNT)
    ]


def _connections() -> list[Story]:
    """Return requests of hours ago: 100 ms each, but for three that stay open for a minute."""
    began = NOW - 180 * MINUTE
    plain = [make_record(number, began + number * SECOND) for number in range(2_000, 2_040)]
    opened = [
        make_record(
            number, began + number * SECOND, duration_ns=60 * SECOND, status=status, **given
        )
        for number, status, given in (
            (2_041, 101, {"kind": "websocket"}),
            (2_042, 200, {"method": "CONNECT", "quality": ("STREAMING",)}),
            (2_043, 200, {"quality": ("STREAMING",)}),
        )
    ]
    return [Story(records=[record]) for record in (*plain, *opened)]


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    draw = Random(4)  # noqa: S311 - not for secrets
    requests = []
    for number in range(COUNT):
        database_ms = 420 if number % 10 == 0 else draw.uniform(20, 30)
        requests.append(
            make_request(
                number,
                NOW - 30 * MINUTE + number * 4 * SECOND,
                make_hop("orders", 70),
                make_hop("postgresql", database_ms, role="dependency", parent=0),
                gateway="azure-apim",
                api="orders-api",
            )
        )
    with asking([*_stories(), *_connections()], tmp_path_factory.mktemp("budget")) as (
        questions,
        store,
    ):
        store.write_requests(requests, [], NOW)
        with serving(questions) as found:
            yield found


def test_a_target_is_kept_or_missed_beyond_chance(asker: Asker) -> None:
    """A tenth takes 500 ms: the median keeps 300 ms, the 95th percentile does not."""
    document = asker.get("/api/v1/budget?p50_ms=300&p95_ms=300&p99_ms=2s")
    check_answer(Budget, document)
    assert {each["name"]: each["verdict"] for each in document["targets"]} == {
        "p50": "kept",
        "p95": "missed",
        "p99": "kept",
    }
    assert document["verdict"] == "missed"


def test_who_spends_the_slowest_requests_time_is_first(asker: Asker) -> None:
    """The database is a third of the time on average, and most of it in the slowest."""
    document = asker.get("/api/v1/budget")
    assert document["verdict"] == "none"
    first, second = document["spending"][:2]
    assert (first["service"], second["service"]) == ("postgresql", "orders")
    assert first["slowest_share"] == pytest.approx(420 / 490, abs=0.01)
    assert first["share"] < second["share"]


def test_what_if_takes_from_what_holds_up_the_answer(asker: Asker) -> None:
    """Without the database the 95th percentile is that of the service; 30 % are 126 ms."""
    found = asker.get("/api/v1/budget")["what_if"]
    by_key = {(each["service"], each["factor"]): each for each in found}
    assert by_key["postgresql", 1.0]["p95_ms"] == pytest.approx(70, abs=1)
    assert by_key["postgresql", 0.3]["p95_saved_ms"] == pytest.approx(126, abs=1)
    assert [each["service"] for each in found[:1]] == ["postgresql"]


def test_errors_burn_the_budget(asker: Asker) -> None:
    """A twentieth that fails burns a budget of one in a hundred five times too fast."""
    errors = asker.get("/api/v1/budget?objective=99")["errors"]
    assert errors["verdict"] == "missed"
    whole, recent = errors["burn_rates"]
    assert (whole["requests"], whole["bad"]) == (COUNT, COUNT // 20)
    assert whole["burn_rate"] == pytest.approx(5)
    assert recent["window"] == "5 min"
    late = asker.get("/api/v1/budget?objective=80&good_within_ms=300")["errors"]
    assert late["burn_rates"][0]["bad"] == COUNT // 20 + COUNT // 10
    assert late["verdict"] == "kept"


EARLIER = "start=-4h&end=-1h"


def test_what_stays_open_is_not_late(asker: Asker) -> None:
    """A WebSocket, a tunnel and a stream live for a minute, and none of that is an answer."""
    document = asker.get(f"/api/v1/budget?{EARLIER}&objective=99&good_within_ms=300&p95_ms=300")
    assert [each["bad"] for each in document["errors"]["burn_rates"]] == [0, 0, 0]
    assert document["requests"] == 43
    assert [each["value_ms"] for each in document["targets"]] == [120]
    assert document["note"].startswith("3 requests became connections that stay open")


def test_what_stays_open_is_not_slow(asker: Asker) -> None:
    """The bound of what is slow comes from answers, and connections are counted beside them."""
    document = asker.get(f"/api/v1/slow?{EARLIER}")
    assert document["threshold_ms"] == 120
    assert document["population"]["requests"] == 43
    assert "3 requests became connections that stay open" in document["note"]


@pytest.mark.parametrize(
    ("query", "status", "name"),
    [
        ("p95_ms=soon", 400, "p95_ms"),
        ("objective=100", 400, "objective"),
        ("objective=nan", 400, "objective"),
        ("good_within_ms=5", 400, "good_within_ms"),
        ("status=500", 422, "'status'"),
    ],
)
def test_a_bad_target_is_named(asker: Asker, query: str, status: int, name: str) -> None:
    """A target that cannot be understood is named."""
    error = asker.get(f"/api/v1/budget?{query}", status=status)["error"]
    assert error["message"].startswith(name)


@pytest.mark.parametrize("target", ["p95_ms=300", "objective=99"])
def test_too_few_requests_say_how_many_it_needs(asker: Asker, target: str) -> None:
    """Of 13 requests there is no verdict, and the note has both numbers."""
    document = asker.get(f"/api/v1/budget?start={_AGO}&end={_AGO_13}&{target}")
    assert document["verdict"] == "unknown"
    assert "Too few requests for a verdict: 13, where 20 are needed." in document["note"]
    assert "needed" not in asker.get("/api/v1/budget")["note"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--p95", "300ms"], 3, "missed"),
        (["--p50", "300ms", "--api", "orders-api"], 0, "kept"),
        (["--p95", "300ms", "--api", "nobody"], 4, "unknown"),
    ],
)
def test_the_exit_status_says_it_to_a_pipeline(
    asker: Asker,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    said: str,
) -> None:
    """`hopline budget` ends with 0 when kept, 3 when missed, 4 when nobody can tell."""
    monkeypatch.setenv("HOPLINE_URL", str(asker.client.base_url))
    assert main(["budget", *arguments]) == status
    assert said in capsys.readouterr().out
