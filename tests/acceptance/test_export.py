"""Gateway records in another tracing tool: a second Hopline shows them as the first span."""

import json
import secrets
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.otlp_receiver import Answer, receiving
from tests.service import Service, start_service

RECORDS = 700


@dataclass
class Call:
    """A request of 60 ms through API Management, of which the mesh has two spans."""

    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))
    sent_id: str = field(default_factory=lambda: secrets.token_hex(8))
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    start_ns: int = field(default_factory=lambda: time.time_ns() - 5_000_000_000)

    def row(self) -> dict[str, Any]:
        """Return what Log Analytics has of it."""
        moment = datetime.fromtimestamp(self.start_ns / 1e9, UTC)
        sent = {"traceparent": f"00-{self.trace_id}-{self.sent_id}-01"}
        return {
            "TimeGenerated": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "CorrelationId": self.id,
            "IsRequestSuccess": True,
            "Method": "GET",
            "Url": "https://shop.test/lamps/7",
            "ApiId": "lamps",
            "TotalTime": 60,
            "BackendTime": 56,
            "ClientTime": 0,
            "ResponseCode": 200,
            "BackendResponseCode": 200,
            "BackendRequestHeaders": sent,
        }

    def spans(self) -> bytes:
        """Return the mesh's spans as OTLP/JSON."""
        first = secrets.token_hex(8)
        made = [
            self._span(first, self.sent_id, 3, "edge"),
            self._span(secrets.token_hex(8), first, 6, "lamps"),
        ]
        return json.dumps({"resourceSpans": made}).encode()

    def _span(self, span_id: str, parent: str, after_ms: int, service: str) -> dict[str, Any]:
        start_ns = self.start_ns + after_ms * 1_000_000
        span = {
            "traceId": self.trace_id,
            "spanId": span_id,
            "parentSpanId": parent,
            "name": "GET /lamps",
            "kind": 2,
            "startTimeUnixNano": str(start_ns),
            "endTimeUnixNano": str(start_ns + (56 - after_ms) * 1_000_000),
        }
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
        return {"resource": resource, "scopeSpans": [{"spans": [span]}]}


@dataclass
class Pair:
    """Two services: the first sends its gateway records to the second."""

    first: Service
    second: Service


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Start both."""
    folder = tmp_path_factory.mktemp("export")
    with (
        start_service(folder / "second") as second,
        start_service(
            folder / "first", export_otlp_endpoint=second.ingest_url, export_otlp_wait_s="2"
        ) as first,
    ):
        yield Pair(first, second)


def test_a_second_hopline_shows_the_gateway_and_one_request(pair: Pair) -> None:
    """It is sent the mesh's spans alone, and has the gateway's record from the first's export."""
    call = Call()
    for service in (pair.first, pair.second):
        assert service.post("/v1/traces", call.spans())[0] == 200
    assert pair.first.post("/v1/gateway/azure-apim", json.dumps([call.row()]).encode())[0] == 200
    timeline = pair.second.wait_for(
        f"/api/v1/requests/{call.trace_id}",
        lambda status, body: status == 200 and bool(body["gateway_records"]),
        60,
    )
    [record] = timeline["gateway_records"]
    assert (record["gateway"], record["record_id"]) == ("azure-apim", call.id)
    assert (record["api"], record["status"], record["duration_ms"]) == ("lamps", 200, 60.0)
    assert record["backend_ms"] == 56.0
    assert [hop["service"] for hop in timeline["hops"]] == ["azure-apim", "edge", "lamps"]
    [sent] = [span for span in timeline["spans"] if span["raw_span_id"] == call.sent_id]
    assert not any(span["orphan"] for span in timeline["spans"])
    assert sent["attributes"]["hopline.record_id"] == call.id
    requests = pair.second.wait_for(
        "/api/v1/requests?api=lamps", lambda status, body: status == 200 and body["requests"]
    )["requests"]
    assert [each["id"] for each in requests] == [call.id]


def test_a_second_hopline_that_has_the_record_itself_shows_it_once(pair: Pair) -> None:
    """The exported span and the record of one request are one record, and are not sent back."""
    call = Call()
    row = json.dumps([call.row()]).encode()
    for service in (pair.first, pair.second):
        assert service.post("/v1/traces", call.spans())[0] == 200
        assert service.post("/v1/gateway/azure-apim", row)[0] == 200
    timeline = pair.second.wait_for(
        f"/api/v1/requests/{call.id}",
        lambda status, body: (
            status == 200 and any(span["raw_span_id"] == call.sent_id for span in body["spans"])
        ),
        60,
    )
    [record] = timeline["gateway_records"]
    assert record["record_id"] == call.id
    assert timeline["duration_ms"] == 60.0
    assert [hop["service"] for hop in timeline["hops"]][1:] == ["edge", "lamps"]


def test_kill_9_in_the_middle_leaves_nothing_out(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each record arrives under one id, however often the process that sends them is killed."""
    calls = [Call() for _ in range(RECORDS)]
    with receiving() as receiver:

        def answer_slowly(_: object) -> Answer:
            time.sleep(0.2)
            return 200, b""

        receiver.answer = answer_slowly
        with start_service(
            tmp_path_factory.mktemp("killed"),
            export_otlp_endpoint=receiver.url,
            export_otlp_wait_s="1",
        ) as service:
            rows = json.dumps([call.row() for call in calls]).encode()
            assert service.post("/v1/gateway/azure-apim", rows)[0] == 200
            for _ in range(2):
                assert receiver.arrived.wait(60)
                service.kill("store")
                receiver.arrived.clear()
            expected = {(call.trace_id, call.sent_id) for call in calls}
            deadline = time.monotonic() + 90
            while len(found := {_key(span) for span in list(receiver.spans)}) < RECORDS:
                assert time.monotonic() < deadline, f"{len(found)} of {RECORDS}"
                time.sleep(0.2)
    assert found == expected


def _key(span: Any) -> tuple[str, str]:
    return span.trace_id.hex(), span.span_id.hex()
