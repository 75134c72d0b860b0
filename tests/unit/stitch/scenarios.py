"""
Stories: requests told in `tests/fixtures/scenarios/*.json`, records in, timeline out.

A story is one JSON object: `story` (prose), `source` (where the case comes from), `records`,
`spans`, optionally `logs`, `lags`, `offsets`, `subject`, `now_ms`, and `expect`. Times are
milliseconds from the request's start. Span ids are short hex and are padded; `trace` names one of
`traces`. `proxy` writes a span in Istio's spelling: `edge`, `out` (to `to`), `in`, `waypoint`,
`envoy` (a plain one).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from collector.model import GatewayRecord, Id, LogRecord, Span
from collector.stitch.completeness import SourceLag, SourceLags
from collector.stitch.time.placement import ClockOffsets, Offset
from collector.stitch.timeline import Timeline
from tests.unit.stitch.building import MS, START, stitch

FOLDER = Path(__file__).parents[2] / "fixtures" / "scenarios"
DAY_MS = 86_400_000
_TIMES = ("duration", "client", "gateway", "cache", "backend", "error_elapsed", "resolution")
_PREFIXES = {"edge": "router", "out": "sidecar", "in": "sidecar", "waypoint": "waypoint"}


@dataclass(frozen=True, slots=True)
class Story:
    """One story, ready to be stitched."""

    name: str
    told: dict[str, Any]

    @property
    def expect(self) -> dict[str, Any]:
        expected: dict[str, Any] = self.told["expect"]
        return expected

    def records(self) -> list[GatewayRecord]:
        return [_record(values, self._traces()) for values in self.told.get("records", ())]

    def spans(self) -> list[Span]:
        return [_span(values, self._traces()) for values in self.told.get("spans", ())]

    def stitch(self, **more: Any) -> Timeline:
        told = self.told
        given: dict[str, Any] = {
            "now_ns": START + int(told.get("now_ms", DAY_MS) * MS),
            "lags": _lags(told["lags"]) if "lags" in told else None,
            "subject": self._traces().get(told.get("subject", ""), told.get("subject", "")),
            "offsets": _offsets(told.get("offsets", [])),
        }
        logs = [_log(values, self._traces()) for values in told.get("logs", ())]
        return stitch(self.records(), self.spans(), logs, **{**given, **more})

    def _traces(self) -> dict[str, str]:
        traces: dict[str, str] = self.told.get("traces", {})
        return traces


def load_stories() -> list[Story]:
    """Return every story, by name."""
    paths = sorted(FOLDER.glob("*.json"))
    return [Story(path.stem, json.loads(path.read_text())) for path in paths]


def picture(timeline: Timeline) -> list[str]:
    """Draw the hops as indented lines, callees in order of start."""
    return list(_below(timeline, -1, 0))


def _below(timeline: Timeline, parent: int, depth: int) -> Iterator[str]:
    children = [hop for hop in timeline.hops if hop.parent == parent]
    for hop in sorted(children, key=lambda hop: (hop.start_offset_ns, hop.index)):
        words = [hop.role, hop.service]
        if hop.attempts > 1:
            words.append(f"try {hop.attempt} of {hop.attempts}")
        for word in ("inferred", "mirrored", "async"):
            words += [word] * getattr(hop, f"is_{word}")
        yield "  " * depth + " ".join(words)
        yield from _below(timeline, hop.index, depth + 1)


def _record(values: dict[str, Any], traces: dict[str, str]) -> GatewayRecord:
    given = dict(values)
    kind = {field.name for field in fields(GatewayRecord)}
    times = {
        f"{name}_ns": round(given.pop(f"{name}_ms") * MS)
        for name in _TIMES
        if f"{name}_ms" in given
    }
    start_ns = START + round(given.pop("at", 0) * MS)
    ids = tuple(Id(kind, value) for kind, value in given.pop("ids", {}).items())
    for name in ("parent_span_id", "outgoing_span_id"):
        if name in given:
            given[name] = given[name].rjust(16, "0")
    given["trace_id"] = traces.get(given.get("trace_id", ""), "")
    given["quality"] = tuple(given.get("quality", ()))
    assert set(given) <= kind, set(given) - kind
    defaults = {"gateway": "azure-apim", "instance": "shop-apim", "method": "GET", "source": "logs"}
    return GatewayRecord(**{**defaults, **given, **times, "start_ns": start_ns, "ids": ids})


def _span(values: dict[str, Any], traces: dict[str, str]) -> Span:
    given = dict(values)
    start_ns = START + round(given.pop("at") * MS)
    service, proxy = given.pop("service"), given.pop("proxy", "")
    attributes = _proxy_attributes(service, proxy, given) if proxy else {}
    if "code" in given:
        attributes["http.status_code"] = str(given.pop("code"))
    attributes.update(given.pop("attributes", {}))
    kind = "Client" if proxy == "out" else "Server" if proxy else "Internal"
    span = Span(
        trace_id=traces[given.pop("trace", "main")],
        span_id=given.pop("id").rjust(16, "0"),
        parent_span_id=parent.rjust(16, "0") if (parent := given.pop("parent", "")) else "",
        service=service,
        start_ns=start_ns,
        end_ns=start_ns + round(given.pop("ms") * MS),
        kind=given.pop("kind", kind),
        name=given.pop("name", service),
        attributes=attributes,
        resource={"service.name": service, **given.pop("resource", {})},
        status=given.pop("status", "Unset"),
        status_message=given.pop("status_message", ""),
    )
    assert not given, given
    return span


def _proxy_attributes(service: str, proxy: str, given: dict[str, Any]) -> dict[str, str]:
    app = service.partition(".")[0]
    host = f"{given.pop('to', '')}.shop.svc.cluster.local"
    attributes = {
        "component": "proxy",
        "http.method": given.pop("method", "GET"),
        "http.status_code": "200",
        "response_flags": given.pop("flags", "-"),
        "upstream_cluster": "inbound|8080||" if proxy == "in" else f"outbound|8080||{host}",
    }
    if proxy == "envoy":
        attributes["node_id"] = given.pop("node", f"{app}-envoy")
    else:
        pod = given.pop("pod", f"{app}-5f7d8c9b64-k2x9p")
        attributes["node_id"] = f"{_PREFIXES[proxy]}~10.4.0.9~{pod}.shop~shop.svc.cluster.local"
    if "request_id" in given:
        attributes["guid:x-request-id"] = given.pop("request_id")
    if "cluster" in given:
        attributes["upstream_cluster"] = given.pop("cluster")
    return attributes


def _log(values: dict[str, Any], traces: dict[str, str]) -> LogRecord:
    return LogRecord(
        time_ns=START + round(values["at"] * MS),
        trace_id=traces.get(values.get("trace", ""), ""),
        span_id=values.get("span", "").rjust(16, "0") if values.get("span") else "",
        attributes={name: str(value) for name, value in values["attributes"].items()},
    )


def _lags(told: dict[str, Any]) -> SourceLags:
    by_source = {
        name: SourceLag(
            watermark_ns=START + round(lag["watermark"] * MS),
            p99_lag_ns=round(lag.get("p99", 0) * MS),
            longest_lag_ns=round(lag.get("longest", 0) * MS),
        )
        for name, lag in told.get("sources", {}).items()
    }
    return SourceLags(by_source=by_source, expected=tuple(told.get("expected", ())))


def _offsets(told: list[dict[str, Any]]) -> ClockOffsets:
    return ClockOffsets(
        {
            (one["from"], one["to"]): Offset(round(one["ms"] * MS), round(one["bound_ms"] * MS))
            for one in told
        }
    )
