"""Tempo's query API as Grafana and Kiali ask it, over HTTP and a real embedded engine."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from collector import __version__
from collector.query.service import QueryService
from tests.api_client import Asker, serving
from tests.integration.test_trace_apis import (
    FAILED,
    GOOD,
    REFUSED,
    STORIES,
    TRACE,
    UNRECORDED,
    T,
)
from tests.stories import MINUTE, MS, NOW, SECOND, Story, asking, number_id

RANGE = f"start={(NOW - 60 * MINUTE) // SECOND}&end={NOW // SECOND}"
# what Kiali writes: the spans of a service, and the values that its pages show
KIALI = '{{ .service.name = "{}"  }} && {{  }} | select(status, .http.method, .node_id, name)'


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryService]:
    with asking(STORIES, tmp_path_factory.mktemp("tempo")) as (asked, _):
        yield asked


@pytest.fixture(scope="module")
def asker(questions: QueryService) -> Iterator[Asker]:
    with serving(questions) as found:
        yield found


def search(asker: Asker, query: str, more: str = "") -> Any:
    found = asker.get(f"/tempo/api/search?{RANGE}&limit=50{more}&q={quote(query)}")
    assert set(found) == {"traces", "metrics"}
    return found["traces"]


def refused(asker: Asker, path: str, status: int = 400) -> str:
    answer = asker.client.get(f"/tempo/api/{path}")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return answer.text


def test_status_paths(asker: Asker) -> None:
    """What Grafana and Kiali test a connection with."""
    assert asker.client.get("/tempo/api/echo").text == "echo"
    assert asker.client.get("/tempo/ready").status_code == 200
    assert asker.get("/tempo/api/status/buildinfo")["version"] == __version__


def test_a_trace_in_every_form(asker: Asker) -> None:
    """Both versions, as protobuf and as JSON, hold the same spans, the gateway's among them."""
    accept = {"accept": "application/protobuf"}
    older = asker.client.get(f"/tempo/api/traces/{TRACE}", headers=accept)
    assert older.headers["content-type"] == "application/protobuf"
    data = TracesData.FromString(older.content)
    spans = [s for sent in data.resource_spans for c in sent.scope_spans for s in c.spans]
    assert len(spans) == len(FAILED.spans) + 1
    newer = asker.client.get(f"/tempo/api/v2/traces/{TRACE}?{RANGE}", headers=accept).content
    body = data.SerializeToString()
    assert newer[:1] == b"\x0a"
    assert newer.endswith(body + b"\x12\x00")
    told = asker.get(f"/tempo/api/traces/{TRACE}")
    assert ParseDict({"resourceSpans": told["batches"]}, TracesData()) == data
    assert asker.get(f"/tempo/api/v2/traces/{TRACE}")["trace"]["resourceSpans"] == told["batches"]
    span = told["batches"][0]["scopeSpans"][0]["spans"][0]
    assert span["status"]["code"] == "STATUS_CODE_ERROR"
    assert refused(asker, f"traces/{number_id(4_711)}", 404) == "trace not found"
    assert refused(asker, "v2/traces/nothing", 404) == "trace not found"


def test_a_search_shows_what_grafana_lists(asker: Asker) -> None:
    """Root, start and duration of the trace; of its spans those that fit, as many as are wanted."""
    (found,) = search(asker, "{ status = error && kind = client }", "&spss=1")
    assert found["traceID"] == TRACE
    assert found["rootServiceName"] == "azure-apim"
    assert found["startTimeUnixNano"] == str(T)
    duration_ns = FAILED.records[0].duration_ns
    assert duration_ns is not None
    assert found["durationMs"] == duration_ns // MS
    assert found["serviceStats"]["payments"] == {"spanCount": 3, "errorCount": 3}
    assert found["spanSets"] == [found["spanSet"]]
    clients = [told for told in FAILED.spans if told.kind == "Client"]
    assert found["spanSet"]["matched"] >= len(clients)
    (span,) = found["spanSet"]["spans"]
    attributes = {each["key"]: each["value"] for each in span["attributes"]}
    assert attributes["status"] == {"stringValue": "error"}
    assert "service.name" in attributes


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('{ resource.service.name = "payments" }', [FAILED, *GOOD, UNRECORDED]),
        ('{ resource.service.name = "payments" && duration > 1.3s }', [FAILED]),
        ('{ span.db.system = "postgresql" && resource.host.name = "node-1" }', STORIES[:-2]),
        ('{ rootServiceName = "azure-apim" && status = error }', [FAILED, REFUSED]),
        ("{ span.retry.count > 2 && .cache.hit }", [UNRECORDED]),
        ('{ .service.name = "nobody" }', []),
        (KIALI.format("payments"), [FAILED, *GOOD, UNRECORDED]),
        ("{ traceDuration > 1s } || { span.retry.count = 3 }", [FAILED, UNRECORDED]),
        ('{ .service.name = "orders" } >> { status = error && kind = client }', [FAILED]),
        ("{ nestedSetParent < 0 && status = error } && { } | count() > 2", [FAILED]),
    ],
)
def test_traceql_finds_traces(asker: Asker, query: str, expected: list[Story]) -> None:
    """Conditions hold for one span of a trace, whatever the store could tell beforehand."""
    wanted = {story.spans[0].trace_id for story in expected if story.spans}
    if "db.system" in query:
        wanted.add(UNRECORDED.spans[0].trace_id)
    found = {each["traceID"] for each in search(asker, query)}
    assert wanted <= found
    assert len(found) == len(wanted) + sum(not story.spans for story in expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("tags=service.name%3Dpayments%20db.system%3DPOSTGRES", len(GOOD) + 2),
        ("tags=name%3D%22select%20acc%22&minDuration=1s", 1),
        ("tags=error%3Dtrue", 2),
        ("tags=retry.count%3D3&maxDuration=10s", 1),
        ("tags=retry.count%3D3&maxDuration=1ms", 0),
        ("limit=2", 2),
        ("", len(STORIES)),
    ],
)
def test_tags_find_traces(asker: Asker, query: str, expected: int) -> None:
    """The search without TraceQL: texts inside values, whatever their case; whole durations."""
    found = asker.get(f"/tempo/api/search?{RANGE}&{query}")["traces"]
    assert len(found) == expected


def metrics(asker: Asker, query: str, more: str = "&step=1m") -> list[Any]:
    path = f"/tempo/api/metrics/query_range?{RANGE}{more}&q={quote(query)}"
    return list(asker.get(path)["series"])


# what Traces Drilldown 2.x asks for each of its views, with its variables filled in
_ROOTS = "nestedSetParent<0 && true"
DRILLDOWN = {
    "rate": f"{{{_ROOTS}}} | rate() ",
    "by service": "{kind=server && true && resource.service.name != nil} | "
    "rate() by(resource.service.name)",
    "errors": f"{{{_ROOTS} && status=error}} | rate()  with(sample=true)",
    "duration": f"{{{_ROOTS}}} | quantile_over_time(duration, 0.9) ",
    "histogram": f"{{{_ROOTS}}} | histogram_over_time(duration) with(sample=true)",
    "status": f"{{{_ROOTS} && status != nil}} | rate() by(status)",
    "all": '{true && true && name="SELECT accounts"} | rate() by(name)',
    "database": '{span.db.system!="" && true} | rate() ',
}


def test_drilldowns_metrics(asker: Asker) -> None:
    """Every graph of Traces Drilldown has numbers; all requests of the range are in its rate."""
    series = {name: metrics(asker, query) for name, query in DRILLDOWN.items()}
    assert all(each["samples"] for told in series.values() for each in told)
    (rate,) = series["rate"]
    assert rate["labels"] == [{"key": "__name__", "value": {"stringValue": "rate"}}]
    assert round(sum(s["value"] for s in rate["samples"]) * 60) == len(STORIES)
    services = {each["labels"][0]["value"]["stringValue"] for each in series["by service"]}
    assert {"orders", "payments"} <= services
    (duration,) = series["duration"]
    assert duration["labels"] == [{"key": "p", "value": {"doubleValue": 0.9}}]
    assert duration["exemplars"][0]["labels"][0]["key"] == "trace:id"
    assert all(e["labels"][-1]["key"] == "__bucket" for e in series["histogram"])
    path = f"/tempo/api/metrics/query?{RANGE}&q={quote(DRILLDOWN['status'])}"
    words = {e["labels"][0]["value"]["stringValue"] for e in asker.get(path)["series"]}
    assert words == {"error", "ok"}


def test_drilldowns_searches(asker: Asker) -> None:
    """Its structure, its list of traces and its exceptions come as spansets of one each."""
    structure = (
        f"({{{_ROOTS} }} &>> {{ kind = server }}) || ({{{_ROOTS} }}) | select(status, "
        "resource.service.name, name, nestedSetParent, nestedSetLeft, nestedSetRight)"
    )
    found = {each["traceID"]: each for each in search(asker, structure, "&spss=20")}
    assert len(found) == len(STORIES)
    assert {len(each["spanSets"]) for each in found.values()} == {1}
    spans = [
        {a["key"]: a["value"] for a in each["attributes"]}
        for each in found[TRACE]["spanSets"][0]["spans"]
    ]
    assert spans[0]["nestedSetParent"] == {"intValue": "-1"}
    assert all("service.name" in each and "nestedSetRight" in each for each in spans)
    assert len({each["nestedSetLeft"]["intValue"] for each in spans}) == len(spans) > 2
    exceptions = (
        f"{{{_ROOTS} && status = error}} | select(resource.service.name, event.exception.message,"
        "event.exception.stacktrace,event.exception.type) with(most_recent=true)"
    )
    assert TRACE in {each["traceID"] for each in search(asker, exceptions)}


def test_a_small_sample_stands_for_all(questions: QueryService) -> None:
    """A sample that ends early says for how many each of its traces stands."""
    traces = questions.traces
    whole = traces.sample(NOW - 60 * MINUTE, NOW, limit=100, max_spans=1_000, max_seconds=60)
    assert (len(whole.traces), whole.weight) == (len(STORIES), 1.0)
    few = traces.sample(NOW - 60 * MINUTE, NOW, limit=3, max_spans=1_000, max_seconds=60)
    assert {t.timeline.id for t in few.traces} < {t.timeline.id for t in whole.traces}
    assert few.weight > 1.0


def test_names_and_values_for_the_query_editor(asker: Asker) -> None:
    """Attributes by scope, with their types; intrinsics have their words."""
    scopes = {
        each["name"]: each["tags"]
        for each in asker.get(f"/tempo/api/v2/search/tags?{RANGE}")["scopes"]
    }
    assert {"retry.count", "http.status_code", "hopline.role"} <= set(scopes["span"])
    assert {"service.name", "host.name"} == set(scopes["resource"])
    assert {"status", "duration", "rootServiceName"} <= set(scopes["intrinsic"])
    (only,) = asker.get(f"/tempo/api/v2/search/tags?{RANGE}&scope=resource")["scopes"]
    assert only["name"] == "resource"
    older = asker.get(f"/tempo/api/search/tags?{RANGE}")["tagNames"]
    assert older == sorted({*scopes["span"], *scopes["resource"]})

    def values(name: str, more: str = "") -> list[tuple[str, str]]:
        path = f"/tempo/api/v2/search/tag/{quote(name, safe='')}/values?{RANGE}{more}"
        return [(each["type"], each["value"]) for each in asker.get(path)["tagValues"]]

    services = ["azure-apim", "istio-ingressgateway", "orders", "payments"]
    assert values("resource.service.name") == [("string", name) for name in services]
    assert values("status") == [("keyword", each) for each in ("error", "ok", "unset")]
    assert values("span.http.status_code") == [("int", "200"), ("int", "500")]
    assert values("span.cache.hit") == [("bool", "true")]
    good = "&q=" + quote("{ .http.status_code = 200 }")
    assert values(".http.status_code", good) == [("int", "200")]
    assert values("span%2Eretry%2Ecount") == [("int", "3")]
    assert ("string", "SELECT accounts") in values("name")
    plain = asker.get(f"/tempo/api/search/tag/db.system/values?{RANGE}")["tagValues"]
    assert plain == ["postgresql"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("search?q=" + quote("{ } | rate()"), "invalid TraceQL query: | rate(…) is a metric"),
        ("search?q=" + quote("{ } | compare({})"), "invalid TraceQL query: | compare is not"),
        ("search?q=" + quote("{ .a = .b }"), "invalid TraceQL query: .a = .b is not supported"),
        ("search?q=%7B%7D&tags=a%3Db", "invalid request: can't specify tags and q"),
        ("search?tags=a%3Db%20a%3Dc", "invalid tags: tag a has been set twice"),
        ("search?tags=alone", "invalid tags: 'alone' at pos 1"),
        ("search?start=soon", "invalid start: "),
        ("search?start=20&end=10", "start: is not before end"),
        ("search?limit=-1", "invalid limit: "),
        ("search?minDuration=5", "minDuration: "),
        ("v2/search/tags?scope=link", "invalid scope: link"),
        ("v2/search/tag/nonsense/values", "invalid TraceQL query: the intrinsic nonsense"),
        ("metrics/query_range?q=x", "invalid TraceQL query: x is not supported outside"),
        ("metrics/query?q=%7B%7D", "invalid TraceQL query: it ends in no metric"),
        ("metrics/query_range?q=%7B%7D%7Crate()&exemplars=a", "invalid exemplars: "),
    ],
)
def test_what_is_not_understood_is_refused_by_name(asker: Asker, path: str, message: str) -> None:
    """400 with a text that names the parameter or the part of the query."""
    assert refused(asker, path).startswith(message)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_commands_of_the_document_work_as_they_stand(asker: Asker) -> None:
    """What deploy/readers.md says to type is typed, with the address and the token put in."""
    document = (Path(__file__).parents[2] / "deploy" / "readers.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", document, re.DOTALL)
    commands = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    assert len(commands) == 4
    for command in commands:
        local = command.replace("http://hopline:8080", asker.address)
        typed = ["curl", "-sS", "--fail", *shlex.split(local)[1:]]
        assert subprocess.run(typed, capture_output=True, check=True, timeout=30).stdout, command
