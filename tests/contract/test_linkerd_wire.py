"""What Linkerd's proxies put on the wire comes out as the hops that were there."""

import json
from pathlib import Path
from typing import Any

import pytest

from collector.decode.envoy.access_log import entry_from_log
from collector.decode.otlp import json as otlp_json
from collector.model import LogRecord, Span
from tests.flat_spans import flat_logs, flat_spans
from tests.unit.stitch.building import stitch

FOLDER = Path(__file__).parents[1] / "fixtures/formats/linkerd"
STORIES = sorted(FOLDER.glob("*.json"))
NOW_NS = 1_767_348_060_000_000_000
_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")


def _load(path: Path) -> tuple[dict[str, Any], list[Span], list[LogRecord]]:
    """Decode a story's two OTLP/JSON bodies to what a store would give back."""
    story = json.loads(path.read_text())
    traces = otlp_json.decode_traces(json.dumps(story["traces"]).encode(), NOW_NS)
    logs = otlp_json.decode_logs(json.dumps(story["logs"]).encode(), NOW_NS)
    assert (traces.rejected, logs.rejected) == (0, 0)
    return (
        story,
        [_span(flat) for flat in flat_spans(*traces.messages)],
        [_log(flat) for flat in flat_logs(*logs.messages)],
    )


def _span(flat: dict[str, Any]) -> Span:
    resource = _texts(flat["resource"])
    return Span(
        trace_id=flat["trace_id"],
        span_id=flat["span_id"],
        parent_span_id=flat.get("parent_span_id", ""),
        name=flat["name"],
        service=resource.get("service.name", ""),
        start_ns=flat["start_ns"],
        end_ns=flat["end_ns"],
        kind=_KINDS[flat.get("kind", 0)],
        status=("Unset", "Ok", "Error")[flat.get("status", 0)],
        attributes=_texts(flat["attributes"]),
        resource=resource,
        scope=flat.get("scope", ""),
    )


def _log(flat: dict[str, Any]) -> LogRecord:
    resource = _texts(flat["resource"])
    return LogRecord(
        time_ns=flat["time_ns"],
        trace_id=flat.get("trace_id", ""),
        span_id=flat.get("span_id", ""),
        service=resource.get("service.name", ""),
        body=flat["body"],
        resource=resource,
    )


def _texts(values: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items()}


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story_comes_out_as_its_hops(path: Path) -> None:
    """The services of a Linkerd story are its hops, in order, whatever was recorded of them."""
    story, spans, logs = _load(path)
    timeline = stitch([], spans, logs, now_ns=NOW_NS)
    services = [hop.service for hop in timeline.hops if hop.role != "gateway"]
    assert [service.partition(".")[0] for service in services] == story["services"]


def test_access_log_lines_tell_what_the_spans_can_not() -> None:
    """A call that failed in the proxy has no span, but a line with its status and time."""
    _, spans, logs = _load(FOLDER / "failed-call.json")
    assert not [span for span in spans if span.attributes.get("direction") == "outbound"]
    (entry,) = filter(None, map(entry_from_log, logs))
    assert (entry.proxy, entry.service, entry.status) == ("linkerd", "orders", 503)
    assert (entry.path, entry.duration_ns) == ("/orders", 27_100_000)
    assert entry.request_id and entry.trace_id == spans[0].trace_id
