"""
What becomes of a trace's spans behind a query's spansets: filtered, grouped, counted.

Source: grafana/tempo pkg/traceql/ast_execute.go; Tempo documentation, "Aggregators", "Grouping".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from collector.api.tempo.matching import ORDERS, Matcher, as_number
from collector.api.tempo.query import Aggregate, Attribute, Filter, Grouping, TraceQuery
from collector.api.traces.shown import ShownSpan
from collector.api.traces.values import Value


@dataclass(frozen=True, slots=True)
class Spanset:
    """Spans that fit, with what they were grouped by and what was counted of them, by name."""

    spans: Sequence[ShownSpan]
    values: tuple[tuple[str, Value], ...] = ()


def find_spansets(matcher: Matcher, query: TraceQuery) -> list[Spanset]:
    """Return the spansets that are left at the end of a query's pipeline; none is empty."""
    spansets = [Spanset(matcher.find(query.spansets))]
    for stage in query.stages:
        match stage:
            case Filter(condition):
                spansets = [
                    Spanset([s for s in each.spans if matcher.fits(s, condition)], each.values)
                    for each in spansets
                ]
            case Grouping(None):
                spansets = [_join(spansets)]
            case Grouping(Attribute() as attribute):
                spansets = [part for each in spansets for part in _group(matcher, each, attribute)]
            case Aggregate():
                spansets = [
                    held for each in spansets if (held := _hold(matcher, each, stage)) is not None
                ]
    return [each for each in spansets if each.spans]


def _join(spansets: Sequence[Spanset]) -> Spanset:
    spans = {span.span_id: span for each in spansets for span in each.spans}
    return Spanset(sorted(spans.values(), key=lambda span: (span.start_ns, span.span_id)))


def _group(matcher: Matcher, whole: Spanset, attribute: Attribute) -> list[Spanset]:
    groups: dict[tuple[type, Value | None], list[ShownSpan]] = {}
    for span in whole.spans:
        value = matcher.value_of(span, attribute)
        groups.setdefault((type(value), value), []).append(span)
    return [
        Spanset(spans, (*whole.values, (f"by({attribute})", "nil" if value is None else value)))
        for (_, value), spans in groups.items()
    ]


def _hold(matcher: Matcher, whole: Spanset, stage: Aggregate) -> Spanset | None:
    """Return the spanset with its aggregate beside it if that is as wanted."""
    if stage.attribute is None:
        found: float = len(whole.spans)
    else:
        values = measure(matcher, whole.spans, stage.attribute)
        if not values:
            return None
        total = sum(values)
        by_name = {"avg": total / len(values), "max": max(values), "min": min(values), "sum": total}
        found = by_name[stage.function]
    if not whole.spans or not ORDERS[stage.operator](found, stage.value):
        return None
    return Spanset(whole.spans, (*whole.values, (str(stage), found)))


def measure(matcher: Matcher, spans: Sequence[ShownSpan], attribute: Attribute) -> list[float]:
    """Return the numbers that spans have under a name; durations are nanoseconds."""
    values = (matcher.value_of(span, attribute) for span in spans)
    numbers = (as_number(value) for value in values if value is not None)
    return [number for number in numbers if number is not None]
