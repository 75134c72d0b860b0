"""APIs, services, calls and slow requests over a real store: populations, weights, corrections."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from collector.answers import encode
from collector.config import load_settings
from collector.query.learned.freshness import Freshness
from collector.query.reports.reports import Reports
from collector.query.service import QueryService
from collector.store import Store, open_store
from collector.telemetry import Metrics
from tests.manual_clock import ManualClock
from tests.stitched_rows import NAMES, make_stitched
from tests.stories import MINUTE, MS, NOW, SECOND, Story, make_record, tell

DAY = 24 * 60 * MINUTE


def records_around(end_ns: int, first: int, count: int, took_ms: int) -> Story:
    """Return records of half an hour: every tenth of consumer `slowpoke`, some failed."""
    return Story(
        records=[
            make_record(
                first + number,
                end_ns - 30 * MINUTE + number * 5 * SECOND,
                duration_ns=(took_ms + number % 40) * MS,
                consumer="slowpoke" if number % 10 == 0 else "acme",
                operation="list-orders" if number % 4 == 0 else "get-order",
                status=503 if number % 30 == 0 else 404 if number % 30 == 1 else 200,
                is_error=number % 30 == 0,
            )
            for number in range(count)
        ],
        lag_ns=30 * MINUTE,
    )


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Reports, Store]]:
    """Yield questions over an hour that is slower than the one before, and than a day ago."""
    folder = tmp_path_factory.mktemp("reports")
    settings = load_settings(data_dir=folder, ttl_days=0)
    clock = ManualClock(NOW - DAY)
    store = open_store(settings.store(), clock, Metrics())
    store.migrate()
    for end_ns, first, took_ms in ((NOW - DAY, 0, 50), (NOW - 60 * MINUTE, 1_000, 50)):
        clock.advance(ns=end_ns - clock.now_ns())
        tell([records_around(end_ns, first, 300, took_ms)], settings, store, clock)
    clock.advance(ns=NOW - clock.now_ns())
    nothing_measured = make_record(
        5_000, NOW - MINUTE, api="unmeasured", duration_ns=None, client_ns=None
    )
    tell(
        [records_around(NOW, 2_000, 300, 80), Story(records=[nothing_measured])],
        settings,
        store,
        clock,
    )
    began_ns = NOW - 20 * MINUTE
    slow = [make_stitched(n, began_ns + n * SECOND, 400, pod="payments-bad") for n in range(30)]
    rest = [
        make_stitched(100 + n, began_ns + n * SECOND, 80 + n % 30, weight=4) for n in range(120)
    ]
    failed = [
        make_stitched(300 + n, began_ns + n * SECOND, 90, is_error=True, status=503, weight=2)
        for n in range(5)
    ]
    probe = make_stitched(400, began_ns, 5_000, is_probe=True)
    store.write_requests([*slow, *rest, *failed, probe], (), NOW)
    questions = QueryService(store, clock, Freshness(store, clock, folder), metrics=Metrics())
    yield questions.reports, store
    questions.close()
    store.close()


def ask(reports: tuple[Reports, Store], name: str, *pairs: tuple[str, str]) -> Any:
    """Return an answer as its readers get it."""
    return json.loads(encode(getattr(reports[0], name)(pairs)))


def test_apis_are_counted_from_every_record(reports: tuple[Reports, Store]) -> None:
    """Counts and percentiles are of all records, layers and shares of the stitched ones."""
    found = ask(reports, "apis")
    orders, unmeasured = found["apis"]
    assert (orders["api"], orders["requests"], orders["measured"]) == ("orders-api", 300, 300)
    assert (orders["errors"], orders["refused"]) == (10, 10)
    assert orders["p50_ms"] == pytest.approx(98, abs=1)
    assert orders["errors_by_layer"] == {"app": 10}
    assert sum(orders["shares"].values()) == pytest.approx(1.0)
    assert orders["shares"]["application"] > orders["shares"]["gateway"] > 0
    assert orders["stitched"] == 155
    assert [unmeasured[f"p{level}_ms"] for level in (50, 95, 99)] == [None, None, None]
    assert unmeasured["shares"] is None


def test_an_api_that_got_slower_says_so(reports: tuple[Reports, Store]) -> None:
    """30 ms more than an hour and a day ago is significant; as many requests and errors are not."""
    changes = {each["against"]: each for each in ask(reports, "apis")["apis"][0]["changes"]}
    assert set(changes) == {"previous", "day"}
    for each in changes.values():
        assert each["p50"]["delta_ms"] == pytest.approx(30, abs=1)
        assert each["p50"]["significant"] is True
        assert each["p95"]["significant"] is True
        assert each["requests_per_s"]["significant"] is False
        assert each["error_ratio"]["significant"] is False


def test_apis_are_told_apart_by_consumer_and_operation(reports: tuple[Reports, Store]) -> None:
    """Groups sum to the whole, and their filters restrict to just that."""
    found = ask(reports, "apis", ("group_by", "consumer,operation"), ("api", "orders-api"))
    assert found["group_by"] == ["consumer", "operation"]
    rows = {tuple(each["groups"].values()): each["requests"] for each in found["apis"]}
    assert sum(rows.values()) == 300
    assert rows["slowpoke", "list-orders"] == 15
    (one,) = ask(reports, "apis", ("consumer", "slowpoke"), ("error", "true"))["apis"]
    assert one["requests"] == one["errors"] == 10


def test_durations_over_time_hold_every_record(reports: tuple[Reports, Store]) -> None:
    """Each cell holds what began in its column and took what its row says; filters restrict."""
    found = ask(reports, "heat", ("api", "orders-api"))
    cells = found["cells"]
    assert sum(requests for _, _, requests, _ in cells) == 300
    assert sum(errors for _, _, _, errors in cells) == 10
    assert {at >= found["columns"] // 2 for at, _, _, _ in cells} == {True}
    for _, row, _, _ in cells:
        assert 2 ** (row / 2) < 120 * MS
        assert 2 ** ((row + 1) / 2) > 80 * MS
    slow = ask(reports, "heat", ("api", "orders-api"), ("min_duration_ms", "100"))
    assert sum(requests for _, _, requests, _ in slow["cells"]) == 140


def test_a_late_record_corrects_the_numbers(reports: tuple[Reports, Store]) -> None:
    """A stitched request that is written again, or taken back, counts as it is last."""
    _, store = reports
    before = ask(reports, "services", ("service", "orders"))["basis"]["requests"]
    late = make_stitched(900, NOW - 50 * MINUTE, 60)
    store.write_requests([late], (), NOW + 1)
    assert ask(reports, "services")["basis"]["requests"] == before + 1
    (key,) = store.find_stitched((), {late.request_id}, {late.start_ns})
    store.write_requests((), [key], NOW + 2)
    assert ask(reports, "services")["basis"]["requests"] == before


def test_services_are_weighed(reports: tuple[Reports, Store]) -> None:
    """Each service stands for as many requests as the stitched ones do; probes for none."""
    found = ask(reports, "services")
    services = {each["service"]: each for each in found["services"]}
    assert found["basis"] == {"stitched": 155, "requests": 30 + 480 + 10}
    orders = services["orders"]
    assert (orders["requests"], orders["visits"], orders["errors"]) == (520, 520, 10)
    assert orders["p95_ms"] == 396.0
    assert orders["proxy_share"] > 0
    assert services["postgresql"]["inferred"] is True
    assert services["azure-apim"]["role"] == "gateway"
    assert "payments-bad" in services["payments"]["pods"]


def test_the_map_has_gateway_and_operations(reports: tuple[Reports, Store]) -> None:
    """Calls go from the gateway, or from its operations if they are asked for."""
    plain = ask(reports, "edges")
    chain = dict.fromkeys(zip(NAMES, NAMES[1:], strict=False), 520)
    assert {(each["caller"], each["callee"]): each["calls"] for each in plain["edges"]} == chain
    with_operations = ask(reports, "edges", ("operations", "true"))
    edges = with_operations["edges"]
    calls = {(each["caller"], each["callee"]): each["calls"] for each in edges}
    assert calls["azure-apim", "orders-api list-orders"] == 75
    assert calls["orders-api get-order", "istio-ingressgateway"] == 520
    names = {each["name"] for each in with_operations["nodes"]}
    assert {name for pair in calls for name in pair} <= names


@pytest.mark.parametrize(
    ("question", "given", "limits", "said"),
    [
        ("apis", (), ("MAX_GROUPS",), "Only the 1 busiest APIs"),
        ("apis", (("group_by", "consumer"),), ("MAX_GROUPS",), "Only the 1 busiest groups"),
        ("services", (), ("MAX_SERVICES",), "Only the 1 busiest services"),
        ("edges", (), ("MAX_EDGES", "MAX_SERVICES"), "Only the 1 busiest edges"),
    ],
)
def test_what_is_cut_off_is_said(
    reports: tuple[Reports, Store],
    monkeypatch: pytest.MonkeyPatch,
    question: str,
    given: tuple[tuple[str, str], ...],
    limits: tuple[str, ...],
    said: str,
) -> None:
    """A list that has an end before its last entry says so in its note."""
    place = "apis" if question == "apis" else "services"
    for limit in limits:
        monkeypatch.setattr(f"collector.store.population.{limit}", 1)
        monkeypatch.setattr(f"collector.query.reports.{place}.{limit}", 1)
    found = ask(reports, question, *given)
    assert len(found[question]) == 1
    assert said in found["note"]


def test_the_pod_behind_slow_requests_is_found(reports: tuple[Reports, Store]) -> None:
    """The slow ones ran on one pod: it comes first, with where they wait."""
    found = ask(reports, "slow", ("slower_than_ms", "300"))
    assert found["population"]["source"] == "records"
    assert (found["population"]["requests"], found["stitched"]["requests"]) == (301, 520)
    assert (found["selected"]["requests"], found["baseline"]["requests"]) == (30, 490)
    first = found["differences"][0]
    assert (first["feature"]["name"], first["feature"]["value"]) == ("pod", "payments-bad")
    assert first["lower"] > 0.8
    assert first["examples_selected"][0].startswith("request-")
    assert found["calls"][0]["service"] == "postgresql"
    assert "payments-bad" in found["sentences"][0]["text"]


def test_too_few_requests_are_said_to_be_too_few(reports: tuple[Reports, Store]) -> None:
    """With five failed requests nothing is claimed."""
    found = ask(reports, "slow", ("select", "failed"))
    assert found["differences"] == []
    assert found["note"].startswith("Too few requests")
    nothing = ask(reports, "slow", ("start", "-3d"), ("end", "-2d"))
    assert "No stitched request fits" in nothing["note"]
    assert nothing["threshold_ms"] is None


def test_two_ranges_are_compared(reports: tuple[Reports, Store]) -> None:
    """A range against the one before shows both sides, and that one of them is empty."""
    found = ask(reports, "slow", ("start", "-30m"), ("baseline", "previous"))
    assert found["select"] == "all"
    assert found["selected"]["requests"] == 520
    assert found["baseline"]["requests"] == 0


def test_every_report_takes_a_name_in_another_case_and_says_so(
    reports: tuple[Reports, Store],
) -> None:
    """Reports over many requests read a name as searches do, and answer as if written so."""
    for name in ("apis", "services", "slow", "budget", "changes", "doctor", "outcomes"):
        targets = [("p95_ms", "300")] if name == "budget" else []
        asked = ask(reports, name, ("api", "Orders-API"), *targets)
        exact = ask(reports, name, ("api", "orders-api"), *targets)
        told = "There is no API Orders-API; there is orders-api, which was asked for."
        assert asked.pop("note").startswith(told), name
        assert "There is no API" not in exact.pop("note")
        assert asked == exact, name


def test_names_in_what_is_compared_with_are_read_alike(reports: tuple[Reports, Store]) -> None:
    """The filters of a baseline are names as well."""
    filters = ("select", "all"), ("api", "orders-api")
    asked = ask(reports, "slow", *filters, ("baseline", "api=ORDERS-api&status=503"))
    exact = ask(reports, "slow", *filters, ("baseline", "api=orders-api&status=503"))
    assert asked.pop("note").startswith("There is no API ORDERS-api; there is orders-api")
    assert "There is no" not in exact.pop("note")
    assert asked["baseline"] == exact["baseline"]
    assert asked["baseline"]["requests"] > 0
