"""
TraceQL metrics: how many spans fit and what they measure, over time and by group.

Everything is counted in a sample of the range's requests, drawn by hash, and each of them stands
for as many as the sample is smaller: a sum is an estimate, a quantile one of what was drawn.

Source: Tempo documentation, "TraceQL metrics functions" and "Tempo API" (query_range, query);
grafana/tempo pkg/tempopb for the answers; grafana/grafana-tempo-datasource for what is asked.
"""

import heapq
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log2
from typing import Any

from cachetools import TTLCache

from collector.api.tempo.matching import Matcher, as_number
from collector.api.tempo.pipeline import find_spansets
from collector.api.tempo.query import Metric, TraceQuery, is_duration
from collector.api.tempo.traceql import parse_traceql
from collector.api.traces.otlp import render_value
from collector.api.traces.shown import ShownSpan, ShownTrace, show_trace
from collector.api.traces.values import Value
from collector.errors import BadQuestion
from collector.query.reports.trace_search import read_duration
from collector.query.service import QueryService
from collector.timestamps import NS_PER_MS, NS_PER_S

Document = dict[str, Any]
Labels = tuple[tuple[str, Value], ...]

_REQUESTS, _SPANS, _SECONDS = 500, 30_000, 6.0
# panels of one page ask about one range at once
_KEPT, _KEPT_S = 2, 20.0
_DEFAULT_RANGE_NS = 3600 * NS_PER_S
_DEFAULT_STEPS = 60
_MOST_STEPS = 2_000
_MOST_SERIES = 1_000
_MOST_EXEMPLARS = 100
_EXEMPLARS_EACH = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """A metric of the spans of [start_ns, end_ns), for each of *steps* times step_ns."""

    query: TraceQuery
    metric: Metric
    start_ns: int
    end_ns: int
    first_ns: int
    step_ns: int
    steps: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """The traces of a sample; each stands for `weight` ones."""

    traces: Sequence[ShownTrace]
    weight: float


@dataclass(slots=True)
class Group:
    """The values that the spans of one group have, by step, and some of those spans."""

    values: list[list[float]]
    exemplars: list[Document] = field(default_factory=list)


@dataclass(slots=True)
class Series:
    """One line: its labels, and a value for each step, None where there is none."""

    labels: Labels
    values: list[float | None]
    exemplars: Sequence[Document] = ()


class Samples:
    """Draws samples, and remembers the last ones for some seconds. Thread-safe."""

    def __init__(self, questions: QueryService) -> None:
        self._questions = questions
        self._lock = threading.Lock()
        self._kept: TTLCache[tuple[int, int], Drawn] = TTLCache(_KEPT, _KEPT_S)

    def draw(self, start_ns: int, end_ns: int) -> Drawn:
        """Return a sample of the requests that began in a range."""
        with self._lock:
            known = self._kept.get((start_ns, end_ns))
            if known is None:
                sample = self._questions.traces.sample(
                    start_ns, end_ns, limit=_REQUESTS, max_spans=_SPANS, max_seconds=_SECONDS
                )
                shown = [trace for each in sample.traces if (trace := show_trace(each)).spans]
                known = self._kept[start_ns, end_ns] = Drawn(shown, sample.weight)
            return known


def read_metric(given: Mapping[str, str], now_ns: int, *, is_range: bool) -> Asked:
    """
    Read the parameters of a metrics query.

    Raises:
        BadQuestion: one cannot be read, or a part of the query is not understood or no metric.
    """
    query = parse_traceql(given.get("q") or given.get("query", ""))
    if query.metric is None:
        msg = "invalid TraceQL query: it ends in no metric, such as | rate()"
        raise BadQuestion(msg)
    end_ns = _read_moment(given, "end", now_ns)
    since_ns = read_duration("since", given.get("since", "")) or _DEFAULT_RANGE_NS
    start_ns = _read_moment(given, "start", end_ns - since_ns)
    if start_ns >= end_ns:
        msg = "start: is not before end"
        raise BadQuestion(msg)
    if not is_range:
        return Asked(query, query.metric, start_ns, end_ns, start_ns, end_ns - start_ns, 1)
    step_ns = _read_step(given.get("step", ""), end_ns - start_ns)
    first_ns = start_ns // step_ns * step_ns
    steps = -(-(end_ns - first_ns) // step_ns)
    if steps > _MOST_STEPS:
        msg = f"step: {steps} steps are too many: {_MOST_STEPS} is the most"
        raise BadQuestion(msg)
    return Asked(query, query.metric, start_ns, end_ns, first_ns, step_ns, steps)


def answer_range(asked: Asked, drawn: Drawn, exemplars: int) -> Document:
    """Return each group's values over time, each at the end of its step."""
    told: list[Document] = []
    left = exemplars
    for series in _compute(asked, drawn):
        ends = ((i + 1, value) for i, value in enumerate(series.values) if value is not None)
        shown = series.exemplars[:left]
        left -= len(shown)
        samples = [
            {
                "timestampMs": str((asked.first_ns + number * asked.step_ns) // NS_PER_MS),
                "value": value,
            }
            for number, value in ends
        ]
        # older data sources read the labels as one text
        text = ", ".join(f'{name}="{value}"' for name, value in series.labels)
        told.append(
            {
                "labels": _render_labels(series.labels),
                "promLabels": f"{{{text}}}",
                "samples": samples,
                "exemplars": shown,
            }
        )
    return {"series": told, "metrics": {"inspectedTraces": len(drawn.traces)}}


def answer_instant(asked: Asked, drawn: Drawn) -> Document:
    """Return one value for each group, of the whole range."""
    told = [
        {"labels": _render_labels(each.labels), "value": each.values[0]}
        for each in _compute(asked, drawn)
    ]
    return {"series": told, "metrics": {"inspectedTraces": len(drawn.traces)}}


def read_exemplars(given: Mapping[str, str]) -> int:
    """Return how many exemplars are wanted. Raises `BadQuestion`."""
    text = given.get("exemplars", "")
    if not text:
        return _MOST_EXEMPLARS
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        msg = f"invalid exemplars: {text[:80]!r} is not a number"
        raise BadQuestion(msg)
    return min(int(text), _MOST_EXEMPLARS)


def _compute(asked: Asked, drawn: Drawn) -> list[Series]:
    groups: dict[Labels, Group] = {}
    for trace in drawn.traces:
        matcher = Matcher(trace)
        for spanset in find_spansets(matcher, asked.query):
            for span in spanset.spans:
                if asked.start_ns <= span.start_ns < asked.end_ns:
                    _add(groups, asked, matcher, span)
    lines = [
        line
        for labels, group in groups.items()
        for line in _lines_of(asked, labels, group, drawn.weight)
    ]
    _rank(lines, asked.metric.most)
    left = [each for each in lines if any(value is not None for value in each.values)]
    left.sort(key=lambda each: [(name, str(value)) for name, value in each.labels])
    return left[:_MOST_SERIES]


def _add(groups: dict[Labels, Group], asked: Asked, matcher: Matcher, span: ShownSpan) -> None:
    metric = asked.metric
    measured: float | None = 1.0
    unit = 1
    if metric.attribute is not None:
        given = matcher.value_of(span, metric.attribute)
        measured = as_number(given) if given is not None else None
        unit = NS_PER_S if is_duration(metric.attribute) else 1
    if measured is None:
        return
    by = ((str(each), matcher.value_of(span, each)) for each in metric.by)
    labels: Labels = tuple((name, "nil" if value is None else value) for name, value in by)
    if metric.function == "histogram_over_time":
        if measured <= 0:
            return
        # the power of two that it does not exceed
        labels = (*labels, ("__bucket", 2.0 ** ceil(log2(measured)) / unit))
    group = groups.setdefault(labels, Group([[] for _ in range(asked.steps)]))
    group.values[(span.start_ns - asked.first_ns) // asked.step_ns].append(measured / unit)
    if len(group.exemplars) < _EXEMPLARS_EACH:
        shown = measured / unit if metric.attribute is not None else span.duration_ns / NS_PER_S
        group.exemplars.append(
            {
                "labels": [{"key": "trace:id", "value": render_value(matcher.trace_id)}],
                "value": shown,
                "timestampMs": str(span.start_ns // NS_PER_MS),
            }
        )


def _lines_of(asked: Asked, labels: Labels, group: Group, weight: float) -> Iterator[Series]:
    metric = asked.metric
    name = metric.function
    for share in metric.quantiles:
        values = [_quantile(sorted(each), share) if each else None for each in group.values]
        yield Series((*labels, ("p", share)), values, group.exemplars)
    if metric.quantiles:
        return
    named = labels or (("__name__", name),)
    if metric.attribute is None or name == "histogram_over_time":
        scale = weight / (asked.step_ns / NS_PER_S) if name == "rate" else weight
        yield Series(named, [len(each) * scale for each in group.values], group.exemplars)
        return
    values = [_sum_up(name, each, weight) if each else None for each in group.values]
    yield Series(named, values, group.exemplars)


def _sum_up(name: str, values: Sequence[float], weight: float) -> float:
    match name:
        case "avg_over_time":
            return sum(values) / len(values)
        case "max_over_time":
            return max(values)
        case "min_over_time":
            return min(values)
    return sum(values) * weight


def _quantile(values: Sequence[float], share: float) -> float:
    place = share * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (place - below)


def _rank(lines: Sequence[Series], most: int) -> None:
    """Leave in each step only the greatest values, or, for a number below 0, the smallest."""
    if not most:
        return
    best = heapq.nlargest if most > 0 else heapq.nsmallest
    for step in range(max((len(each.values) for each in lines), default=0)):
        values = {n: v for n, each in enumerate(lines) if (v := each.values[step]) is not None}
        kept = best(abs(most), values, key=values.__getitem__)
        for number in values.keys() - set(kept):
            lines[number].values[step] = None


def _render_labels(labels: Labels) -> list[Document]:
    return [{"key": name, "value": render_value(value)} for name, value in labels]


def _read_moment(given: Mapping[str, str], name: str, default_ns: int) -> int:
    """Read seconds, or nanoseconds where there are more digits than seconds have."""
    text = given.get(name, "")
    if not text or text == "0":
        return max(default_ns, 0)
    if not (text.isascii() and text.isdecimal() and len(text) <= 19):
        msg = f"invalid {name}: {text[:80]!r} is not a number of seconds"
        raise BadQuestion(msg)
    return int(text) * (NS_PER_S if len(text) <= 10 else 1)


def _read_step(text: str, range_ns: int) -> int:
    if not text:
        return max(range_ns // _DEFAULT_STEPS // NS_PER_S, 1) * NS_PER_S
    is_number = text.isascii() and text.isdecimal() and len(text) <= 9
    step_ns = read_duration("step", f"{text}s" if is_number else text)
    if not step_ns:
        msg = f"step: {text[:80]!r} is not a duration above 0"
        raise BadQuestion(msg)
    return step_ns
