"""Zipkin's partial reports, decoded as they are posted and put together as one span."""

from itertools import permutations

import pytest

from tests.unit.stitch.building import MS, START
from tests.unit.stitch.zipkin_reports import BACK, CALL, FRONT, report, told

_LATE_TAGS = [
    report(at=0, took=9, name="post", kind="SERVER", localEndpoint=FRONT),
    report(
        name="post /cart/{id}",
        localEndpoint=FRONT,
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
        localEndpoint=BACK,
        remoteEndpoint=FRONT,
    ),
    report(name="", took=207, remoteEndpoint=BACK, marks={"wr": 204}),
    report(
        at=0,
        name="get",
        kind="CLIENT",
        localEndpoint=FRONT,
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
            report(at=0, took=20, kind="CLIENT", name="get", localEndpoint=FRONT),
            report(kind="SERVER", shared=True, localEndpoint=BACK, marks={"sr": 5, "ss": 15}),
        ]
    )
    client, server = timeline.spans
    assert (server.service, server.parent_span_id) == ("back", client.span_id)
    assert (server.start_offset_ns, server.duration_ns) == (5 * MS, 10 * MS)


def test_reports_that_name_different_endpoints_are_different_spans() -> None:
    """One id, two services without a shared flag: nothing of one is laid upon the other."""
    timeline = told(
        [
            report(at=0, took=20, kind="CLIENT", name="get", localEndpoint=FRONT),
            report(kind="SERVER", name="serve", localEndpoint=BACK, tags={"late": "1"}),
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
            report(at=0, took=5, name="get", kind="SERVER", localEndpoint=FRONT, tags={"a": "1"}),
            report(at=0, took=9, name="get", kind="SERVER", localEndpoint=FRONT, tags={"b": "2"}),
        ]
    )
    [span] = timeline.spans
    assert (span.duration_ns, span.attributes["a"], span.attributes["b"]) == (9 * MS, "1", "2")


def test_children_find_a_span_in_pieces() -> None:
    """A child names the id that the pieces share, and hangs under the span they make."""
    child = report(
        id="1f2e3d4c5b6a7988", parentId=CALL, at=2, took=3, name="query", localEndpoint=FRONT
    )
    timeline = told([child, *_LATE_TAGS])
    root, below = timeline.spans
    assert (root.name, below.parent_span_id) == ("post /cart/{id}", root.span_id)
