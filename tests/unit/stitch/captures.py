"""What real proxies and SDKs sent, as stored spans and logs: `tests/fixtures/envoy`."""

import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.decode import zipkin
from collector.decode.otlp import json as otlp_json
from collector.model import LogRecord, Span
from collector.stitch.timeline import Hop, Timeline
from tests.flat_spans import flat_logs, flat_spans

FOLDER = Path(__file__).parents[2] / "fixtures" / "envoy"
_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_STATUSES = ("Unset", "Ok", "Error")
_FAR_FUTURE_NS = 4_000_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class Capture:
    """One request through one topology."""

    name: str
    trace_id: str
    spans: list[Span]
    logs: list[LogRecord]


def load_capture(name: str) -> Capture:
    """Read one capture through the decoders that the doors use."""
    content = json.loads((FOLDER / f"{name}.json").read_text())
    traces = otlp_json.decode_traces(json.dumps(content["traces"]).encode(), _FAR_FUTURE_NS)
    logs = otlp_json.decode_logs(json.dumps(content["logs"]).encode(), _FAR_FUTURE_NS)
    flat = flat_spans(*traces.messages)
    if content["zipkin"]:
        sent = zipkin.decode_json(json.dumps(content["zipkin"]).encode(), _FAR_FUTURE_NS)
        flat += flat_spans(*sent.messages)
    for body in content.get("zipkin_protobuf", ()):
        flat += flat_spans(*zipkin.decode_protobuf(b64decode(body), _FAR_FUTURE_NS).messages)
    trace_id = content["request"]["headers"].get("traceparent", "--").split("-")[1]
    return Capture(
        name=name,
        trace_id=trace_id,
        spans=[_span(values) for values in flat],
        logs=[_log(values) for values in flat_logs(*logs.messages)],
    )


def draw(timeline: Timeline) -> str:
    """Draw the hops as an indented list, callees in the order of their names."""
    return "\n".join(_below(timeline, -1, 0))


def _below(timeline: Timeline, parent: int, depth: int) -> Iterator[str]:
    children = [hop for hop in timeline.hops if hop.parent == parent]
    for hop in sorted(children, key=lambda hop: (_title(hop), hop.start_offset_ns)):
        yield "  " * depth + _title(hop)
        yield from _below(timeline, hop.index, depth + 1)


def _title(hop: Hop) -> str:
    words = [hop.role, hop.service.split(".")[0]]
    if hop.attempts > 1:
        words.append(f"try {hop.attempt} of {hop.attempts}")
    words += ["mirrored"] * hop.is_mirrored + ["inferred"] * hop.is_inferred
    return " ".join(words)


def _span(values: dict[str, Any]) -> Span:
    resource = _texts(values.get("resource", {}))
    return Span(
        trace_id=values["trace_id"],
        span_id=values["span_id"],
        parent_span_id=values.get("parent_span_id", ""),
        name=values.get("name", ""),
        service=resource.get("service.name", ""),
        start_ns=values["start_ns"],
        end_ns=values["end_ns"],
        kind=_KINDS[values.get("kind", 0)],
        status=_STATUSES[values.get("status", 0)],
        attributes=_texts(values.get("attributes", {})),
        resource=resource,
        scope=values.get("scope", ""),
    )


def _log(values: dict[str, Any]) -> LogRecord:
    return LogRecord(
        time_ns=values["time_ns"],
        trace_id=values.get("trace_id", ""),
        span_id=values.get("span_id", ""),
        body=values.get("body", ""),
        attributes=_texts(values.get("attributes", {})),
        resource=_texts(values.get("resource", {})),
    )


def _texts(values: dict[str, Any]) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
    }
