"""
B3 propagation for the demo's services: the single `b3` header, or the `x-b3-*` headers.

Source: openzipkin/b3-propagation; OpenTelemetry specification, api-propagators, "B3 Requirements".
"""

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

_SINGLE = "b3"
_TRACE_ID = "x-b3-traceid"
_SPAN_ID = "x-b3-spanid"
_SAMPLED = "x-b3-sampled"


class B3Propagator(TextMapPropagator):
    """Reads both forms of B3 (the single header wins), writes the one it is made for."""

    def __init__(self, *, is_single: bool) -> None:
        self._is_single = is_single

    @property
    def fields(self) -> set[str]:
        """The headers that `inject` sets."""
        return {_SINGLE} if self._is_single else {_TRACE_ID, _SPAN_ID, _SAMPLED}

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """Read the caller's span; without valid ids the context stays as it is."""
        context = context if context is not None else Context()
        single = _first(getter, carrier, _SINGLE).split("-")
        trace_id, span_id, sampled = [*single, "", "", ""][:3]
        if len(single) < 2:
            trace_id = _first(getter, carrier, _TRACE_ID)
            span_id = _first(getter, carrier, _SPAN_ID)
            sampled = _first(getter, carrier, _SAMPLED)
        try:
            parent = SpanContext(
                trace_id=int(trace_id, 16),
                span_id=int(span_id, 16),
                is_remote=True,
                trace_flags=TraceFlags(0 if sampled == "0" else TraceFlags.SAMPLED),
            )
        except ValueError:
            return context
        if not parent.is_valid:
            return context
        return trace.set_span_in_context(NonRecordingSpan(parent), context)

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Write the current span; nothing when there is none."""
        span = trace.get_current_span(context).get_span_context()
        if not span.is_valid:
            return
        trace_id, span_id = f"{span.trace_id:032x}", f"{span.span_id:016x}"
        sampled = "1" if span.trace_flags.sampled else "0"
        if self._is_single:
            setter.set(carrier, _SINGLE, f"{trace_id}-{span_id}-{sampled}")
            return
        for name, value in ((_TRACE_ID, trace_id), (_SPAN_ID, span_id), (_SAMPLED, sampled)):
            setter.set(carrier, name, value)


def _first(getter: Getter[CarrierT], carrier: CarrierT, name: str) -> str:
    values = getter.get(carrier, name)
    return values[0] if values else ""
