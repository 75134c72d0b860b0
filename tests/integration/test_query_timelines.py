"""From any id to a timeline, over HTTP and a real embedded engine."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from collector.model import Span, SpanLink
from collector.query.results import Stored
from collector.query.timelines.explanation import Explanation
from collector.stitch.timeline import Timeline
from tests.api_client import Asker, check_answer, serving
from tests.stories import (
    MINUTE,
    MS,
    NOW,
    SECOND,
    Story,
    as_uuid,
    asking,
    joined_story,
    make_record,
    number_id,
    refused_story,
    request_id_story,
    unrecorded_story,
)

T = NOW - 20 * MINUTE
SLOW = joined_story(1, T, 1_400 * MS, failed=True)
QUICK = joined_story(2, T + MINUTE)
REFUSED = refused_story(3, T + 2 * MINUTE)
UNRECORDED = unrecorded_story(4, T + 3 * MINUTE)
BY_REQUEST_ID = request_id_story(5, T + 4 * MINUTE)
LATE_RECORD = joined_story(6, T + 5 * MINUTE)
SPANS_FIRST = Story([], LATE_RECORD.spans)
RECORD_LATER = Story(LATE_RECORD.records, [], lag_ns=4 * MINUTE)


def _same_trace() -> Story:
    """Tell a browser's trace in which the gateway was called twice."""
    trace = number_id(7)
    first = joined_story(7, T + 6 * MINUTE)
    again = make_record(8, T + 6 * MINUTE + 30 * SECOND, trace_id=trace)
    return Story([*first.records, again], first.spans)


SHARED = _same_trace()


def _message(number: int, start_ns: int) -> Span:
    """Return the whole trace of somebody who sends one message."""
    return Span(
        trace_id=number_id(number),
        span_id=number_id(number + 40, 16),
        parent_span_id="",
        name="send parcels",
        service="counter",
        start_ns=start_ns,
        end_ns=start_ns + 3 * MS,
        kind="Producer",
        resource={"service.name": "counter"},
    )


SENT = [_message(9_020, T + 7 * MINUTE), _message(9_021, T + 7 * MINUTE + SECOND)]
BATCH = Span(
    trace_id=number_id(9_022),
    span_id=number_id(9_062, 16),
    parent_span_id="",
    name="process parcels",
    service="sorting",
    start_ns=T + 8 * MINUTE,
    end_ns=T + 8 * MINUTE + 90 * MS,
    kind="Consumer",
    resource={"service.name": "sorting"},
    links=[SpanLink(sent.trace_id, sent.span_id, {}) for sent in SENT],
)

# one trace that sends messages for five hours, and who links to its first and to its last
_FIRST = _message(9_030, T - 300 * MINUTE)
_LAST = replace(_message(9_031, T), trace_id=_FIRST.trace_id)
LASTING = [_FIRST, _LAST]
LINKING = [
    replace(
        BATCH,
        trace_id=number_id(9_032 + n),
        start_ns=sent.start_ns + MINUTE,
        end_ns=sent.end_ns + MINUTE,
        links=[SpanLink(sent.trace_id, sent.span_id, {})],
    )
    for n, sent in enumerate(LASTING)
]


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    stories = [SLOW, QUICK, REFUSED, UNRECORDED, BY_REQUEST_ID, SPANS_FIRST, RECORD_LATER, SHARED]
    stories += [Story([], SENT), Story([], [BATCH]), Story([], LASTING)]
    stories += [Story([], [span]) for span in LINKING]
    folder = tmp_path_factory.mktemp("timelines")
    with asking(stories, folder) as (questions, _), serving(questions) as found:
        yield found


TRACE = SLOW.spans[0].trace_id
_XRAY = f"1-{TRACE[:8]}-{TRACE[8:]}"
CORRELATION = SLOW.records[0].record_id
REQUEST_ID = SLOW.spans[0].attributes["guid:x-request-id"]


@pytest.mark.parametrize(
    "identifier",
    [
        TRACE,
        TRACE.upper(),
        as_uuid(TRACE, TRACE[12]),
        f" {TRACE}\n",
        f'"{TRACE}",',
        f"00-{TRACE}-{SLOW.spans[0].span_id}-01",
        f"traceparent: 00-{TRACE}-{SLOW.spans[0].span_id}-01",
        f"{TRACE}-{SLOW.spans[0].span_id}-1",
        f"{TRACE}:{SLOW.spans[0].span_id}:0:1",
        f"{TRACE}%3A{SLOW.spans[0].span_id}%3A0%3A1",
        f"Root={_XRAY};Parent={SLOW.spans[0].span_id};Sampled=1",
        _XRAY,
        f"|{TRACE}.{SLOW.spans[0].span_id}.",
        f"{TRACE}/123456;o=1",
        CORRELATION,
        CORRELATION.upper(),
        CORRELATION.replace("-", ""),
        f"%22{CORRELATION}%22",
        f"CorrelationId={CORRELATION}",
        f'"correlationId": "{CORRELATION}"',
        REQUEST_ID,
        REQUEST_ID[:14] + "4" + REQUEST_ID[15:],
        f"x-request-id: {REQUEST_ID}",
    ],
)
def test_any_form_of_any_id_finds_the_request(asker: Asker, identifier: str) -> None:
    """Trace id, gateway id and request id lead to the same timeline, however they are written."""
    timeline = asker.timeline(identifier)
    assert timeline["id"] == CORRELATION
    assert timeline["trace_id"] == TRACE


def test_a_joined_request_shows_both_sides(asker: Asker) -> None:
    """Gateway record and spans are one tree, and the link says why."""
    timeline = asker.timeline(TRACE)
    check_answer(Timeline, timeline)
    assert [span["role"] for span in timeline["spans"]][:3] == ["gateway", "edge", "server_proxy"]
    assert timeline["links"][0]["tier"] == 0
    assert {proof["left"] for proof in timeline["links"][0]["evidence"]} >= {TRACE}
    assert timeline["status"] == 500
    assert timeline["verdict"]["layer"] == "dependency"


def test_phases_sum_to_the_total_exactly(asker: Asker) -> None:
    """In nanoseconds the phases of every timeline are its duration, no more and no less."""
    for story in (SLOW, QUICK, REFUSED, UNRECORDED, BY_REQUEST_ID):
        identifier = story.records[0].record_id if story.records else story.spans[0].trace_id
        timeline = asker.timeline(identifier)
        total = sum(round(phase["duration_ms"] * 1_000_000) for phase in timeline["phases"])
        assert total == round(timeline["duration_ms"] * 1_000_000)


def test_a_request_the_gateway_refused_is_a_timeline(asker: Asker) -> None:
    """A 401 of the gateway has one hop, no trace, and the gateway as verdict."""
    timeline = asker.timeline(REFUSED.records[0].record_id)
    check_answer(Timeline, timeline)
    assert timeline["trace_id"] is None
    assert timeline["status"] == 401
    assert timeline["verdict"]["layer"] == "gateway"
    assert len(timeline["hops"]) == 1


def test_a_trace_without_a_record_is_a_timeline(asker: Asker) -> None:
    """A request that only the mesh saw is shown, with the gateway's source still awaited."""
    timeline = asker.timeline(UNRECORDED.spans[0].trace_id)
    check_answer(Timeline, timeline)
    assert timeline["gateway_records"] == []
    assert timeline["trace_id"] == UNRECORDED.spans[0].trace_id


def test_a_shared_request_id_joins_across_the_rewritten_digit(asker: Asker) -> None:
    """A record without a trace id is joined by x-request-id, whose version digit Envoy changed."""
    timeline = asker.timeline(BY_REQUEST_ID.records[0].record_id)
    assert timeline["trace_id"] == BY_REQUEST_ID.spans[0].trace_id
    assert timeline["links"][0]["tier"] == 3


def test_as_of_shows_what_was_known_then(asker: Asker) -> None:
    """Before its record arrived the request is a trace alone, and nothing before its spans did."""
    trace = LATE_RECORD.spans[0].trace_id
    moment = (LATE_RECORD.start_ns + MINUTE) // SECOND
    before = asker.timeline(trace, f"?as_of={moment}")
    now = asker.timeline(trace)
    assert before["gateway_records"] == []
    assert {"log-analytics": "late"}.items() <= {
        each["source"]: each["status"] for each in before["expected"]
    }.items()
    assert [record["record_id"] for record in now["gateway_records"]] == [
        LATE_RECORD.records[0].record_id
    ]
    assert now["revision"] > before["revision"]
    early = asker.get(f"/api/v1/requests/{trace}?as_of={LATE_RECORD.start_ns // SECOND - 60}", 404)
    assert "was not yet known" in early["error"]["message"]
    assert early["error"]["hint"] == "leave out as_of to see what is known now"


def test_of_several_requests_under_an_id_the_newest_is_shown(asker: Asker) -> None:
    """A trace in which the gateway was called twice shows the later call and lists the earlier."""
    first, later = SHARED.records
    timeline = asker.timeline(first.trace_id)
    assert timeline["id"] == later.record_id
    assert any(first.record_id in other for other in timeline["other_matches"])
    assert asker.timeline(first.record_id)["id"] == first.record_id


def test_raw_leaves_every_clock_alone(asker: Asker) -> None:
    """With raw=true no span is moved."""
    timeline = asker.timeline(TRACE, "?raw=true")
    assert {span["adjusted_by_ms"] for span in timeline["spans"]} == {0.0}


def test_stored_rows_come_back_untouched(asker: Asker) -> None:
    """`/spans` gives what was sent: ids, times to the nanosecond, attributes, raw row."""
    stored = asker.get(f"/api/v1/requests/{CORRELATION}/spans")
    check_answer(Stored, stored)
    assert len(stored["spans"]) == len(SLOW.spans)
    found = {span["span_id"]: span for span in stored["spans"]}
    for sent in SLOW.spans:
        got = found[sent.span_id]
        assert got["duration_ms"] == (sent.end_ns - sent.start_ns) / MS
        assert got["attributes"] == dict(sent.attributes)
        assert got["parent_span_id"] == sent.parent_span_id
    assert stored["records"][0]["raw"] == {"CorrelationId": CORRELATION}


def test_an_account_names_rules_and_ids(asker: Asker) -> None:
    """Every sentence has a rule; the same question gives the same bytes."""
    path = f"/api/v1/requests/{CORRELATION}/explain"
    account = asker.get(path)
    check_answer(Explanation, account)
    assert all(sentence["rule"] for sentence in account["sentences"])
    assert account == asker.get(path)
    texts = " ".join(sentence["text"] for sentence in account["sentences"])
    assert "ended with status 500" in texts
    assert TRACE in texts


def test_an_account_as_markdown(asker: Asker) -> None:
    """Accept chooses Markdown, and `format` wins over it."""
    path = f"/api/v1/requests/{CORRELATION}/explain"
    answer = asker.client.get(path, headers={"Accept": "text/markdown"})
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.text.startswith("# GET /orders/1\n")
    assert "`JOIN_TIER_0`" in answer.text
    again = asker.client.get(f"{path}?format=markdown", headers={"Accept": "application/json"})
    assert again.text == answer.text
    as_json = asker.client.get(f"{path}?format=json", headers={"Accept": "text/markdown"})
    assert as_json.json()["id"] == CORRELATION


def test_an_unknown_id_says_what_was_searched(asker: Asker) -> None:
    """The message says what was looked through, the hint what may still come."""
    error = asker.get(f"/api/v1/requests/{number_id(999)}", 404)["error"]
    assert error["code"] == "not_found"
    assert "searched: trace ids, gateway record ids" in error["message"]
    assert "known up to" in error["hint"]


@pytest.mark.parametrize(
    "pasted",
    [
        "http://127.0.0.1:8080/#{}",
        "http://127.0.0.1:8080/api/v1/requests/{}/explain",
        "https://grafana.example/explore?left=%7B%22query%22:%22{}%22%7D",
        "2026-03-01 09:40:00 ERROR [orders,{},79cb75d14e4cdf09] no stock 12 left",
        '{{"level": "error", "ids": {{"requestId": "{}"}}}}',
        "ApiManagementGatewayLogs | where CorrelationId == '{}'",
        "two ids, 00112233445566778899aabbccddeeff and {}",
    ],
)
@pytest.mark.parametrize("identifier", [TRACE, CORRELATION, CORRELATION.upper()])
def test_an_id_is_found_inside_whatever_is_pasted(
    asker: Asker, pasted: str, identifier: str
) -> None:
    """Addresses, log lines, JSON and queries lead to the request whose id is in them."""
    assert asker.timeline(pasted.format(identifier))["id"] == CORRELATION


def test_a_span_id_finds_its_request(asker: Asker) -> None:
    """The id of any span alone, written in any case, leads to the request that it is part of."""
    span = SLOW.spans[3]
    for written in (span.span_id, span.span_id.upper(), f"spanId={span.span_id}"):
        assert asker.timeline(written)["id"] == CORRELATION
    error = asker.get("/api/v1/requests/00f0e0d0c0b0a090", 404)["error"]
    assert "00f0e0d0c0b0a090" in error["message"]


@pytest.mark.parametrize(
    "identifier",
    ["abc", "-", "----", "null", "0" * 32, "%20%20", "x" * 3000, "a%00bcdef", "%1b%5b2J"],
)
def test_what_is_no_id_is_refused_with_examples(asker: Asker, identifier: str) -> None:
    """Text that cannot be an id is a bad question, not an empty search."""
    error = asker.get(f"/api/v1/requests/{identifier}", 400)["error"]
    assert error["code"] == "bad_question"
    assert error["message"].startswith("id: ")
    assert "traceparent" in error["hint"]


def test_a_description_finds_the_slowest_request_that_fits_it(asker: Asker) -> None:
    """Without an id, API and moment lead to the account of one request, always the same."""
    record = SLOW.records[0]
    path = f"/api/v1/explain?api={record.api}&at={(T + 2 * MINUTE) // MS}"
    account = asker.get(path)
    assert account["id"] == record.record_id
    assert asker.get(path) == account


def test_a_description_that_nothing_fits_says_so(asker: Asker) -> None:
    """The answer is 404 with the range that was searched, not an empty account."""
    answer = asker.get(f"/api/v1/explain?api=no-such-api&at={T // MS}", status=404)
    assert "no request fits" in answer["error"]["message"]


def test_a_description_takes_no_parameter_of_a_list(asker: Asker) -> None:
    """`start` is refused by name, as `at` is what a description has."""
    answer = asker.get("/api/v1/explain?start=-1h", status=400)
    assert "start" in answer["error"]["message"]


def test_a_sender_shows_the_batch_that_links_to_it(asker: Asker) -> None:
    """A reference with service, operation and start; the batch is no part of the request."""
    for sent in SENT:
        timeline = asker.timeline(sent.trace_id)
        assert timeline["linked_from"] == [
            {
                "trace_id": BATCH.trace_id,
                "span_id": BATCH.span_id,
                "service": "sorting",
                "operation": "process parcels",
                "start": "2026-03-01T09:48:00.000000000Z",
                "to_span_id": sent.span_id,
            }
        ]
        assert [span["service"] for span in timeline["spans"]] == ["counter"]
        told = asker.get(f"/api/v1/requests/{sent.trace_id}/explain")
        assert "sorting (process parcels) links to it from trace" in str(told["sentences"])
    batch = asker.timeline(BATCH.trace_id)
    assert [each["trace_id"] for each in batch["links_to"]] == [sent.trace_id for sent in SENT]
    assert batch["linked_from"] == []


def test_what_links_later_than_was_asked_for_is_not_shown(asker: Asker) -> None:
    """What was known at a moment has no batch that came in after it."""
    known = asker.get(f"/api/v1/requests/{SENT[0].trace_id}?as_of={T + 7 * MINUTE + 30 * SECOND}")
    assert known["linked_from"] == []


def test_a_trace_that_goes_on_for_hours_has_its_first_links_looked_for(asker: Asker) -> None:
    """No index leads to who links: however long a trace is, two hours are read at most."""
    timeline = asker.timeline(_FIRST.trace_id)
    assert [each["trace_id"] for each in timeline["linked_from"]] == [LINKING[0].trace_id]
