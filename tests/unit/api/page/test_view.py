"""How a timeline becomes rows in drawing order, column by column."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from collector.api.page import view
from collector.model import SpanEvent
from collector.stitch.timeline import Timeline, TimelineSpan
from tests.unit.stitch.building import LONG_AFTER, MS, TraceBuilder, stitch


def make_timeline() -> Timeline:
    """Return a request of four spans, of which one fails with an exception."""
    trace = TraceBuilder()
    root = trace.span("front", 0, 100, kind="Server")
    late = trace.span("front", 50, 30, root, name="late")
    early = trace.span("front", 10, 30, root, name="early")
    trace.span("front", 12, 5, early, name="inside")
    late.status = "Error"
    late.events = [SpanEvent(late.start_ns + 5 * MS, "exception", {})]
    return stitch([], trace.spans, now_ns=LONG_AFTER)


def test_rows_are_in_drawing_order() -> None:
    """A parent stands before its calls, calls by their start."""
    drawn = view.order_rows(make_timeline().spans)
    assert [span.name for span, _, _ in drawn] == ["front server", "early", "inside", "late"]
    assert [parent for _, parent, _ in drawn] == [-1, 0, 1, 0]
    assert [depth for _, _, depth in drawn] == [0, 1, 2, 1]


def test_columns_say_what_a_bar_shows() -> None:
    """Times in microseconds, texts by number, flags for what went wrong."""
    timeline = make_timeline()
    rows = view.build_rows(timeline, (), 0, 100)
    spans, texts = rows["spans"], rows["texts"]
    assert spans["total"] == 4
    assert spans["start_us"] == [0, 10_000, 12_000, 50_000]
    assert spans["duration_us"] == [100_000, 30_000, 5_000, 30_000]
    assert [texts[each] for each in spans["name"]][1:3] == ["early", "inside"]
    assert spans["flags"][3] & view.FAILED
    assert spans["flags"][3] & view.HAS_EXCEPTION
    assert rows["marks"] == [[3, 55_000, 1]]
    assert sum(to - start for _, start, to in rows["sections"]) == 100_000


def test_unknown_duration_stays_unknown() -> None:
    """What nobody measured is null and not 0."""
    timeline = make_timeline()
    spans = (replace(timeline.spans[0], duration_ns=None, self_ns=None), *timeline.spans[1:])
    rows = view.build_rows(replace(timeline, spans=spans), (), 0, 1)
    assert rows["spans"]["duration_us"] == [None]


def test_pages_of_rows_are_the_rows() -> None:
    """Read page by page it is the same as at once; what spans all rows comes with the first."""
    timeline = make_timeline()
    whole = view.build_rows(timeline, (), 0, 100)
    pages = [view.build_rows(timeline, (), first, 3) for first in (0, 3)]
    assert whole["spans"]["span_id"] == [id_ for page in pages for id_ in page["spans"]["span_id"]]
    assert pages[1]["spans"]["parent"] == [0]
    assert "hops" not in pages[1]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), min_size=1, max_size=30))
def test_every_span_is_drawn_once_whatever_the_parents(links: list[tuple[int, int]]) -> None:
    """Circles and missing parents cost no row, and a drawn parent stands above."""
    given_spans = [_span(number, parent, start) for number, (parent, start) in enumerate(links)]
    drawn = view.order_rows(given_spans)
    assert sorted(span.span_id for span, _, _ in drawn) == sorted(s.span_id for s in given_spans)
    for row, (span, parent, depth) in enumerate(drawn):
        if parent < 0:
            assert depth == 0
        else:
            assert parent < row
            assert drawn[parent][0].span_id == span.parent_span_id
            assert depth == drawn[parent][2] + 1


def _span(number: int, parent: int, start_ms: int) -> TimelineSpan:
    model = make_timeline().spans[0]
    return replace(
        model,
        span_id=f"{number:016x}",
        parent_span_id=f"{parent:016x}",
        start_offset_ns=start_ms * MS,
    )
