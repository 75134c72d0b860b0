"""Gateways that send spans: named by setting, found by search, one request beside their logs."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from collector.app import run
from collector.config import load_settings
from collector.decode.quality import LEFT_OUT_OF_PERCENTILES
from collector.decode.records.from_spans import parse_service_rules
from collector.decode.records.gateway_marks import has_marks
from collector.errors import ConfigError
from collector.gateway_rows import GatewayRows
from collector.journal import JournalFolder
from collector.model import GatewayRecord, Id, Span, Stream
from collector.query.results import Summary
from collector.query.service import QueryService
from tests.stored import Loading, opened, query_rows, store_settings
from tests.stories import (
    MINUTE,
    MS,
    NOW,
    SECOND,
    Story,
    asking,
    encode_spans,
    make_record,
    make_spans,
    number_id,
)

T = NOW - 20 * MINUTE


def _entry(number: int, service: str, **given: object) -> Span:
    values: dict[str, object] = {
        "trace_id": number_id(number),
        "span_id": number_id(number + 3_000, 16),
        "parent_span_id": "",
        "name": "GET",
        "service": service,
        "start_ns": T,
        "end_ns": T + 110 * MS,
        "kind": "Server",
        "resource": {"service.name": service},
    }
    return Span(**{**values, **given})  # type: ignore[arg-type]  # checked by the tests


def _named_story(number: int) -> Story:
    """Tell a request at a gateway that nothing but its service's name gives away."""
    entry = _entry(number, "shop-edge")
    return Story([], [entry, *make_spans(number, T + 5 * MS, entry.span_id, 80 * MS)])


def test_a_service_named_in_the_settings_is_a_gateway(tmp_path: Path) -> None:
    """The rules of the setting reach every place where timelines are made: detail and list."""
    story = _named_story(1)
    rules = parse_service_rules("shop-edge=traefik")
    with asking([story], tmp_path, gateway_services=rules) as (questions, _):
        timeline = questions.timelines.get(number_id(1))
        assert [each.record.gateway for each in timeline.gateway_records] == ["traefik"]
        (found,) = questions.searches.find([("start", "-1h")]).requests
        assert found.is_joined


def test_a_wrong_rule_stops_the_start(tmp_path: Path) -> None:
    """A typo is told at once, with the name of the setting."""
    settings = load_settings(data_dir=tmp_path / "data", gateway_spans="shop-edge")
    with pytest.raises(ConfigError, match="HOPLINE_GATEWAY_SPANS"):
        run(settings, "all")
    assert not (tmp_path / "data").exists()


def _kong_story(number: int, *, has_mesh: bool = True) -> Story:
    """Tell a request of which Kong sends its spans."""
    request_id = number_id(number + 9_000)
    entry = _entry(
        number,
        "kong",
        name="kong",
        span_id=number_id(number + 4_000, 16),
        scope="kong-internal",
        attributes={
            "kong.request.id": request_id,
            "http.method": "GET",
            "http.status_code": "200",
            "http.url": f"https://api.shop.example/orders/{number}",
        },
    )
    call = _entry(
        number,
        "kong",
        name="kong.balancer",
        scope="kong-internal",
        kind="Client",
        parent_span_id=entry.span_id,
        start_ns=T + 2 * MS,
        end_ns=T + 106 * MS,
        attributes={"net.peer.name": "10.0.0.7"},
    )
    mesh = make_spans(number, T + 5 * MS, call.span_id, 80 * MS)
    return Story([], [entry, call, *(mesh if has_mesh else ())])


def _kong_log(number: int) -> GatewayRecord:
    """Return what Kong's own log says of the same request; it knows no trace."""
    request_id = number_id(number + 9_000)
    return make_record(
        number,
        T,
        gateway="kong",
        source="kong",
        record_id=request_id,
        ids=(Id("kong_request_id", request_id),),
        api="orders",
        duration_ns=111 * MS,
    )


def _listed(questions: QueryService, query: str) -> list[Summary]:
    pairs = [("start", "-1h"), *(tuple(each.split("=")) for each in query.split("&"))]
    return list(questions.searches.find(pairs).requests)  # type: ignore[arg-type]  # two of each


def test_a_gateway_that_sends_spans_only_is_found_and_counted(tmp_path: Path) -> None:
    """Search by gateway lists it, and its coverage is of requests with spans beyond its own."""
    stories = [_kong_story(1), _kong_story(2, has_mesh=False)]
    with asking(stories, tmp_path) as (questions, _):
        found = {each.id: each for each in _listed(questions, "gateway=kong")}
        assert set(found) == {number_id(9_001), number_id(9_002)}
        joined, alone = found[number_id(9_001)], found[number_id(9_002)]
        assert (joined.is_joined, alone.is_joined) == (True, False)
        assert (joined.route, joined.status, joined.duration_ns) == ("/orders/1", 200, 110 * MS)
        assert joined.backend_ns == 104 * MS
        assert [each.id for each in _listed(questions, "joined=true")] == [joined.id]
        assert [each.id for each in _listed(questions, "joined=false")] == [alone.id]
        (report,) = questions.reports.apis([("start", "-1h")]).apis
        assert (report.gateway, report.requests, report.join_coverage) == ("kong", 2, 0.5)
        assert report.p50_ns == 110 * MS


@pytest.mark.parametrize("is_log_first", [True, False])
def test_log_and_spans_of_one_request_are_one(tmp_path: Path, *, is_log_first: bool) -> None:
    """Whichever arrives first: one request in lists and statistics, under the log's API."""
    log = Story([_kong_log(1)], lag_ns=(1 if is_log_first else 9) * SECOND)
    stories = sorted([log, _kong_story(1)], key=lambda story: story.lag_ns)
    with asking(stories, tmp_path) as (questions, _):
        for query in ("gateway=kong", "api=orders", "joined=true"):
            (found,) = _listed(questions, query)
            assert (found.id, found.api, found.is_joined) == (number_id(9_001), "orders", True)
        (report,) = questions.reports.apis([("start", "-1h")]).apis
        assert (report.api, report.requests, report.join_coverage) == ("orders", 1, 1.0)
        timeline = questions.timelines.get(number_id(1))
        (merged,) = timeline.gateway_records
        assert merged.sources == ("kong", "span")


def test_a_log_without_the_span_s_id_is_still_one_request(tmp_path: Path) -> None:
    """A gateway whose spans carry no request id is known by the trace that both name."""
    story = _named_story(1)
    log = make_record(1, T, gateway="traefik", source="log", trace_id=number_id(1), path="", api="")
    rules = parse_service_rules("shop-edge=traefik")
    stories = [story, Story([log], lag_ns=9 * SECOND)]
    with asking(stories, tmp_path, gateway_services=rules) as (questions, _):
        assert [each.id for each in _listed(questions, "gateway=traefik")] == [log.record_id]
        assert [each.requests for each in questions.reports.apis([("start", "-1h")]).apis] == [1]


def test_spans_in_pieces_and_again_make_each_record_once(tmp_path: Path) -> None:
    """A trace may come in pieces and a segment twice: no version is stored a second time."""
    entry, call, *mesh = _kong_story(1).spans
    pieces = [encode_spans(some) for some in ([entry], [call], mesh, [call])]
    with opened(store_settings(tmp_path)) as store:
        journal = JournalFolder(tmp_path / "journal")
        (tmp_path / "journal" / "trace").mkdir(parents=True)
        rows = GatewayRows(store, journal, ())
        loading = Loading(store, tmp_path)
        for piece in pieces:
            segment = loading.make(Stream.TRACE, piece, received_ns=NOW)
            rows.load(segment)
            rows.load(segment)
        stored = query_rows(store, "SELECT backend_ns, received_ns FROM hopline.gateway_record")
    assert sorted(stored, key=str) == [(104 * MS, NOW), (None, NOW)]


def test_pieces_that_are_loaded_at_once_make_each_record_once(tmp_path: Path) -> None:
    """Segments with pieces of the same traces, loaded side by side: one record a request."""
    stories = [_kong_story(number).spans for number in range(1, 21)]
    with opened(store_settings(tmp_path, loads_at_once=2)) as store:
        journal = JournalFolder(tmp_path / "journal")
        (tmp_path / "journal" / "trace").mkdir(parents=True)
        loading = Loading(store, tmp_path)
        pieces = [
            loading.make(Stream.TRACE, encode_spans([span for some in halves for span in some]))
            for halves in ([s[:2] for s in stories], [[s[0], *s[2:]] for s in stories])
        ]
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(GatewayRows(store, journal, ()).load, pieces))
        count = "SELECT count(), uniqExact(record_id) FROM hopline.gateway_record WHERE {0}"
        full = query_rows(store, count.format("backend_ns IS NOT NULL"))
    assert full == [(20, 20)]


def test_without_gateway_spans_nothing_is_read_or_written(tmp_path: Path) -> None:
    """Spans of applications alone cost one look at their bytes."""
    body = encode_spans(make_spans(1, T, "", 80 * MS))
    assert not has_marks(body, ())
    assert has_marks(body, parse_service_rules("payments=tyk"))
    with opened(store_settings(tmp_path)) as store:
        rows = GatewayRows(store, JournalFolder(tmp_path / "none"), ())
        rows.load(Loading(store, tmp_path).make(Stream.TRACE, body))
        assert query_rows(store, "SELECT count() FROM hopline.gateway_record") == [(0,)]


def test_percentiles_and_slowest_first_leave_out_what_is_no_latency(tmp_path: Path) -> None:
    """Contradictory times and connections count as requests, but say nothing about latency."""
    odd = [{"quality": (flag,)} for flag in sorted(LEFT_OUT_OF_PERCENTILES)]
    given: list[dict[str, Any]] = [{}, *odd, {"kind": "websocket"}]
    records = [
        make_record(n, T + n * MS, duration_ns=(n + 1) * SECOND, **each)
        for n, each in enumerate(given)
    ]
    with asking([Story(records)], tmp_path) as (questions, _):
        (report,) = questions.reports.apis([("start", "-1h")]).apis
        assert (report.requests, report.p50_ns, report.p99_ns) == (len(given), SECOND, SECOND)
        slowest = [each.id for each in _listed(questions, "order=-duration")]
    connections = {records[n].record_id for n in (len(given) - 2, len(given) - 1)}
    assert "STREAMING" in records[-2].quality
    assert set(slowest[-2:]) == connections


@pytest.mark.parametrize(
    "beside",
    [
        {"source": "llm-log", "kind": "llm", "duration_ns": None},
        {"source": "websocket-log", "kind": "websocket", "duration_ns": 90 * SECOND},
        {"source": "app-dependencies", "duration_ns": None},
    ],
    ids=lambda beside: beside["source"],
)
def test_what_is_logged_beside_a_request_is_no_request(
    tmp_path: Path, beside: dict[str, Any]
) -> None:
    """A later row that adds to a request is not listed or counted in its place."""
    request = make_record(1, T, source="gateway-logs", api="chat", received_ns=T + SECOND)
    unsaid: dict[str, Any] = {"api": "", "status": None, "method": ""}
    more = make_record(1, T + MS, received_ns=T + 2 * SECOND, **{**unsaid, **beside})
    with asking([Story([request, more])], tmp_path) as (questions, _):
        (report,) = questions.reports.apis([("start", "-1h")]).apis
        assert (report.api, report.requests, report.p99_ns) == ("chat", 1, request.duration_ns)
        (listed,) = _listed(questions, "api=chat")
        assert (listed.id, listed.status) == (request.record_id, request.status)
        assert [each.api for each in _listed(questions, "gateway=" + request.gateway)] == ["chat"]


def test_a_health_probe_is_listed_and_not_counted(tmp_path: Path) -> None:
    """A probe every few seconds makes no API look busy, fast or healthy, and is not lost."""
    request = make_record(1, T, api="chat", duration_ns=SECOND)
    probes = [
        make_record(n, T + n * MS, api="chat", path="/healthz", duration_ns=MS, is_probe=True)
        for n in range(2, 9)
    ]
    with asking([Story([request, *probes])], tmp_path) as (questions, _):
        (report,) = questions.reports.apis([("start", "-1h")]).apis
        assert (report.requests, report.p50_ns) == (1, SECOND)
        assert len(_listed(questions, "api=chat")) == 8
