"""TraceQL metrics of spans whose numbers are known."""

from typing import Any

import pytest

from collector.api.tempo.metrics import (
    Drawn,
    answer_instant,
    answer_range,
    read_exemplars,
    read_metric,
)
from collector.api.traces.shown import ShownTrace
from collector.errors import BadQuestion
from tests.stories import MS, SECOND
from tests.unit.api.tempo.test_traceql import span

START = 1_000
# one request a second for a minute: two spans each, of which every third fails
TRACES = [
    ShownTrace(
        f"{number:032x}",
        (
            span("01", start_ns=(START + number) * SECOND, duration_ns=(number + 1) * 10 * MS),
            span(
                "02",
                "01",
                start_ns=(START + number) * SECOND + MS,
                duration_ns=MS,
                service="payments",
                status="" if number % 3 else "error",
                attributes={"size": number, "kind.of": "a" if number % 2 else "b"},
            ),
        ),
    )
    for number in range(60)
]


def ask(query: str, step: str = "30s", weight: float = 1.0) -> dict[tuple[Any, ...], list[float]]:
    """Return the values of each series by its labels' values."""
    given = {"q": query, "start": str(START), "end": str(START + 60), "step": step}
    told = answer_range(read_metric(given, 0, is_range=True), Drawn(TRACES, weight), 0)
    return {
        tuple(next(iter(label["value"].values())) for label in one["labels"]): [
            sample["value"] for sample in one["samples"]
        ]
        for one in told["series"]
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        # steps begin at whole multiples: 990, 1020 and 1050
        ("{} | rate()", {("rate",): [40 / 30, 2.0, 20 / 30]}),
        ("{ status = error } | count_over_time()", {("count_over_time",): [7, 10, 3]}),
        (
            "{} | count_over_time() by(resource.service.name)",
            {("orders",): [20, 30, 10], ("payments",): [20, 30, 10]},
        ),
        ("{} | rate() by(.kind.of) | topk(1)", {("nil",): [20 / 30, 1.0, 10 / 30]}),
        ("{} | count_over_time() by(status) | bottomk(1)", {("error",): [7, 10, 3]}),
        ("{} | max_over_time(span.size)", {("max_over_time",): [19, 49, 59]}),
        ("{} | min_over_time(span.size)", {("min_over_time",): [0, 20, 50]}),
        ("{} | avg_over_time(span.size)", {("avg_over_time",): [9.5, 34.5, 54.5]}),
        ("{} | sum_over_time(span.size)", {("sum_over_time",): [190, 1035, 545]}),
        (
            "{ nestedSetParent < 0 } | quantile_over_time(duration, 0, 0.5, 1)",
            {
                (0.0,): pytest.approx([0.01, 0.21, 0.51]),
                (0.5,): pytest.approx([0.105, 0.355, 0.555]),
                (1.0,): pytest.approx([0.2, 0.5, 0.6]),
            },
        ),
        (
            "{ span.size = nil && duration >= 500ms } | histogram_over_time(duration)",
            {(0.536870912,): [0, 1, 3], (1.073741824,): [0, 0, 7]},
        ),
        ("{ false } | rate()", {}),
        ("{} | max_over_time(name)", {}),
    ],
)
def test_a_metric_is_what_the_spans_say(query: str, found: dict[Any, Any]) -> None:
    """Counts and rates by group, measures by attribute, durations in seconds."""
    assert ask(query) == found


def test_a_sample_stands_for_more() -> None:
    """Counts and sums are scaled, what is measured is not."""
    assert ask("{} | count_over_time()", "60s", 5.0) == {("count_over_time",): [100 + 100, 400.0]}
    assert ask("{} | sum_over_time(.size)", "60s", 2.0) == {("sum_over_time",): [380, 3160]}
    assert ask("{} | max_over_time(.size)", "60s", 2.0) == {("max_over_time",): [19, 59]}


def test_exemplars_lead_to_traces() -> None:
    """Some spans of each series are told with their trace, as many as are wanted in all."""
    given = {"q": "{} | quantile_over_time(duration, 0.9) by(name)", "start": "1000", "end": "1060"}
    asked = read_metric(given, 0, is_range=True)
    (series,) = answer_range(asked, Drawn(TRACES, 1.0), 3)["series"]
    assert [label["key"] for label in series["labels"]] == ["name", "p"]
    assert len(series["exemplars"]) == 3
    first = series["exemplars"][0]
    assert first["labels"] == [{"key": "trace:id", "value": {"stringValue": f"{0:032x}"}}]
    assert (first["value"], first["timestampMs"]) == (0.01, str(START * 1000))
    assert (read_exemplars({}), read_exemplars({"exemplars": "0"})) == (100, 0)


def test_an_instant_query_has_one_value() -> None:
    """The whole range is one step, in the seconds or nanoseconds that it was asked in."""
    for scale in (1, SECOND):
        given = {
            "q": "{} | rate()",
            "start": str(START * scale),
            "end": str((START + 60) * scale),
        }
        (series,) = answer_instant(read_metric(given, 0, is_range=False), Drawn(TRACES, 1.0))[
            "series"
        ]
        assert series == {
            "labels": [{"key": "__name__", "value": {"stringValue": "rate"}}],
            "value": 2.0,
        }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"q": "{}"}, "it ends in no metric"),
        ({"q": "{} | rate()", "step": "0s"}, "step: "),
        ({"q": "{} | rate()", "step": "soon"}, "step: "),
        ({"q": "{} | rate()", "step": "1ms", "since": "1h"}, "2000001 steps are too many"),
        ({"q": "{} | rate()", "start": "x"}, "invalid start: "),
        ({"q": "{} | rate()", "start": "30", "end": "20"}, "start: is not before end"),
        ({"q": "{} | rate()", "since": "-1h"}, "since: "),
    ],
)
def test_what_cannot_be_counted_is_refused(given: dict[str, str], message: str) -> None:
    """The parameter, or what the query lacks, is named."""
    with pytest.raises(BadQuestion) as caught:
        read_metric(given, 2_000 * SECOND + 1, is_range=True)
    assert message in caught.value.message
