"""Requests that only proxies' access logs tell of, in lists over a real embedded engine."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.decode.envoy.access_log import entry_from_log
from collector.model import Id, LogRecord, Stream
from collector.store import Store
from collector.timestamps import format_timestamp
from tests.api_client import Asker, serving
from tests.stored import Loading, encode_log, query_rows
from tests.stories import (
    MINUTE,
    MS,
    NOW,
    SECOND,
    Story,
    as_uuid,
    asking,
    make_record,
    number_id,
    unrecorded_story,
)

T = NOW - 30 * MINUTE
ALONE, PAIR, JSON, LINKERD, TRACED, RECORDED, SPANNED = (
    as_uuid(number_id(number + 500), "9") for number in range(7)
)
TRACE = number_id(77)
HEALTHY = unrecorded_story(3, T + 20 * SECOND)
SPANNED_TRACE = HEALTHY.spans[0].trace_id
RECORD = make_record(
    9, T + 30 * SECOND, trace_id="", ids=(Id("x_request_id", RECORDED),), path="/recorded"
)


def line(request_id: str, at_ns: int, path: str, status: int, ms: int, cluster: str) -> str:
    """Write Istio's default text format."""
    return (
        f'[{_moment(at_ns)}] "GET {path} HTTP/1.1" {status} - via_upstream - "-" 0 91 {ms} 7 '
        f'"-" "curl \\"8\\"" "{request_id}" "basket.shop" "10.0.0.7:8080" '
        f"{cluster} 10.0.0.5:41000 10.0.0.7:80 10.0.0.5:40998 - default"
    )


def _moment(at_ns: int) -> str:
    whole = datetime.fromtimestamp(at_ns // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at_ns % SECOND // MS:03d}Z"


OUT, IN = "outbound|80||basket.shop.svc.cluster.local", "inbound|8080||"
LINES: list[tuple[int, dict[str, Any]]] = [
    (T, {"body": line(ALONE, T, "/basket", 200, 310, OUT)}),
    (T + SECOND, {"body": line(PAIR, T + SECOND, "/pay", 503, 95, OUT)}),
    (
        T + SECOND + 2 * MS,
        {
            "body": line(PAIR, T + SECOND + 2 * MS, "/pay", 503, 90, IN),
            "resource": {"service.name": "basket"},
        },
    ),
    (
        T + 2 * SECOND,
        {
            "body": json.dumps({
                "start_time": _moment(T + 2 * SECOND), "method": "POST", "path": "/ship?to=1",
                "response_code": 201, "response_flags": "-", "duration": 71, "route_name": None,
                "authority": "ship.shop", "request_id": JSON, "bytes_sent": 12,
            }),
        },
    ),
    (
        T + 3 * SECOND,
        {
            "body": json.dumps({
                "client.addr": "10.0.0.9:33", "processing_ns": "31000", "total_ns": "42000000",
                "method": "GET", "uri": "http://web.shop/items", "status": 404, "host": "web.shop",
                "trace_id": LINKERD, "version": "HTTP/2.0",
            }),
            "resource": {"service.name": "web"},
        },
    ),
    (
        T + 4 * SECOND,
        {
            "attributes": {
                "method": "GET", "path": "/cart", "response_code": 200, "duration": 33,
                "response_flags": "-", "upstream_cluster": OUT, "authority": "cart.shop",
            },
            "trace_id": bytes.fromhex(TRACE),
        },
    ),
    (T + 20 * SECOND, {"body": line(SPANNED, T, "/spanned", 200, 99, OUT)}),
    (T + 30 * SECOND, {"body": line(RECORDED, T + 30 * SECOND, "/recorded", 200, 99, OUT)}),
    # what an application logs is no request, whatever ids it carries
    (
        T + 5 * SECOND,
        {"body": json.dumps({"trace_id": TRACE, "status": 200, "duration": 4}), "attributes": {}},
    ),
]  # fmt: skip
LOST = [
    (
        T + number * SECOND,
        {
            "body": line("-", T + number * SECOND, "/lost", 200, 5, OUT),
            "resource": {"service.name": "old-proxy"},
        },
    )
    for number in range(25)
]
LINES[6][1]["trace_id"] = bytes.fromhex(SPANNED_TRACE)


def encode(at_ns: int, fields: dict[str, Any]) -> bytes:
    given = {**fields, "body": AnyValue(string_value=fields.get("body", ""))}
    return encode_log(time_unix_nano=at_ns, **given)


@pytest.fixture(scope="module")
def store_and_asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Asker]]:
    folder = tmp_path_factory.mktemp("logged")
    with asking([HEALTHY, Story([RECORD])], folder) as (questions, store):
        load = Loading(store, folder)
        for at_ns, fields in LINES:
            load.messages(Stream.LOG, encode(at_ns, fields), received_ns=NOW - 20 * MINUTE)
        load.messages(Stream.LOG, *(encode(*each) for each in LOST), received_ns=NOW - 20 * MINUTE)
        with serving(questions) as asker:
            yield store, asker


@pytest.fixture(scope="module")
def asker(store_and_asker: tuple[Store, Asker]) -> Asker:
    return store_and_asker[1]


def rows(asker: Asker, query: str = "") -> list[Any]:
    found: list[Any] = asker.get(f"/api/v1/requests?start=-1h&limit=100&{query}")["requests"]
    return found


def logged(asker: Asker, query: str = "") -> list[str]:
    known = {SPANNED_TRACE, RECORD.record_id}
    return [row["id"] for row in rows(asker, query) if row["id"] not in known]


def test_a_list_has_them_in_their_order_beside_the_others(asker: Asker) -> None:
    """One row for each request, however many lines; records and spans tell of theirs themselves."""
    assert logged(asker, "order=-start") == [TRACE, LINKERD, JSON, PAIR, ALONE]
    assert logged(asker, "order=-duration") == [ALONE, PAIR, JSON, LINKERD, TRACE]
    all_of_them = [row["id"] for row in rows(asker)]
    assert len(all_of_them) == len(set(all_of_them)) == 7


def test_a_row_shows_what_the_lines_say(asker: Asker) -> None:
    """Method, path, status and duration are the outermost proxy's; nothing is joined."""
    [row] = [row for row in rows(asker) if row["id"] == PAIR]
    assert (row["method"], row["route"], row["status"], row["error"]) == (
        "GET",
        "/pay",
        503,
        True,
    )
    assert (row["duration_ms"], row["joined"], row["gateway"]) == (95, False, "")
    assert row["hops"] >= 1


@pytest.mark.parametrize("number", [1, 2])
def test_a_row_of_the_waterfall_has_its_own_line(asker: Asker, number: int) -> None:
    """Of a proxy's two sides each shows what it wrote, also where no line has a span's id."""
    drawn = asker.get(f"/api/page/timeline?id={PAIR}")["spans"]
    bodies = [
        [log["body"] for log in asker.get(f"/api/page/span?id={PAIR}&span={span}")["logs"]]
        for span in drawn["span_id"]
    ]
    assert [each for each in bodies if each][number - 1] == [LINES[number][1]["body"]]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("status=503", [PAIR]),
        ("status=4xx", [LINKERD]),
        ("error=true", [PAIR]),
        ("min_duration_ms=80", [ALONE, PAIR]),
        ("max_duration_ms=50", [LINKERD, TRACE]),
        ("method=POST", [JSON]),
        ("host=web.shop", [LINKERD]),
        ("route=/items", [LINKERD]),
        ("q=basket", [ALONE]),
        (f"q={JSON[:12]}", [JSON]),
        ("service=web", [LINKERD]),
        ("joined=false", [ALONE, PAIR, JSON, LINKERD, TRACE]),
        ("joined=true", []),
        ("api=orders-api", []),
    ],
)
def test_filters_hold_for_them(asker: Asker, query: str, wanted: list[str]) -> None:
    """Each filter of a search that a line can answer finds them; those of gateways do not."""
    assert logged(asker, query) == wanted


def test_reports_count_them_beside_what_they_are_about(asker: Asker) -> None:
    """By host beside the APIs and by service beside the services, once for each request."""

    def counted(path: str, query: str = "") -> dict[str, tuple[Any, ...]]:
        answer = asker.get(f"/api/v1/{path}?start=-1h&{query}")
        assert ("logged_only" in answer["note"]) == bool(answer["logged_only"])
        names = ("requests", "errors", "measured", "p50_ms")
        return {row["name"]: tuple(row[key] for key in names) for row in answer["logged_only"]}

    assert counted("apis") == {
        "basket.shop": (2, 1, 2, 202.5),
        "cart.shop": (1, 0, 1, 33),
        "ship.shop": (1, 0, 1, 71),
        "web.shop": (1, 0, 1, 42),
    }
    assert counted("services") == {"basket": (1, 1, 1, 95), "web": (1, 0, 1, 42)}
    assert counted("apis", "status=5xx&group_by=consumer") == {"basket.shop": (1, 1, 1, 95)}
    assert counted("services", "service=web&method=GET") == {"web": (1, 0, 1, 42)}
    assert counted("apis", "end=-31m") == counted("apis", "api=orders-api") == {}


def test_lines_without_an_id_are_told_by_the_doctor(asker: Asker) -> None:
    """Whose they are, how many of how many, and what to put into the format; few are no finding."""
    [found] = [
        each
        for each in asker.get("/api/v1/doctor?start=-1h")["findings"]
        if each["rule"] == "LINES_WITHOUT_ID"
    ]
    assert (found["hop"], found["affected"], found["requests"]) == ("old-proxy", 25, 25)
    assert found["first_seen"] == format_timestamp(T)
    assert "%REQ(X-REQUEST-ID)%" in found["fix"]
    assert not asker.get("/api/v1/doctor?start=-1h&end=-30m&limit=20")["findings"]


def test_pages_go_on_behind_them(asker: Asker) -> None:
    """Pages of two give what one page gives, also after the first reads."""
    query, found, cursor = "start=-1h&limit=2", [], ""
    while True:
        page = asker.get(f"/api/v1/requests?{query}&cursor={cursor}")
        found += [row["id"] for row in page["requests"]]
        cursor = page["next_cursor"] or ""
        if not cursor:
            break
    assert found == [row["id"] for row in rows(asker)]


def test_each_opens_under_the_id_it_is_listed_by(asker: Asker) -> None:
    """The timeline has the same id and duration as the row."""
    for row in rows(asker):
        timeline = asker.timeline(row["id"])
        assert (timeline["id"], timeline["duration_ms"]) == (row["id"], row["duration_ms"])


def test_the_table_reads_lines_as_the_rules_do(store_and_asker: tuple[Store, Asker]) -> None:
    """Method, path, host, status and duration in SQL are those of the access log's decoder."""
    sql = "SELECT edge FROM logged_request WHERE key != '' ORDER BY edge"
    [(database,)] = query_rows(
        store_and_asker[0], "SELECT database FROM system.tables WHERE name = 'logged_request'"
    )
    edges = query_rows(
        store_and_asker[0], sql.replace("logged_request", f"{database}.logged_request")
    )
    stored = {(e["method"], e["path"], e["host"], e["status"], -e["longest"]) for (e,) in edges}
    entries = [
        entry_from_log(
            LogRecord(
                time_ns=at_ns,
                body=fields.get("body", ""),
                attributes={k: str(v) for k, v in fields.get("attributes", {}).items()},
            )
        )
        for at_ns, fields in LINES
    ]
    wanted = {(e.method, e.path, e.authority, e.status, e.duration_ns) for e in entries if e}
    assert stored <= wanted
    assert len(stored) == len(wanted) - 1  # two lines of one request are one row


def test_no_value_of_a_line_costs_a_load(
    store_and_asker: tuple[Store, Asker], tmp_path: Path
) -> None:
    """Numbers and times beyond all bounds are read as unknown: they never refuse what was sent."""
    store = store_and_asker[0]
    values = [
        *(("duration", text) for text in ("inf", "-inf", "nan", "1e400", "-7", "9" * 30, "0x1")),
        ("duration", ""),
        *(("duration_ns", text) for text in ("9" * 19, "-9223372036854775808", "1.5", "x")),
        *(
            ("start_time", text)
            for text in (
                "9999-12-31T23:59:59.999999999Z", "0001-01-01T00:00:00Z", "2262-04-12T00:00:00Z",
                "2026-02-30T10:00:00Z", "2026-01-01 ", "1969-12-31T23:59:59Z",
            )
        ),
        *(("response_code", text) for text in ("99999", "-1", "two", "1e3")),
        ("method", "\N{GREEK SMALL LETTER ALPHA}" * 3_000),
        ("path", "\0\ufffd\\x"),
        ("grpc_status", "70000"),
    ]  # fmt: skip
    encoded = []
    for number, (name, text) in enumerate(values):
        at_ns = NOW - 5 * 60 * MINUTE + number * SECOND
        fields = {"response_code": "200", "response_flags": "-", "duration": "5", "method": "GET"}
        given = {**fields, name: text, "x-request-id": as_uuid(number_id(number + 900), "9")}
        encoded.append(encode(at_ns, {"attributes": given}))
        encoded.append(encode(at_ns + 1, {"body": json.dumps(given)}))
        line_of = line(given["x-request-id"], at_ns, "/p", 200, 5, OUT)
        encoded.append(encode(at_ns + 2, {"body": line_of.replace(" 5 7 ", f" {text or '-'} 7 ")}))
    [(database,)] = query_rows(
        store, "SELECT database FROM system.tables WHERE name = 'logged_request'"
    )
    count = f"SELECT uniqExact(key) FROM {database}.logged_request"
    [(before,)] = query_rows(store, count)
    Loading(store, tmp_path).messages(Stream.LOG, *encoded, id="unbounded")
    [(after,)] = query_rows(store, count)
    assert after - before == len(values)
