"""
Which spans of a trace fit a query.

Source: grafana/tempo pkg/traceql/ast_execute.go. A value that a span does not have fits nothing but
`= nil`; a regular expression has to fit the whole text.
"""

import operator
from collections.abc import Callable, Mapping

from collector.api.tempo.traceql import (
    Attribute,
    Both,
    Comparison,
    Condition,
    Constant,
    Not,
    Spansets,
    compile_pattern,
)
from collector.api.traces.shown import ShownSpan, ShownTrace
from collector.api.traces.values import Value

_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
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

    def find(self, wanted: Spansets | Condition) -> list[ShownSpan]:
        """Return the spans that make the trace fit, in their order; none if it does not."""
        if not isinstance(wanted, Spansets):
            return [span for span in self._trace.spans if self._fits(span, wanted)]
        found = [self.find(part) for part in wanted.parts]
        if not (any(found) if wanted.is_any else all(found)):
            return []
        ids = {span.span_id for spans in found for span in spans}
        return [span for span in self._trace.spans if span.span_id in ids]

    def _fits(self, span: ShownSpan, condition: Condition) -> bool:
        match condition:
            case Constant(value):
                return value
            case Not(part):
                return not self._fits(span, part)
            case Both(parts, is_any):
                fits = (self._fits(span, part) for part in parts)
                return any(fits) if is_any else all(fits)
            case Comparison(attribute, symbol, wanted):
                return _compare(self.value_of(span, attribute), symbol, wanted)

    def value_of(self, span: ShownSpan, attribute: Attribute) -> Value | None:
        """Return what a span has under a name, None when it has nothing."""
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
            case "trace:id":
                return self._trace.trace_id
            case "span:id":
                return span.span_id
            case _:
                return span.parent_id


def _compare(found: Value | None, symbol: str, wanted: Value | None) -> bool:
    if wanted is None or found is None:
        return (found is None) == (symbol == "=") if wanted is None else False
    if isinstance(wanted, bool) or isinstance(found, bool) and not isinstance(wanted, str):
        return isinstance(found, bool) and _ORDERS[symbol](found, wanted)
    if isinstance(wanted, str):
        return _compare_texts(_text(found), symbol, wanted)
    number = _number(found)
    return number is not None and _ORDERS[symbol](number, wanted)


def _compare_texts(found: str, symbol: str, wanted: str) -> bool:
    if symbol in ("=~", "!~"):
        return (compile_pattern(wanted).fullmatch(found) is not None) == (symbol == "=~")
    order: Callable[[str, str], bool] = _ORDERS[symbol]  # type: ignore[assignment]  # texts have an order too
    return order(found, wanted)


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Value) -> float | None:
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return None
