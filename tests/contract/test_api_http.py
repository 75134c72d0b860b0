"""How the query API behaves whatever is asked: errors, tokens, probes, headers, documentation."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import h2.connection
import h2.events
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.api.guard import OPEN_PATHS
from collector.api.page.routes import OPEN_PREFIXES
from collector.api.rest.app import build_api
from collector.api.rest.openapi import ReadyAnswer
from collector.http import asgi
from collector.http.errors import ErrorAnswer
from collector.query.learned.clocks import ClockReport
from collector.query.reports.apis import Apis
from collector.query.reports.services import Edges, Services
from collector.query.reports.slow import Slow
from collector.query.reports.storage import Storage
from collector.query.results import Found, Sources, Stored
from collector.query.search.filters import PARAMETERS
from collector.query.service import QueryService
from collector.query.timelines.explanation import Explanation
from collector.settings import ApiSettings
from collector.stitch.timeline import Timeline
from tests import tenants
from tests.api_client import Asker, check_answer, serving
from tests.golden_file import GOLDEN, check_golden
from tests.stories import MINUTE, NOW, asking, joined_story, number_id

STORY = joined_story(1, NOW - 10 * MINUTE)
TRACE = STORY.spans[0].trace_id
TOKENS = ("first-token", "second-token")


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryService]:
    with asking([STORY], tmp_path_factory.mktemp("http_profile")) as (questions, _):
        yield questions


@pytest.fixture(scope="module")
def asker(questions: QueryService) -> Iterator[Asker]:
    with serving(questions) as found:
        yield found


@pytest.fixture
def guarded(questions: QueryService) -> Iterator[Asker]:
    health = {"store": "ok", "journal": "not writable"}
    with serving(questions, tokens=TOKENS, health=lambda: health) as found:
        yield found


PATHS = [
    "/api/v1/requests",
    f"/api/v1/requests/{TRACE}",
    f"/api/v1/requests/{TRACE}/spans",
    f"/api/v1/requests/{TRACE}/explain",
    "/api/v1/sources",
    "/api/v1/apis?group_by=consumer",
    "/api/v1/services",
    "/api/v1/edges?operations=true",
    "/api/v1/slow",
    "/api/v1/clocks",
    "/api/v1/doctor",
    "/api/v1/joins",
    "/api/v1/outcomes",
    "/api/v1/storage",
    f"/api/page/timeline?id={TRACE}",
    f"/api/page/span?id={TRACE}&span={STORY.spans[0].span_id}",
    "/metrics",
]


@pytest.mark.parametrize("path", PATHS)
def test_every_route_answers(asker: Asker, path: str) -> None:
    """Each documented route gives 200 and JSON, or Prometheus text."""
    answer = asker.client.get(path)
    assert answer.status_code == 200
    kind = "text/plain" if path == "/metrics" else "application/json"
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", PATHS)
def test_data_needs_a_token(guarded: Asker, path: str) -> None:
    """Without a known bearer token there is no data, and the answer says what to send."""
    wrong = (
        "",
        "Bearer",
        "Bearer nope",
        "Basic Zmlyc3QtdG9rZW4=",
        "Bearer first-token2",
        "first-token",
    )
    for header in wrong:
        answer = guarded.client.get(path, headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        check_answer(ErrorAnswer, answer.json())
        assert answer.json()["error"]["code"] == "unauthenticated"
        assert TRACE not in answer.text
    for token in TOKENS:
        answer = guarded.client.get(path, headers={"Authorization": f"bearer {token}"})
        assert answer.status_code == 200


def test_probes_need_no_token_and_hold_no_data(guarded: Asker) -> None:
    """Liveness is always ok; readiness names the component that is not."""
    assert guarded.get("/healthz") == {"status": "ok"}
    ready = guarded.get("/readyz", 503)
    check_answer(ReadyAnswer, ready)
    assert ready == {
        "status": "not_ready",
        "components": {"store": "ok", "journal": "not writable"},
    }


def test_readiness_of_a_sound_service(asker: Asker) -> None:
    """Every component ok is 200."""
    assert asker.get("/readyz") == {"status": "ok", "components": {"store": "ok"}}


def test_who_sends_to_the_port_of_answers_is_told_the_other(asker: Asker) -> None:
    """The two ports are easily mixed up, and a bare 404 would be searched for in the sender."""
    answer = asker.client.post("/v1/traces", content=b"")
    assert answer.status_code == 404
    assert "4318" in answer.json()["error"]["hint"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "no_such_path"),
        ("GET", "/api/v1/requests/", 400, "bad_question"),
        ("GET", "/page/../http.py", 404, "no_such_path"),
        ("GET", "/page/routes.py", 404, "no_such_path"),
        ("GET", "/page/vendor/versions.json", 404, "no_such_path"),
        ("GET", "/page/%2e%2e%2fhttp.py", 404, "no_such_path"),
        ("POST", "/api/v1/requests", 405, "method_not_allowed"),
        ("DELETE", f"/api/v1/requests/{TRACE}", 405, "method_not_allowed"),
        ("GET", f"/api/v1/requests/{number_id(99)}", 404, "not_found"),
        ("GET", f"/api/v1/requests/{TRACE}?as_of=soon", 400, "bad_question"),
        ("GET", f"/api/v1/requests/{TRACE}?raw=maybe", 400, "bad_question"),
        ("GET", f"/api/v1/requests/{TRACE}?rwa=true", 422, "unknown_parameter"),
        ("GET", f"/api/v1/requests/{TRACE}?raw=true&raw=true", 400, "bad_question"),
        ("GET", f"/api/v1/requests/{TRACE}/explain?format=pdf", 400, "bad_question"),
        ("GET", f"/api/v1/requests/{TRACE}/spans?raw=true", 422, "unknown_parameter"),
        ("GET", "/api/v1/requests?limit=0", 400, "bad_question"),
        ("GET", "/api/page/timeline", 400, "bad_question"),
        ("GET", f"/api/page/timeline?id={TRACE}&first=-1", 400, "bad_question"),
        ("GET", f"/api/page/timeline?id={TRACE}&limit=999999", 400, "bad_question"),
        ("GET", f"/api/page/timeline?id={number_id(99)}", 404, "not_found"),
        ("GET", f"/api/page/span?id={TRACE}&span=nobody", 404, "not_found"),
        ("GET", "/api/v1/requests?cursor=AAAA", 400, "bad_question"),
        ("GET", "/api/v1/sources?x=1", 422, "unknown_parameter"),
        ("GET", "/api/v1/apis?start=never", 400, "bad_question"),
        ("GET", "/api/v1/apis?group_by=colour", 422, "unknown_parameter"),
        ("GET", "/api/v1/slow?baseline=colour%3Dred", 422, "unknown_parameter"),
        ("GET", "/api/v1/slow?baseline=consumer%3D%00", 400, "bad_question"),
        ("GET", "/api/v1/slow?select=all", 400, "bad_question"),
    ],
)
def test_every_error_has_one_shape(
    asker: Asker, method: str, path: str, status: int, code: str
) -> None:
    """Whoever finds the fault, the body is a code, a message and a hint."""
    answer = asker.client.request(method, path)
    assert answer.status_code == status
    check_answer(ErrorAnswer, answer.json())
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["message"]


BAD_VALUES = {
    "start": "soon",
    "end": "9999-01-01",
    "status": "fine",
    "status_class": "9xx",
    "error": "perhaps",
    "min_duration_ms": "-1",
    "max_duration_ms": "long",
    "joined": "both",
    "state": "done",
    "limit": "many",
    "order": "name",
    "cursor": "!!",
}


@pytest.mark.parametrize("name", [parameter.name for parameter in PARAMETERS])
def test_each_search_parameter_is_checked(asker: Asker, name: str) -> None:
    """A value that cannot be is refused with the name of its parameter in front."""
    value = BAD_VALUES.get(name, "x" * 600)
    error = asker.get(f"/api/v1/requests?{name}={quote(value)}", 400)["error"]
    assert error["message"].startswith(f"{name}: ")


def test_probes_answer_while_every_thread_is_busy(questions: QueryService) -> None:
    """Slow health checks and questions hold up neither liveness nor each other for ever."""
    release = threading.Event()

    def slow_health() -> dict[str, str]:
        release.wait(10)
        return {"store": "ok"}

    with serving(questions, health=slow_health) as asker:
        base = str(asker.client.base_url)
        waiting = threading.Thread(target=lambda: httpx.get(f"{base}/readyz", timeout=30))
        waiting.start()
        begin = time.monotonic()
        assert asker.get("/healthz") == {"status": "ok"}
        assert asker.get("/api/v1/sources")["sources"] is not None
        assert time.monotonic() - begin < 5
        release.set()
        waiting.join()


def test_metrics_count_by_route_not_by_path(asker: Asker) -> None:
    """Ids in paths never become label values."""
    asker.timeline(TRACE)
    asker.client.get("/some/where/else")
    text = asker.client.get("/metrics").text
    assert 'hopline_api_requests_total{route="/api/v1/requests/{id:path}",status="200"}' in text
    assert "hopline_api_request_seconds_bucket" in text
    assert TRACE not in text
    assert "/some/where" not in text


@pytest.mark.parametrize(
    "path", ["/", "/requests", "/docs", "/page/docs.js", "/page/early.js", "/page/style.css"]
)
def test_pages_hold_no_data_and_load_nothing_foreign(guarded: Asker, path: str) -> None:
    """Pages are open, strict about where content comes from, and name no other host."""
    answer = guarded.client.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
    for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert risky not in answer.text
    assert " style=" not in answer.text
    assert " onclick=" not in answer.text


def test_page_files_come_zipped_and_only_when_they_changed(asker: Asker) -> None:
    """Whoever has a file is told that it is the same, and nobody gets more bytes than needed."""
    first = asker.client.get("/page/main.js")
    assert first.headers["content-encoding"] == "gzip"
    plain = asker.client.get("/page/main.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == first.text
    again = asker.client.get("/page/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_golden_openapi(questions: QueryService) -> None:
    """The description of the API is the committed one."""
    app = build_api(questions, ApiSettings("127.0.0.1", 0, ()), dict)
    text = json.dumps(app.openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    check_golden(GOLDEN / "openapi.json", text)


def test_every_path_is_asked_for_another_tenants_data(questions: QueryService) -> None:
    """A path that is added joins the battery of tenants, or is open to all and without data."""
    app = build_api(questions, ApiSettings("127.0.0.1", 0, ()), dict)
    routes: list[Any] = list(app.routes)
    for included in app.routes:
        routes += getattr(getattr(included, "original_router", None), "routes", ())
    paths = {route.path for route in routes if hasattr(route, "path")}
    asked_elsewhere = {"/mcp", "/metrics", "/api/v1/tail"}
    without_data = {path for path in paths if path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)}
    assert paths - without_data - asked_elsewhere == set(tenants.PATHS)


def test_openapi_documents_every_parameter(asker: Asker) -> None:
    """Each parameter that a route reads is described, with a meaning."""
    paths = asker.get("/openapi.json")["paths"]
    search = {p["name"]: p for p in paths["/api/v1/requests"]["get"]["parameters"]}
    assert set(search) == {parameter.name for parameter in PARAMETERS}
    timeline = {p["name"] for p in paths["/api/v1/requests/{id}"]["get"]["parameters"]}
    assert timeline == {"id", "as_of", "raw"}
    assert all(p["description"] for p in search.values())


def test_examples_are_given_for_every_answer(asker: Asker) -> None:
    """Every answer in JSON that the description lists is illustrated."""
    for methods in asker.get("/openapi.json")["paths"].values():
        for route in methods.values():
            for answer in route["responses"].values():
                for content in answer.get("content", {}).values():
                    assert "example" in content or not content.get("schema"), route["summary"]


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/api/v1/requests?start=-1d", Found),
        (f"/api/v1/requests/{TRACE}", Timeline),
        (f"/api/v1/requests/{TRACE}/spans", Stored),
        (f"/api/v1/requests/{TRACE}/explain", Explanation),
        ("/api/v1/sources", Sources),
        ("/api/v1/apis?start=-1d", Apis),
        ("/api/v1/services", Services),
        ("/api/v1/edges?operations=true", Edges),
        ("/api/v1/slow?baseline=day", Slow),
        ("/api/v1/clocks", ClockReport),
        ("/api/v1/storage", Storage),
    ],
)
def test_answers_have_exactly_the_documented_fields(asker: Asker, path: str, model: type) -> None:
    """No field is undocumented, none is missing."""
    check_answer(model, asker.get(path))


PREFIXES = [
    "/",
    "/api/v1/requests",
    "/api/v1/apis",
    "/api/v1/edges",
    "/api/v1/slow",
    "/api/traces",
    "/api/services",
    "/api/dependencies",
    "/api/v3/traces",
    "/api/v3/trace-summaries",
    "/tempo/api/search",
    "/tempo/api/v2/search/tag",
]
SEGMENT = st.text(max_size=40) | st.sampled_from(
    [TRACE, "requests", "api", "v1", "..", "%2e", "%00"]
)
NAME = st.sampled_from(
    [
        *(p.name for p in PARAMETERS),
        "as_of",
        "raw",
        "format",
        "service",
        "tags",
        "endTs",
        "query.startTimeMin",
        "query.startTimeMax",
        "query.attributes",
        "q",
        "tags",
        "group_by",
        "baseline",
    ]
) | st.text(max_size=8)
VALUE = st.text(max_size=30) | st.sampled_from(
    ["now", "-1h", "true", "5xx", "1e9", "%ff", "'; DROP"]
)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(SEGMENT, max_size=4),
    st.lists(st.tuples(NAME, VALUE), max_size=4),
    st.sampled_from(PREFIXES),
)
def test_no_path_or_query_is_an_inner_error(
    asker: Asker, segments: list[str], pairs: list[tuple[str, str]], prefix: str
) -> None:
    """Whatever is asked, the answer is never a 500."""
    path = prefix
    for segment in segments:
        path += "/" + quote(segment, safe="")
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    answer = asker.client.get(f"{asker.address}{path}?{query}")
    assert answer.status_code in (200, 400, 404, 422)
    is_json = answer.headers["content-type"].startswith("application/json")
    if answer.status_code != 200 and is_json and not _is_jaegers(answer.json()):
        check_answer(ErrorAnswer, answer.json())


def _is_jaegers(error: dict[str, Any]) -> bool:
    """Tell whether an error is in the frame of one of Jaeger's two APIs."""
    return "errors" in error or set(error["error"]) == {"httpCode", "message"}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=60))
def test_no_raw_bytes_in_a_path_are_an_inner_error(asker: Asker, raw: bytes) -> None:
    """Percent-encoded bytes that are no UTF-8 are answered like any other id."""
    escaped = "".join(f"%{byte:02x}" for byte in raw)
    answer = asker.client.get(f"/api/v1/requests/{escaped}?q={escaped}")
    assert answer.status_code in (400, 404, 422)


def test_streams_that_are_reset_leave_no_line_in_the_log(
    guarded: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    """Who opens streams and resets them cannot fill the disk with what is said about it."""
    client = h2.connection.H2Connection()
    client.initiate_connection()
    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "127.0.0.1")]
    path = (":path", "/api/v1/requests")
    with socket.create_connection(("127.0.0.1", guarded.client.base_url.port or 0)) as link:
        for number in range(1, 200, 2):
            client.send_headers(number, [*fields, path], end_stream=True)
            client.reset_stream(number)
        client.send_headers(201, [*fields, (":path", "/healthz")], end_stream=True)
        link.sendall(client.data_to_send())
        link.settimeout(30)
        while not any(
            isinstance(each, h2.events.StreamEnded) and each.stream_id == 201
            for each in client.receive_data(link.recv(65_536))
        ):
            pass
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_a_body_that_does_not_come_is_not_waited_for(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a deployment tool announces and does not send is 408."""
    monkeypatch.setattr(asgi, "_BODY_WAIT_S", 0.3)
    head = b"POST /api/v1/changes HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    address = ("127.0.0.1", asker.client.base_url.port or 0)
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(head + b"content-length: 9\r\n\r\n{")
        answer = b""
        while b"}" not in answer and (read := connection.recv(65536)):
            answer += read
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"too_slow"' in answer
