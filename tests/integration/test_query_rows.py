"""Rows of lists are what the timeline says, also of requests that several stored things tell of."""

from collections.abc import Iterator
from typing import Any

import pytest

from collector.model import Span
from tests.api_client import Asker, serving
from tests.stories import MINUTE, MS, NOW, Story, asking, chained_story, joined_story, number_id

CHAINED = chained_story(1, NOW - 10 * MINUTE)
CUT = joined_story(2, NOW - 20 * MINUTE)


def _cut_below(story: Story, place: int) -> None:
    """Let the spans from *place* on arrive under the last 64 bits of the trace id."""
    for span in story.spans[place:]:
        span.trace_id = "0" * 16 + span.trace_id[16:]


_cut_below(CUT, 3)
LOST_AT = NOW - 15 * MINUTE
# Both its calls arrived, and what made them did not.
LOST = Story(
    [],
    [
        Span(
            trace_id=number_id(3),
            span_id=number_id(at + 77, 16),
            parent_span_id=number_id(78, 16),
            name="GET",
            service="orders",
            kind="Client",
            start_ns=LOST_AT + at * MS,
            end_ns=LOST_AT + (at + ms) * MS,
            attributes={"server.address": "stock"},
            resource={"service.name": "orders"},
        )
        for at, ms in ((0, 40), (50, 70))
    ],
)


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    folder = tmp_path_factory.mktemp("rows")
    with asking([CHAINED, CUT, LOST], folder) as (questions, _), serving(questions) as found:
        yield found


def rows(asker: Asker, query: str) -> dict[str, Any]:
    """Return the rows of a search by the id of their request."""
    found = asker.get(f"/api/v1/requests?start=-1h&{query}")["requests"]
    assert len({row["id"] for row in found}) == len(found)
    return {row["id"]: row for row in found}


@pytest.mark.parametrize("query", ["order=-start", "order=-duration", "order=-start&method=GET"])
def test_gateways_in_a_row_are_one_row_of_the_outermost(asker: Asker, query: str) -> None:
    """The inner gateway's record began later and is shorter: it is not what the client saw."""
    outer = CHAINED.records[0]
    row = rows(asker, query)[outer.record_id]
    assert (row["gateway"], row["duration_ms"]) == ("azure-apim", (outer.duration_ns or 0) / MS)


def test_a_gateway_behind_another_is_found_by_its_own_values(asker: Asker) -> None:
    """Who asks for the inner gateway's requests gets them as that gateway wrote them down."""
    outer, inner = CHAINED.records
    [row] = rows(asker, "gateway=kong").values()
    assert (row["id"], row["gateway"]) == (outer.record_id, "kong")
    assert row["duration_ms"] == (inner.duration_ns or 0) / MS


def test_what_went_on_under_half_an_id_is_in_the_row(asker: Asker) -> None:
    """The record is joined by the whole id; the services behind the cut took part as well."""
    record = CUT.records[0]
    row, timeline = rows(asker, "")[record.record_id], asker.timeline(record.record_id)
    assert set(row["services"]) == {"istio-ingressgateway", "orders", "payments"}
    assert row["hops"] == len(timeline["hops"])


def test_a_row_without_a_record_has_the_whole_request_s_time(asker: Asker) -> None:
    """Two calls are known of it, 120 ms from the first to the last moment, and no status."""
    trace_id = LOST.spans[0].trace_id
    row, timeline = rows(asker, "")[trace_id], asker.timeline(trace_id)
    assert row["duration_ms"] == timeline["duration_ms"] == 120.0
    assert (row["status"], timeline["status"]) == (None, None)


def test_calls_behind_gateways_in_a_row_count_once(asker: Asker) -> None:
    """Two records tell of one request: each of its calls was made once."""
    found = asker.get(f"/api/dependencies?endTs={NOW // MS}&lookback=3600000")["data"]
    calls = {(edge["parent"], edge["child"]): edge["callCount"] for edge in found}
    assert calls["azure-apim", "kong"] == 1
    assert calls["kong", "istio-ingressgateway"] == 1
