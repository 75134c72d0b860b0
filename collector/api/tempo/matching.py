"""
Which spans of a trace fit a query.

Source: grafana/tempo pkg/traceql/ast_execute.go. A value that a span does not have fits nothing but
`= nil`; a regular expression has to fit the whole text.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence

from collector.api.tempo.query import (
    Attribute,
    Both,
    Comparison,
    Condition,
    Constant,
    Not,
    Spansets,
    Structure,
    Wanted,
    compile_pattern,
)
from collector.api.tempo.tree import Tree
from collector.api.traces.shown import ShownSpan, ShownTrace
from collector.api.traces.values import Value, type_value

ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}


class Matcher:
    """Compares the spans of one trace."""

    def __init__(self, trace: ShownTrace) -> None:
        self._trace = trace
        root = trace.find_root()
        first_ns = min(span.start_ns for span in trace.spans)
        self.start_ns = first_ns
        self.duration_ns = max(span.end_ns for span in trace.spans) - first_ns
        self.root = root
        self._tree = Tree(trace)

    @property
    def trace_id(self) -> str:
        """The id of the trace whose spans these are."""
        return self._trace.trace_id

    def find(self, wanted: Wanted) -> list[ShownSpan]:
        """Return the spans that make the trace fit, in their order; none if it does not."""
        if isinstance(wanted, Structure):
            left, right = ({s.span_id for s in self.find(w)} for w in (wanted.left, wanted.right))
            related = self._tree.relate(wanted.operator, left, right)
            return [span for span in self._trace.spans if span.span_id in related]
        if not isinstance(wanted, Spansets):
            return [span for span in self._trace.spans if self.fits(span, wanted)]
        found = [self.find(part) for part in wanted.parts]
        if not (any(found) if wanted.is_any else all(found)):
            return []
        ids = {span.span_id for spans in found for span in spans}
        return [span for span in self._trace.spans if span.span_id in ids]

    def fits(self, span: ShownSpan, condition: Condition) -> bool:
        """Tell whether a condition holds for a span."""
        match condition:
            case Constant(value):
                return value
            case Not(part):
                return not self.fits(span, part)
            case Both(parts, is_any):
                fits = (self.fits(span, part) for part in parts)
                return any(fits) if is_any else all(fits)
            case Comparison(attribute, symbol, wanted):
                if attribute.scope == "event" or attribute.name == "event:name":
                    values: Sequence[Value | None] = [*_of_events(span, attribute)] or [None]
                    return any(_compare(value, symbol, wanted) for value in values)
                return _compare(self.value_of(span, attribute), symbol, wanted)

    def value_of(self, span: ShownSpan, attribute: Attribute) -> Value | None:
        """Return what a span has under a name, None when it has nothing."""
        if attribute.scope == "event" or attribute.name == "event:name":
            return next(_of_events(span, attribute), None)
        if attribute.scope == "intrinsic":
            return self._intrinsic(span, attribute.name)
        if attribute.scope in ("", "span"):
            found = span.attributes.get(attribute.name)
            if found is not None or attribute.scope == "span":
                return found
        if attribute.name == "service.name":
            return span.service or None
        return span.resource.get(attribute.name)

    def _intrinsic(self, span: ShownSpan, name: str) -> Value:
        match name:
            case "duration":
                return span.duration_ns
            case "kind":
                return span.kind or "unspecified"
            case "name":
                return span.name
            case "status":
                return span.status or "unset"
            case "statusMessage":
                return span.status_message
            case "rootName":
                return self.root.name
            case "rootServiceName":
                return self.root.service
            case "traceDuration":
                return self.duration_ns
            case "nestedSetParent" | "nestedSetLeft" | "nestedSetRight":
                parent, left, right = self._tree.nested_set(span.span_id)
                return {"Parent": parent, "Left": left}.get(name.removeprefix("nestedSet"), right)
            case "trace:id":
                return self._trace.trace_id
            case "span:id":
                return span.span_id
            case _:
                return span.parent_id


def _of_events(span: ShownSpan, attribute: Attribute) -> Iterator[Value]:
    """Yield what a span's events have under a name."""
    for event in span.events:
        if attribute.scope == "intrinsic":
            yield event.name
        elif attribute.name in event.attributes:
            yield type_value(attribute.name, event.attributes[attribute.name])


def _compare(found: Value | None, symbol: str, wanted: Value | None) -> bool:
    if wanted is None or found is None:
        return (found is None) == (symbol == "=") if wanted is None else False
    if isinstance(wanted, bool) or isinstance(found, bool) and not isinstance(wanted, str):
        return isinstance(found, bool) and ORDERS[symbol](found, wanted)
    if isinstance(wanted, str):
        return _compare_texts(_text(found), symbol, wanted)
    number = as_number(found)
    return number is not None and ORDERS[symbol](number, wanted)


def _compare_texts(found: str, symbol: str, wanted: str) -> bool:
    if symbol in ("=~", "!~"):
        return (compile_pattern(wanted).fullmatch(found) is not None) == (symbol == "=~")
    order: Callable[[str, str], bool] = ORDERS[symbol]  # type: ignore[assignment]  # texts have an order too
    return order(found, wanted)


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_number(value: Value) -> float | None:
    """Return the number that a value is or is written as, None for any other."""
    if isinstance(value, bool):
        return None
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return None
