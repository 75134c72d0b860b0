"""Zipkin's partial reports, decoded as they are posted and put together as one span."""

import json
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from collector.decode.zipkin import decode_json
from collector.model import Span, SpanEvent
from collector.stitch.timeline import Timeline
from tests.flat_spans import flat_spans
from tests.unit.stitch.building import LONG_AFTER, MS, START, stitch

_TRACE = "6a2c9d1e4b7f8035"
_CALL = "8d3b5a1f2c4e6079"
_FRONT = {"serviceName": "front", "ipv4": "10.3.0.13"}
_BACK = {"serviceName": "back", "ipv4": "10.3.0.9"}
_START_US = START // 1000


def report(**more: Any) -> dict[str, Any]:
    """Return one report of the call's span; times are milliseconds from the start."""
    at, took = more.pop("at", None), more.pop("took", None)
    marks = more.pop("marks", {})
    found = {"traceId": _TRACE, "id": more.pop("id", _CALL), **more}
    if at is not None:
        found["timestamp"] = _START_US + round(at * 1000)
    if took is not None:
        found["duration"] = round(took * 1000)
    if marks:
        found["annotations"] = [
            {"timestamp": _START_US + round(ms * 1000), "value": name} for name, ms in marks.items()
        ]
    return found


def stored(reports: Sequence[dict[str, Any]]) -> list[Span]:
    """Return the reports as stored, each posted by itself, a second after the one before."""
    spans = []
    for number, one in enumerate(reports):
        received_ns = START + (number + 1) * 1000 * MS
        [flat] = flat_spans(*decode_json(json.dumps([one]).encode(), received_ns).messages)
        spans.append(_span(flat, received_ns))
    return spans


def _span(flat: dict[str, Any], received_ns: int) -> Span:
    kinds = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
    resource = {key: str(value) for key, value in flat.get("resource", {}).items()}
    return Span(
        trace_id=flat["trace_id"],
        span_id=flat["span_id"],
        parent_span_id=flat.get("parent_span_id", ""),
        name=flat.get("name", ""),
        service=resource.get("service.name", ""),
        start_ns=flat["start_ns"],
        end_ns=flat["end_ns"],
        kind=kinds[flat.get("kind", 0)],
        status="Error" if flat.get("status") == 2 else "Unset",
        status_message=flat.get("status_message", ""),
        attributes={key: str(value) for key, value in flat.get("attributes", {}).items()},
        resource=resource,
        events=tuple(
            SpanEvent(each["time_ns"], each["name"], {}) for each in flat.get("events", ())
        ),
        received_ns=received_ns,
    )


def told(reports: Sequence[dict[str, Any]]) -> Timeline:
    """Return the timeline of reports that came in this order."""
    return stitch([], stored(reports), now_ns=LONG_AFTER)


_LATE_TAGS = [
    report(at=0, took=9, name="post", kind="SERVER", localEndpoint=_FRONT),
    report(
        name="post /cart/{id}",
        localEndpoint=_FRONT,
        tags={"http.route": "/cart/{id}", "error": "boom"},
    ),
]


@pytest.mark.parametrize("order", list(permutations(range(2))))
def test_name_and_tags_that_came_late(order: tuple[int, ...]) -> None:
    """A second report without a timestamp adds what it knows, whichever comes first."""
    timeline = told([_LATE_TAGS[number] for number in order])
    [span] = timeline.spans
    assert (span.kind, span.duration_ns, span.start_offset_ns) == ("Server", 9 * MS, 0)
    assert span.attributes["http.route"] == "/cart/{id}"
    assert (span.status, span.status_message) == ("error", "boom")
    assert span.name == ("post /cart/{id}" if order == (0, 1) else "post")
    assert not {"zipkin.partial", "zipkin.duration_us"} & span.attributes.keys()
    assert timeline.findings == ()


_FLUSHED = [
    report(
        at=110,
        took=10.319,
        name="get",
        kind="SERVER",
        shared=True,
        localEndpoint=_BACK,
        remoteEndpoint=_FRONT,
    ),
    report(name="", took=207, remoteEndpoint=_BACK, marks={"wr": 204}),
    report(
        at=0,
        name="get",
        kind="CLIENT",
        localEndpoint=_FRONT,
        tags={"http.path": "/api"},
        marks={"ws": 39},
    ),
]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_client_that_was_flushed_early(order: tuple[int, ...]) -> None:
    """Duration and end came before start and kind; the server's half has a span of its own."""
    timeline = told([_FLUSHED[number] for number in order])
    client, server = timeline.spans
    assert (client.service, client.kind, client.duration_ns) == ("front", "Client", 207 * MS)
    assert client.attributes["http.path"] == "/api"
    assert (server.service, server.parent_span_id) == ("back", client.span_id)
    assert (server.start_offset_ns, server.duration_ns) == (110 * MS, 10_319_000)
    assert [finding.rule for finding in timeline.findings] == []


def test_a_server_that_only_adds_to_what_its_client_began() -> None:
    """A shared half without a timestamp of its own stands where it was marked."""
    timeline = told(
        [
            report(at=0, took=20, kind="CLIENT", name="get", localEndpoint=_FRONT),
            report(kind="SERVER", shared=True, localEndpoint=_BACK, marks={"sr": 5, "ss": 15}),
        ]
    )
    client, server = timeline.spans
    assert (server.service, server.parent_span_id) == ("back", client.span_id)
    assert (server.start_offset_ns, server.duration_ns) == (5 * MS, 10 * MS)


def test_reports_that_name_different_endpoints_are_different_spans() -> None:
    """One id, two services without a shared flag: nothing of one is laid upon the other."""
    timeline = told(
        [
            report(at=0, took=20, kind="CLIENT", name="get", localEndpoint=_FRONT),
            report(kind="SERVER", name="serve", localEndpoint=_BACK, tags={"late": "1"}),
        ]
    )
    assert sorted(span.service for span in timeline.spans) == ["back", "front"]
    assert [span.attributes.get("late") for span in timeline.spans] == [None, "1"]


def test_a_report_whose_other_half_never_comes_is_shown_at_its_arrival() -> None:
    """What was answered 202 is there, and says that its place is not known."""
    [span] = (timeline := told([report(name="late", tags={"k": "v"})])).spans
    assert (span.name, span.attributes["k"], span.duration_ns) == ("late", "v", 0)
    assert span.raw_start_ns == START + 1000 * MS
    assert "NO_START" in {finding.rule for finding in timeline.findings}
    assert not span.is_orphan


def test_a_report_that_came_twice_is_one_span() -> None:
    """A resent piece adds nothing."""
    timeline = told([_LATE_TAGS[0], _LATE_TAGS[1], _LATE_TAGS[1]])
    assert len(timeline.spans) == 1


def test_later_tags_of_a_whole_report_are_kept() -> None:
    """Both reports have their times: the longer one stands, with what only the other knows."""
    timeline = told(
        [
            report(at=0, took=5, name="get", kind="SERVER", localEndpoint=_FRONT, tags={"a": "1"}),
            report(at=0, took=9, name="get", kind="SERVER", localEndpoint=_FRONT, tags={"b": "2"}),
        ]
    )
    [span] = timeline.spans
    assert (span.duration_ns, span.attributes["a"], span.attributes["b"]) == (9 * MS, "1", "2")


def test_children_find_a_span_in_pieces() -> None:
    """A child names the id that the pieces share, and hangs under the span they make."""
    child = report(
        id="1f2e3d4c5b6a7988", parentId=_CALL, at=2, took=3, name="query", localEndpoint=_FRONT
    )
    timeline = told([child, *_LATE_TAGS])
    root, below = timeline.spans
    assert (root.name, below.parent_span_id) == ("post /cart/{id}", root.span_id)
