"""How much of a request has arrived, at each moment."""

import random
from dataclasses import replace

import orjson

from collector.answers import encode
from collector.model import GatewayRecord, Span
from collector.stitch.completeness import (
    LONGEST_LATENESS_NS,
    SPAN_SOURCE,
    SourceLag,
    SourceLags,
    judge_completeness,
)
from tests.unit.stitch.building import MS, START, TRACE, TraceBuilder, record, shop_request, stitch

SECOND = 1000 * MS
END = START + 120 * MS


def lags(spans_until: int, logs_until: int, *, longest_ns: int = 0) -> SourceLags:
    """Return two sources with watermarks in seconds from the request's end."""
    return SourceLags(
        by_source={
            SPAN_SOURCE: SourceLag(
                watermark_ns=END + spans_until * SECOND,
                p99_lag_ns=5 * SECOND,
                longest_lag_ns=longest_ns,
            ),
            "logs": SourceLag(
                watermark_ns=END + logs_until * SECOND,
                p99_lag_ns=300 * SECOND,
                longest_lag_ns=longest_ns,
            ),
        },
        expected=(SPAN_SOURCE, "logs"),
    )


def judge(arrived: set[str], known: SourceLags | None, now_ns: int) -> tuple[str, dict[str, str]]:
    """Return the state and the status of each source."""
    state, expected = judge_completeness(
        arrived, known or SourceLags(), end_ns=END, now_ns=now_ns, is_unsampled=False
    )
    return state, {entry.source: entry.status for entry in expected}


def test_a_source_behind_the_request_keeps_it_provisional() -> None:
    """Until every watermark has passed the request's end, more may come."""
    state, statuses = judge({SPAN_SOURCE}, lags(3, -60), END + 4 * SECOND)
    assert state == "provisional"
    assert statuses == {SPAN_SOURCE: "arrived", "logs": "late"}


def test_watermarks_past_the_end_make_it_complete() -> None:
    """All that usually comes has come, whether or not each source knew the request."""
    state, statuses = judge({SPAN_SOURCE}, lags(300, 10), END + 400 * SECOND)
    assert state == "complete"
    assert statuses["logs"] == "late"
    assert judge({SPAN_SOURCE, "logs"}, lags(300, 10), END + 400 * SECOND)[0] == "complete"


def test_an_arrived_source_may_still_have_more() -> None:
    """One span is not all spans: a source that arrived counts by its watermark like any other."""
    assert judge({SPAN_SOURCE, "logs"}, lags(-1, 10), END + 2 * SECOND)[0] == "provisional"


def test_after_the_longest_lateness_it_is_final() -> None:
    """What has not come by then never will."""
    known = lags(600, 600, longest_ns=900 * SECOND)
    state, statuses = judge({SPAN_SOURCE}, known, END + 900 * SECOND)
    assert state == "final"
    assert statuses["logs"] == "never"


def test_nothing_known_of_the_sources_means_six_hours() -> None:
    """Without any measurement a timeline is provisional until the documented lateness is over."""
    assert judge({SPAN_SOURCE}, None, END + SECOND)[0] == "provisional"
    assert judge({SPAN_SOURCE}, None, END + LONGEST_LATENESS_NS)[0] == "final"


def test_deadlines_tell_until_when_to_hope() -> None:
    """A late source carries the moment at which it becomes a missing one."""
    _, expected = judge_completeness(
        {SPAN_SOURCE}, lags(3, -60), end_ns=END, now_ns=END + SECOND, is_unsampled=False
    )
    deadlines = {entry.source: entry.deadline_ns for entry in expected}
    assert deadlines == {SPAN_SOURCE: None, "logs": END + LONGEST_LATENESS_NS}


def test_the_final_revision_does_not_depend_on_the_order_of_arrival() -> None:
    """A hundred orders of arrival end in the same bytes, but for the moment of the last arrival."""
    known, trace = shop_request()
    # Records and spans that contradict each other are those that an order could tip.
    other = record(source="AppRequests", total=120.4, trace_id=TRACE, status=500, is_error=True)
    again = record(total=121, backend=95, client=9, trace_id=TRACE)
    longer = replace(trace.spans[3], end_ns=trace.spans[3].end_ns + 5 * MS, status="Error")
    rows: list[GatewayRecord | Span] = [known, other, again, *trace.spans, longer]
    chance = random.Random(9)
    written = set()
    for _ in range(100):
        chance.shuffle(rows)
        arrived = [replace(row, received_ns=START + n * SECOND) for n, row in enumerate(rows)]
        timeline = stitch(
            [row for row in arrived if isinstance(row, GatewayRecord)],
            [row for row in arrived if isinstance(row, Span)],
            now_ns=END + 24 * 3600 * SECOND,
        )
        assert timeline.state == "final"
        document = orjson.loads(encode(timeline))
        for merged in document["gateway_records"]:
            del merged["received"]
        written.add(orjson.dumps(document))
    assert len(written) == 1


def test_each_arrival_is_a_revision() -> None:
    """The revision counts the moments at which something of the request became known."""
    known, trace = shop_request()
    assert stitch([], trace.spans, now_ns=END).revision == 1
    assert stitch([known], trace.spans, now_ns=END).revision == 2


def test_a_clock_that_is_ahead_does_not_keep_a_request_open() -> None:
    """A request cannot end after all that is known of it has arrived: its clock is ahead."""
    trace = TraceBuilder()
    trace.span("shop", 0, 100, received_ns=START - 7_000 * SECOND)
    known = lags(30, 30)
    timeline = stitch([], trace.spans, now_ns=START + SECOND, lags=known)
    assert timeline.state == "complete"
