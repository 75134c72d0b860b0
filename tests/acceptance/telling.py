"""One trace with its records, told to a running service, and what became of it."""

import json
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.request import Request, urlopen

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.service import Service

MS = 10**6
KINDS = {
    "server": Span.SPAN_KIND_SERVER,
    "client": Span.SPAN_KIND_CLIENT,
    "internal": Span.SPAN_KIND_INTERNAL,
    "producer": Span.SPAN_KIND_PRODUCER,
    "consumer": Span.SPAN_KIND_CONSUMER,
}


class Sender:
    """Collects one trace, sends it with records, and reads what became of it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._request = ExportTraceServiceRequest()
        self.start_ms = int(time.time() * 1000) - 5_000
        self.trace_id = secrets.token_hex(16)

    def span(
        self,
        service: str,
        at: int,
        ms: int,
        parent: str = "",
        kind: str = "server",
        *,
        attributes: dict[str, Any] | None = None,
        error: str | None = None,
        host: str = "",
        trace_id: str = "",
    ) -> Span:
        """Add a span; *error* makes it one that failed, with that message."""
        resource = self._request.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = service
        if host:
            resource.resource.attributes.add(key="host.name").value.string_value = host
        added = resource.scope_spans.add().spans.add(
            trace_id=bytes.fromhex(trace_id or self.trace_id),
            span_id=secrets.token_bytes(8),
            parent_span_id=bytes.fromhex(parent),
            name=f"{service} {kind}",
            kind=KINDS[kind],
            start_time_unix_nano=(self.start_ms + at) * MS,
            end_time_unix_nano=(self.start_ms + at + ms) * MS,
        )
        for key, value in (attributes or {}).items():
            added.attributes.add(key=key).value.string_value = str(value)
        if error is not None:
            added.status.code = Status.STATUS_CODE_ERROR
            added.status.message = error
        return added

    def send(self) -> None:
        """Send the trace."""
        body = self._request.SerializeToString()
        assert self._service.post("/v1/traces", body, "application/x-protobuf")[0] == 200

    def report(self, *spans: dict[str, Any]) -> None:
        """Send each of these Zipkin spans in a body of its own."""
        url = f"http://127.0.0.1:{self._service.environment['HOPLINE_ZIPKIN_PORT']}/api/v2/spans"
        for span in spans:
            body = json.dumps([{"traceId": self.trace_id, **span}]).encode()
            headers = {"Content-Type": "application/json"}
            with urlopen(Request(url, body, headers), timeout=30) as answer:
                assert answer.status == 202

    def push(self, adapter: str, *rows: dict[str, Any]) -> None:
        """Send gateway records."""
        status, answer = self._service.post(
            f"/v1/gateway/{adapter}", "\n".join(map(json.dumps, rows)).encode()
        )
        assert (status, answer["accepted"]) == (200, len(rows)), answer

    def log(self, facts: dict[str, str | float]) -> None:
        """Send a log record with these attributes, in JSON."""
        attributes = [
            {"key": k, "value": {"stringValue" if isinstance(v, str) else "doubleValue": v}}
            for k, v in facts.items()
        ]
        record = {"timeUnixNano": str(self.start_ms * MS), "attributes": attributes}
        body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
        assert self._service.post("/v1/logs", json.dumps(body).encode())[0] == 200

    def moment(self, after_ms: int = 0) -> str:
        """Return RFC 3339."""
        return datetime.fromtimestamp((self.start_ms + after_ms) / 1000, UTC).isoformat()

    def timeline(self, id_: str = "", spans: int = 0) -> Any:
        """Return the timeline once *spans* of it have come."""
        return self._service.wait_for(
            f"/api/v1/requests/{id_ or self.trace_id}",
            lambda status, t: status == 200 and len(t["spans"]) >= spans,
        )

    def told(self, id_: str = "") -> list[str]:
        """Return the sentences of explain."""
        _, account = self._service.get(f"/api/v1/requests/{id_ or self.trace_id}/explain")
        return [sentence["text"] for sentence in account["sentences"]]

    def until(self, path: str, is_good: Callable[[Any], bool]) -> Any:
        """Return the answer to a question once it is good."""
        return self._service.wait_for(path, lambda status, a: status == 200 and is_good(a))

    def row(self, **query: str) -> Any:
        """Return the first row of a search."""
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        path = f"/api/v1/requests?start=-1h&{asked}"
        return self._service.wait_for(path, lambda _, found: bool(found["requests"]))["requests"][0]

    def api(self, name: str) -> Any:
        """Return the figures of one API."""

        def is_there(_: int, found: Any) -> bool:
            return any(api["api"] == name for api in found["apis"])

        found = self._service.wait_for("/api/v1/apis", is_there)
        return next(api for api in found["apis"] if api["api"] == name)


def bounds(timeline: Any, phase: str) -> tuple[float, float, float]:
    """Return value, lower and upper bound of a phase, zeros if it is not there."""
    for each in timeline["phases"]:
        if each["name"] == phase:
            return each["duration_ms"], each["lower_ms"], each["upper_ms"]
    return 0.0, 0.0, 0.0
