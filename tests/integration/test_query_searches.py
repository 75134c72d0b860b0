"""Lists of requests over HTTP and a real embedded engine: filters, order, pages, empty answers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from collector.query.reports.apis import Apis
from collector.query.reports.compare import Comparison
from collector.query.results import Found, Sources
from tests.api_client import Asker, check_answer, serving
from tests.stories import (
    MINUTE,
    MS,
    NOW,
    SECOND,
    Story,
    asking,
    joined_story,
    make_record,
    number_id,
    refused_story,
    request_id_story,
    unrecorded_story,
)

T = NOW - 30 * MINUTE
FAILED = joined_story(1, T, 1_400 * MS, failed=True)
JOINED = [joined_story(n, T + n * SECOND, n * 10 * MS) for n in range(10, 40)]
REFUSED = refused_story(2, T + MINUTE)
UNRECORDED = unrecorded_story(3, T + 2 * MINUTE)
BY_REQUEST_ID = request_id_story(4, T + 3 * MINUTE)
ALONE = Story([make_record(5, T + 4 * MINUTE, api="carts-api", consumer="beta", duration_ns=None)])
OLD = joined_story(6, NOW - 3 * 24 * 60 * MINUTE)
STORIES = [FAILED, *JOINED, REFUSED, UNRECORDED, BY_REQUEST_ID, ALONE, OLD]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("searches")


@pytest.fixture(scope="module")
def asker(folder: Path) -> Iterator[Asker]:
    with asking(STORIES, folder) as (questions, _), serving(questions) as found:
        yield found


def search(asker: Asker, query: str) -> Any:
    found = asker.get(f"/api/v1/requests?{query}")
    check_answer(Found, found)
    return found


def ids(found: Any) -> list[str]:
    return [summary["id"] for summary in found["requests"]]


def id_of(story: Story) -> str:
    return story.records[0].record_id if story.records else story.spans[0].trace_id


def test_a_page_too_large_to_stitch_still_lists_its_requests(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the spans that a list reads, rows say what record and summary know, and no verdict."""
    monkeypatch.setattr("collector.query.timelines.rows.MAX_PAGE_SPANS", 0)
    (summary,) = search(asker, "start=-4d&end=-2d")["requests"]
    assert summary["id"] == id_of(OLD)
    assert (summary["verdict"], summary["unexplained_ms"]) == ("", None)
    assert {"orders", "payments"} <= set(summary["services"])
    assert summary["hops"] == len(summary["services"]) + 1


def test_the_slowest_request_of_the_last_hour_comes_first(asker: Asker) -> None:
    """Without parameters: one hour, slowest first, and the answer says so."""
    found = search(asker, "")
    durations = [summary["duration_ms"] or -1 for summary in found["requests"]]
    assert ids(found)[0] == id_of(FAILED)
    assert durations == sorted(durations, reverse=True)
    assert id_of(OLD) not in ids(found)
    assert "one hour was searched" in found["note"]
    assert found["range"]["end"] == "2026-03-01T10:00:00.000000000Z"


def test_a_summary_says_what_a_timeline_says(asker: Asker) -> None:
    """Hops, verdict, state, join and unexplained time are those of the stitched timeline."""
    summary = search(asker, "error=true&api=orders-api&status=500")["requests"][0]
    timeline = asker.timeline(summary["id"])
    assert summary["trace_id"] == timeline["trace_id"]
    assert summary["hops"] == len(timeline["hops"])
    assert summary["duration_ms"] == timeline["duration_ms"]
    assert summary["state"] == timeline["state"]
    assert summary["verdict"].split(":")[0] == timeline["verdict"]["layer"]
    assert summary["joined"] is True
    assert {"orders", "payments"} <= set(summary["services"])
    phases = {phase["name"]: phase["duration_ms"] for phase in timeline["phases"]}
    assert summary["unexplained_ms"] == phases.get("unexplained", 0.0)


def test_a_route_is_found_as_rows_show_it(asker: Asker) -> None:
    """What a row has under route, be it a template, a span's name or a path, finds that row."""
    for summary in search(asker, "limit=500")["requests"]:
        found = search(asker, "limit=500&route=" + quote(summary["route"], safe=""))
        assert summary["id"] in ids(found), summary["route"]
        assert {each["route"] for each in found["requests"]} == {summary["route"]}


@pytest.mark.parametrize(
    ("query", "as_it_is", "told"),
    [
        ("api=Carts-API", "api=carts-api", "API Carts-API; there is carts-api"),
        ("consumer=BETA", "consumer=beta", "consumer BETA; there is beta"),
        ("gateway=Azure-APIM&status=401", "gateway=azure-apim&status=401", "gateway Azure-APIM;"),
        ("service=PAYMENTS&status=500", "service=payments&status=500", "service PAYMENTS;"),
    ],
)
def test_a_name_in_another_case_finds_what_it_names_and_says_so(
    asker: Asker, query: str, as_it_is: str, told: str
) -> None:
    """A name that only differs in case is read as the known one; the note tells of it."""
    found = search(asker, query)
    assert ids(found)
    assert ids(found) == ids(search(asker, as_it_is))
    assert f"There is no {told}" in found["note"]
    assert "There is no" not in search(asker, as_it_is)["note"]


def test_what_the_gateway_answered_is_neither_joined_nor_unjoined(asker: Asker) -> None:
    """A request that never called a backend has nothing to join; a lonely one has."""
    shown = {each["id"]: each["joined"] for each in search(asker, "limit=500")["requests"]}
    assert shown[id_of(REFUSED)] is None
    assert shown[id_of(ALONE)] is False
    assert shown[id_of(FAILED)] is True


def test_one_request_joined_by_request_id_is_one_row(asker: Asker) -> None:
    """A record and a trace that only x-request-id joins are not listed twice."""
    found = search(asker, "limit=500")
    assert len(ids(found)) == len(set(ids(found)))
    assert ids(found).count(id_of(BY_REQUEST_ID)) == 1
    assert BY_REQUEST_ID.spans[0].trace_id not in ids(found)
    assert len(ids(found)) == len(STORIES) - 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=401", [REFUSED]),
        ("status_class=5xx", [FAILED]),
        ("error=true", [FAILED, REFUSED]),
        ("min_duration_ms=1000", [FAILED]),
        ("min_duration_ms=1.4s&max_duration_ms=2s", [FAILED]),
        ("api=carts-api", [ALONE]),
        ("consumer=beta", [ALONE]),
        ("joined=false", [UNRECORDED, ALONE]),
        ("status=5xx", [FAILED]),
        ("status_class=401", [REFUSED]),
        ("q=tokenexpired", [REFUSED]),
        ("q=validate-JWT", [REFUSED]),
        (f"q={id_of(FAILED)[:8]}", [FAILED]),
        (f"q={id_of(FAILED).replace('-', '').upper()[:11]}", [FAILED]),
        (f"q={id_of(FAILED)}", [FAILED]),
        (f"q={FAILED.spans[0].trace_id[:6]}", [FAILED]),
        (f"q={UNRECORDED.spans[0].trace_id[:9]}", [UNRECORDED]),
        (f"q={UNRECORDED.spans[0].attributes['guid:x-request-id'][:16]}", [UNRECORDED]),
        (f"q={id_of(FAILED)[:4]}zz", []),
        ("joined=false&service=payments", [UNRECORDED]),
        ("q=ORDERS/2", [REFUSED, *JOINED[10:20]]),
        ("service=nobody", []),
        ("gateway=kong", []),
        ("host=api.shop.example&error=true", [FAILED, REFUSED]),
        ("start=-4d&end=-1d", [OLD]),
        (f"start={(T + 2 * MINUTE) // SECOND}&end={(T + 3 * MINUTE) // SECOND}", [UNRECORDED]),
        (f"start={T // MS}&end={T // MS + 1}", [FAILED]),
    ],
)
def test_each_filter_finds_exactly_its_requests(
    asker: Asker, query: str, expected: list[Story]
) -> None:
    """A filter finds what fits, nothing else, whatever the order."""
    assert sorted(ids(search(asker, f"{query}&limit=500"))) == sorted(map(id_of, expected))


@pytest.mark.parametrize("order", ["-duration", "-start"])
@pytest.mark.parametrize("limit", [1, 7, 20])
def test_pages_are_the_list_cut_in_pieces(asker: Asker, order: str, limit: int) -> None:
    """Following next_cursor gives every request once, in the order of the whole list."""
    whole = ids(search(asker, f"api=orders-api&order={order}&limit=500"))
    pages: list[str] = []
    query = f"api=orders-api&order={order}&limit={limit}"
    cursor = ""
    while True:
        found = search(asker, query + (f"&cursor={cursor}" if cursor else ""))
        pages += ids(found)
        cursor = found["next_cursor"]
        if cursor is None:
            break
        assert len(found["requests"]) == limit
    assert pages == whole


def test_state_is_filtered_after_stitching(asker: Asker) -> None:
    """Each state lists its requests, and the three lists are the whole."""
    whole = ids(search(asker, "limit=500"))
    parts = [
        ids(search(asker, f"limit=500&state={state}"))
        for state in ("provisional", "complete", "final")
    ]
    assert sorted(sum(parts, [])) == sorted(whole)


def test_an_empty_answer_says_why(asker: Asker) -> None:
    """No data in the range, or no fit in it: the note tells them apart, with what is late."""
    outside = search(asker, "start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z")
    assert outside["requests"] == []
    assert "there is data from 2026-02-26T10:00:00" in outside["note"]
    unfit = search(asker, "api=nobody&start=-1h")
    assert "none that fits the filters" in unfit["note"]


def test_sources_are_listed_with_lag_and_counts(asker: Asker) -> None:
    """Each source has rows, lag percentiles, a watermark, and what intake counted."""
    sources = asker.get("/api/v1/sources")
    check_answer(Sources, sources)
    found = {(s["stream"], s["source"]): s for s in sources["sources"]}
    records = found["record", "log-analytics"]
    assert records["rows"] == sum(len(story.records) for story in STORIES)
    assert records["accepted"] == records["rows"]
    assert records["doors"] == ["test"]
    assert records["lag_p50_ms"] == pytest.approx(2_000, rel=0.2)
    assert records["watermark"] is not None
    assert found["trace", "payments"]["rows"] == 3 * sum(bool(s.spans) for s in STORIES)


def test_a_polled_source_shows_its_watermark_and_error(asker: Asker, folder: Path) -> None:
    """A poller's file is shown as a source, a broken file as none."""
    pull = folder / "pull"
    pull.mkdir(exist_ok=True)
    progress = {
        "workspace": "shop-logs",
        "table": "ApiManagementGatewayLogs",
        "watermark_ns": NOW - MINUTE,
        "last_success_ns": NOW - SECOND,
        "last_error": {"code": "source_denied", "message": "403 from the workspace"},
        "rows_accepted": 12,
        "rows_rejected": 1,
    }
    (pull / "shop.json").write_text(json.dumps(progress))
    (pull / "torn.json").write_text('{"watermark_ns": 1')
    try:
        pulled = [s for s in asker.get("/api/v1/sources")["sources"] if s["stream"] == "pull"]
    finally:
        (pull / "shop.json").unlink()
    assert [s["source"] for s in pulled] == ["shop-logs/ApiManagementGatewayLogs"]
    assert pulled[0]["watermark"] == "2026-03-01T09:59:00.000000000Z"
    assert pulled[0]["last_error"] == "403 from the workspace"
    assert (pulled[0]["accepted"], pulled[0]["rejected"]) == (12, 1)


def test_apis_have_rates_percentiles_and_coverage(asker: Asker) -> None:
    """Per gateway and API: requests, errors, percentiles, and the share that found spans."""
    apis = asker.get("/api/v1/apis")
    check_answer(Apis, apis)
    orders = {api["api"]: api for api in apis["apis"]}["orders-api"]
    assert orders["requests"] == len(JOINED) + 3
    assert orders["errors"] == 2
    assert orders["requests_per_s"] == pytest.approx(orders["requests"] / 3600)
    # The refused one could not reach the mesh: it is no gap.
    assert orders["join_coverage"] == 1.0
    assert orders["p50_ms"] < orders["p99_ms"]


def test_joins_are_counted_once_a_record_by_tier(asker: Asker) -> None:
    """However often a request is shown, its record counts once, under the tier that joined it."""
    for _ in range(2):
        search(asker, "limit=500&start=-4d")
        asker.timeline(id_of(BY_REQUEST_ID))
    counts = dict(
        line.rsplit(" ", 1)
        for line in asker.client.get("/metrics").text.splitlines()
        if line.startswith("hopline_stitch_join_total{")
    )
    name = 'hopline_stitch_join_total{{api="orders-api",tier="{}"}}'
    assert float(counts[name.format(0)]) == len([FAILED, *JOINED, OLD])
    assert float(counts[name.format(3)]) == 1


def test_metrics_tell_how_fresh_each_source_is(asker: Asker) -> None:
    """When each source was heard of last, and how late it is as a rule, by its stream and name."""
    lines = asker.client.get("/metrics").text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if line.startswith("hopline_source_"))
    named = '{{source="{}",stream="{}"}}'
    for source in (named.format("log-analytics", "record"), named.format("orders", "trace")):
        received_s = float(values[f"hopline_source_received_timestamp_seconds{source}"])
        assert NOW - 31 * MINUTE < received_s * SECOND <= NOW
        assert 0 < float(values[f"hopline_source_lag_seconds{source}"]) < 3600


TRACE = FAILED.spans[0].trace_id


def jaeger(asker: Asker, path: str, status: int = 200) -> Any:
    answer = asker.get(path, status)
    assert set(answer) == {"data", "total", "limit", "offset", "errors"}
    return answer


def test_jaeger_lists_services_with_the_gateway(asker: Asker) -> None:
    """Services are those that sent spans, and the gateways."""
    found = jaeger(asker, "/api/services")
    assert found["data"] == ["azure-apim", "istio-ingressgateway", "orders", "payments"]
    assert found["total"] == 4


def test_jaeger_lists_operations(asker: Asker) -> None:
    """Operations of a service with and without kinds; a gateway's are its APIs."""
    assert jaeger(asker, "/api/services/orders/operations")["data"] == [
        "GET /orders/{id}",
        "orders.shop:8080/*",
    ]
    kinds = jaeger(asker, "/api/operations?service=payments&spanKind=client")["data"]
    assert kinds == [{"name": "SELECT accounts", "spanKind": "client"}]
    assert jaeger(asker, "/api/services/azure-apim/operations")["data"] == [
        "carts-api",
        "orders-api",
    ]
    jaeger(asker, "/api/operations", 400)


def test_jaeger_shows_a_trace_with_the_gateway_as_a_span(asker: Asker) -> None:
    """All spans, the record among them as their root, in the types that Grafana reads."""
    (trace,) = jaeger(asker, f"/api/traces/{TRACE}")["data"]
    assert trace["traceID"] == TRACE
    assert len(trace["spans"]) == len(FAILED.spans) + 1
    for span in trace["spans"]:
        assert isinstance(span["startTime"], int)
        assert isinstance(span["duration"], int)
        assert isinstance(span["tags"], list)
        assert isinstance(span["logs"], list)
        assert span["processID"] in trace["processes"]
    first = trace["spans"][0]
    assert trace["processes"][first["processID"]]["serviceName"] == "azure-apim"
    assert first["startTime"] == T // 1_000
    assert first["references"] == []
    tags = {tag["key"]: tag["value"] for tag in first["tags"]}
    assert tags["error"] is True
    assert tags["hopline.role"] == "gateway"
    parents = {ref["spanID"] for span in trace["spans"] for ref in span["references"]}
    assert parents <= {span["spanID"] for span in trace["spans"]}
    (raw,) = jaeger(asker, f"/api/traces/{TRACE}?raw=true")["data"]
    assert len(raw["spans"]) == len(FAILED.spans)


def test_jaeger_answers_404_for_an_unknown_trace(asker: Asker) -> None:
    """Grafana reads data[0] unchecked, so an unknown trace is 404 with data null."""
    for unknown in (number_id(4_711), "abc", "%00"):
        found = jaeger(asker, f"/api/traces/{unknown}", 404)
        assert found["data"] is None
        assert found["errors"][0]["msg"] == "trace not found"


def test_jaeger_shows_a_request_without_a_trace(asker: Asker) -> None:
    """A request that the gateway refused is a trace of one span, found by the id it is shown as."""
    (trace,) = jaeger(asker, f"/api/traces/{id_of(REFUSED)}")["data"]
    assert len(trace["spans"]) == 1
    again = jaeger(asker, f"/api/traces/{trace['traceID']}")["data"]
    assert again == [trace]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("service=payments&limit=1500", [FAILED, *JOINED, UNRECORDED, BY_REQUEST_ID]),
        ("service=payments&tags=%7B%22error%22%3A%22true%22%7D", [FAILED]),
        ("service=payments&tag=error:true", [FAILED]),
        ("service=azure-apim&tag=error:true", [FAILED, REFUSED]),
        ("service=azure-apim&operation=carts-api", [ALONE]),
        ("service=payments&operation=SELECT+accounts&minDuration=1.3s", [FAILED]),
        ("service=payments&operation=SELECT+accounts&maxDuration=100ms", [JOINED[0]]),
        ("service=payments&tag=db.system:mysql", []),
        ("service=nobody", []),
        (f"traceID={TRACE}&traceID={number_id(4_711)}", [FAILED]),
    ],
)
def test_jaeger_finds_traces(asker: Asker, query: str, expected: list[Story]) -> None:
    """One span of the service has to fit operation, duration and tags."""
    start = (NOW - 60 * MINUTE) // 1_000
    if query.endswith("maxDuration=100ms"):
        query += f"&end={(T + 11 * SECOND) // 1_000}"
    found = jaeger(asker, f"/api/traces?start={start}&{query}")["data"]
    traces = [trace["traceID"] for trace in found]
    wanted = [(story.spans[0].trace_id if story.spans else None) for story in expected]
    assert len(traces) == len(expected)
    assert {trace for trace in wanted if trace} <= set(traces)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "operation=x",
        "service=a&start=soon",
        "service=a&minDuration=5",
        "service=a&tags=%5B%5D",
        "service=a&tag=x",
        "service=a&limit=-1",
    ],
)
def test_jaeger_refuses_what_it_can_not_read(asker: Asker, query: str) -> None:
    """A bad parameter is 400 in Jaeger's own envelope."""
    found = jaeger(asker, f"/api/traces?{query}", 400)
    assert found["data"] is None
    assert found["errors"][0]["code"] == 400


def test_jaeger_counts_calls_between_services(asker: Asker) -> None:
    """The gateway calls the edge, the edge orders, orders payments, payments its database."""
    found = jaeger(asker, f"/api/dependencies?endTs={NOW // MS}&lookback=3600000")["data"]
    calls = {(edge["parent"], edge["child"]): edge["callCount"] for edge in found}
    assert calls["azure-apim", "istio-ingressgateway"] == len(JOINED) + 2
    assert calls["orders", "payments"] == len(JOINED) + 3
    only = jaeger(asker, f"/api/dependencies?endTs={NOW // MS}&service=azure-apim")["data"]
    assert {edge["parent"] for edge in only} == {"azure-apim"}


def test_a_slow_request_against_the_typical_one(asker: Asker) -> None:
    """Without a second id the median of good requests of the same operation stands beside it."""
    compared = asker.get(f"/api/v1/compare?a={id_of(FAILED)}")
    check_answer(Comparison, compared)
    assert compared["a"]["id"] == id_of(FAILED)
    assert (compared["b"]["id"], compared["b"]["requests"]) == ("typical", len(JOINED) + 1)
    slowest = max(compared["calls"], key=lambda each: each["delta_ms"])
    assert slowest["service"] == "postgresql"
    assert compared["sentences"][0]["text"].startswith("A took")


def test_two_requests_are_compared_by_any_ids(asker: Asker) -> None:
    """Both sides take whatever id there is; exchanged, the differences change their signs."""
    one, other = JOINED[0].spans[0].trace_id, f"correlation {id_of(FAILED)}"
    there = asker.get(f"/api/v1/compare?a={one}&b={quote(other)}")
    back = asker.get(f"/api/v1/compare?a={quote(other)}&b={one}")
    assert there["delta_ms"] == -back["delta_ms"] < 0


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("", 400, "a: is missing"),
        ("b=x1y2z3", 400, "a: is missing"),
        (f"a={id_of(FAILED)}&b={id_of(FAILED)}", 400, "b: is the same request as a"),
        (f"a={id_of(FAILED)}&b={FAILED.spans[0].trace_id}", 400, "b: is the same request as a"),
        (f"a={id_of(FAILED)}&b={number_id(8)}", 404, "b: nothing is stored"),
        (f"a={number_id(8)}", 404, "a: nothing is stored"),
        (f"a={id_of(FAILED)}&b=no", 400, "b: there is no id"),
        (f"a={id_of(ALONE)}", 404, "b: only 0 good requests are like this one"),
        (f"a={id_of(FAILED)}&c=1", 422, "'c': there is no such parameter"),
    ],
)
def test_a_comparison_that_makes_no_sense_says_why(
    asker: Asker, query: str, status: int, message: str
) -> None:
    """The message begins with the side that is missing, unknown or the same as the other."""
    error = asker.get(f"/api/v1/compare?{query}", status)["error"]
    assert error["message"].startswith(message), error
