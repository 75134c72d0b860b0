"""Zipkin reports in a few words, decoded as they are posted and read as they are stored."""

import json
from collections.abc import Sequence
from typing import Any

from collector.decode.zipkin import decode_json
from collector.model import Span, SpanEvent
from collector.stitch.timeline import Timeline
from tests.flat_spans import flat_spans
from tests.unit.stitch.building import LONG_AFTER, MS, START, stitch

TRACE = "6a2c9d1e4b7f8035"
CALL = "8d3b5a1f2c4e6079"
FRONT = {"serviceName": "front", "ipv4": "10.3.0.13"}
BACK = {"serviceName": "back", "ipv4": "10.3.0.9"}
_START_US = START // 1000


def report(**more: Any) -> dict[str, Any]:
    """Return one report of the call's span; times are milliseconds from the start."""
    at, took = more.pop("at", None), more.pop("took", None)
    marks = more.pop("marks", {})
    found = {"traceId": TRACE, "id": more.pop("id", CALL), **more}
    if at is not None:
        found["timestamp"] = _START_US + round(at * 1000)
    if took is not None:
        found["duration"] = round(took * 1000)
    if marks:
        found["annotations"] = [
            {"timestamp": _START_US + round(ms * 1000), "value": name} for name, ms in marks.items()
        ]
    return found


def stored(reports: Sequence[dict[str, Any]]) -> list[Span]:
    """Return the reports as stored, each posted by itself, a second after the one before."""
    spans = []
    for number, one in enumerate(reports):
        received_ns = START + (number + 1) * 1000 * MS
        [flat] = flat_spans(*decode_json(json.dumps([one]).encode(), received_ns).messages)
        spans.append(_span(flat, received_ns))
    return spans


def _span(flat: dict[str, Any], received_ns: int) -> Span:
    kinds = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
    resource = {key: str(value) for key, value in flat.get("resource", {}).items()}
    return Span(
        trace_id=flat["trace_id"],
        span_id=flat["span_id"],
        parent_span_id=flat.get("parent_span_id", ""),
        name=flat.get("name", ""),
        service=resource.get("service.name", ""),
        start_ns=flat["start_ns"],
        end_ns=flat["end_ns"],
        kind=kinds[flat.get("kind", 0)],
        status="Error" if flat.get("status") == 2 else "Unset",
        status_message=flat.get("status_message", ""),
        attributes={key: str(value) for key, value in flat.get("attributes", {}).items()},
        resource=resource,
        events=tuple(
            SpanEvent(each["time_ns"], each["name"], {}) for each in flat.get("events", ())
        ),
        received_ns=received_ns,
    )


def told(reports: Sequence[dict[str, Any]]) -> Timeline:
    """Return the timeline of reports that came in this order."""
    return stitch([], stored(reports), now_ns=LONG_AFTER)
