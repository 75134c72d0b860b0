"""Intake: the one path from an envelope to a receipt."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from collector.config import load_settings
from collector.errors import JournalError, Undecodable, UnknownDoor, UnsupportedFormat
from collector.intake import Intake, build_intake
from collector.model import Envelope, GatewayRecord, Stream
from collector.telemetry import Metrics
from collector.wire.gateway_record_pb2 import GatewayRecords
from tests.ingest import (
    NOW_NS,
    journaled_bytes,
    journaled_items,
    journaled_messages,
    journaled_records,
    make_log,
    make_request,
    make_span,
    text,
)
from tests.manual_clock import ManualClock


@contextlib.asynccontextmanager
async def open_intake(
    folder: Path, clock: ManualClock, metrics: Metrics, **settings: object
) -> AsyncIterator[Intake]:
    loaded = load_settings(**({"data_dir": folder, "flush_interval_ms": 60_000} | settings))
    async with build_intake(loaded, clock, metrics) as intake:
        yield intake


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_NS)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def intake(tmp_path: Path, clock: ManualClock, metrics: Metrics) -> AsyncIterator[Intake]:
    async with open_intake(tmp_path, clock, metrics) as opened:
        yield opened


def envelope(body: bytes, **fields: object) -> Envelope:
    plain = Envelope(Stream.TRACE, "otlp-protobuf", body, NOW_NS, "otlp-http")
    return replace(plain, **fields)  # type: ignore[arg-type]


def record(number: int = 1, **fields: object) -> GatewayRecord:
    plain = GatewayRecord(gateway="kong", record_id=f"{number}", start_ns=NOW_NS)
    return replace(plain, **fields)  # type: ignore[arg-type]


async def test_receipt_means_journaled(intake: Intake, tmp_path: Path) -> None:
    """What a receipt counts as accepted is in the journal when it is handed out."""
    receipt = await intake.accept(envelope(make_request(make_span(1), make_span(2))))
    assert (receipt.accepted, receipt.rejected, receipt.warning) == (2, 0, "")
    assert journaled_items(tmp_path / "journal", Stream.TRACE) == [make_span(1), make_span(2)]


KONG_ACCESS_LOG: dict[str, str | int | float | bool] = {
    "log.type": "access",
    "kong.request.id": "7be01c6a44f3d2c85a9017be3f4d6e21",
    "kong.request.started_at": float(NOW_NS // 10**6 - 250),
    "kong.latency.total": 187.0,
    "kong.latency.internal": 12.0,
    "kong.latency.upstream": 170.0,
    "kong.latency.receive": 3.0,
    "kong.latency.client": 2.25,
    "kong.response.source": "upstream",
    "kong.service.name": "fares",
    "kong.service.host": "fares.rail.svc",
    "kong.route.name": "fares-by-station",
    "kong.route.paths.1": "/fares",
    "kong.upstream.uri": "/v2/fares?from=BRN",
    "kong.upstream.status_code": 503,
    "kong.upstream.try.1.ip": "10.9.0.4",
    "kong.upstream.try.1.balancer_start": float(NOW_NS // 10**6 - 238),
    "kong.auth.consumer.name": "timetable",
    "kong.workspace.name": "default",
    "client.address": "192.0.2.17",
    "http.request.method": "GET",
    "http.request.size": 310,
    "http.request.header.host": "api.rail.example",
    "http.request.header.authorization": "Bearer c2VjcmV0LXRva2VuLTE3",
    "http.request.header.traceparent": f"00-{'5c' * 16}-{'7d' * 8}-01",
    "http.response.status_code": 503,
    "http.response.size": 94,
    "url.full": "https://api.rail.example/fares?from=BRN",
    "url.path": "/fares",
}


def attribute(key: str, value: str | int | float | bool) -> KeyValue:
    kind = {str: "string_value", int: "int_value", float: "double_value", bool: "bool_value"}
    return KeyValue(key=key, value=AnyValue(**{kind[type(value)]: value}))  # type: ignore[arg-type]


async def test_access_log_of_kong_in_otlp_is_a_gateway_record_too(
    intake: Intake, tmp_path: Path
) -> None:
    """The log is kept, and beside it a record with Kong's id, times and context, masked."""
    facts = [attribute(key, value) for key, value in KONG_ACCESS_LOG.items()]
    runtime = [attribute("request.id", KONG_ACCESS_LOG["kong.request.id"])]
    body = make_request(make_log(attributes=facts), make_log(attributes=runtime))
    receipt = await intake.accept(envelope(body, signal=Stream.LOG))
    assert (receipt.accepted, receipt.rejected) == (2, 0)
    assert len(journaled_items(tmp_path / "journal", Stream.LOG)) == 2
    (found,) = journaled_records(tmp_path / "journal")
    assert (found.gateway, found.record_id) == ("kong", KONG_ACCESS_LOG["kong.request.id"])
    assert [(each.kind, each.value) for each in found.ids] == [
        ("kong_request_id", KONG_ACCESS_LOG["kong.request.id"])
    ]
    assert (found.trace_id, found.outgoing_span_id) == ("5c" * 16, "7d" * 8)
    assert (found.duration_ns, found.gateway_ns, found.backend_ns) == (
        187 * 10**6,
        12 * 10**6,
        173 * 10**6,
    )
    assert (found.api, found.operation, found.route) == ("fares", "fares-by-station", "/fares")
    assert (found.status, found.backend_status, found.attempts) == (503, 503, 1)
    assert (found.consumer, found.host, found.path) == ("timetable", "api.rail.example", "/fares")
    assert (found.backend_host, found.backend_path) == ("fares.rail.svc", "/v2/fares")
    assert b"c2VjcmV0LXRva2VuLTE3" not in journaled_bytes(tmp_path / "journal")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300, "soon", True])
@pytest.mark.parametrize(
    "name", ["kong.latency.total", "kong.latency.internal", "http.request.size", "kong.request.id"]
)
async def test_access_log_of_kong_with_odd_values_is_kept_as_a_log(
    intake: Intake, tmp_path: Path, name: str, value: float | str
) -> None:
    """What OTLP can say and JSON cannot, or of another type, costs no log record."""
    facts = [attribute(key, fact) for key, fact in (KONG_ACCESS_LOG | {name: value}).items()]
    body = make_request(make_log(attributes=facts))
    receipt = await intake.accept(envelope(body, signal=Stream.LOG))
    assert (receipt.accepted, receipt.rejected) == (1, 0)
    assert len(journaled_items(tmp_path / "journal", Stream.LOG)) == 1


async def test_trailer_of_a_record_message(intake: Intake, tmp_path: Path) -> None:
    """Received time, door and checksum stand behind the records, readable by the shared schema."""
    await intake.accept_records([record()], door="pull", source="azure")
    (message,) = journaled_messages(tmp_path / "journal", Stream.RECORD)
    parsed = GatewayRecords.FromString(message)
    assert (parsed.received_ns, parsed.door, parsed.tenant) == (NOW_NS, "pull", "")
    assert parsed.checksum


async def test_tenant_is_in_the_trailer(
    tmp_path: Path, clock: ManualClock, metrics: Metrics
) -> None:
    """Whose intake it was is written; it is field 2003 in every stream."""
    settings = load_settings(data_dir=tmp_path, tenants="team-a")
    async with build_intake(settings, clock, metrics) as intake:
        await intake.of("team-a").accept(envelope(make_request(make_span(1))))
    (message,) = journaled_messages(tmp_path / "tenants" / "team-a" / "journal", Stream.TRACE)
    assert not journaled_messages(tmp_path / "journal", Stream.TRACE)
    trailer = UnknownFieldSet(ExportTraceServiceRequest.FromString(message))
    fields = [trailer[at] for at in range(len(trailer))]
    assert {field.field_number: field.data for field in fields}[2003] == b"team-a"


async def test_partly_usable_envelope(intake: Intake, metrics: Metrics, tmp_path: Path) -> None:
    """The usable part is stored, the rest is in the receipt and counted under its reason."""
    body = make_request(make_span(1), make_span(2, span_id=bytes(8)))
    receipt = await intake.accept(envelope(body))
    assert (receipt.accepted, receipt.rejected) == (1, 1)
    assert receipt.errors[0].field == "span_id"
    assert journaled_items(tmp_path / "journal", Stream.TRACE) == [make_span(1)]
    rejected = metrics.value(
        "hopline_intake_records_rejected_total", door="otlp-http", reason="span_id_zero"
    )
    assert rejected == 1


async def test_nothing_usable_is_nothing_stored(intake: Intake, tmp_path: Path) -> None:
    """An envelope of unusable items gets its receipt without a write."""
    receipt = await intake.accept(envelope(make_request(make_span(1, trace_id=b""))))
    assert (receipt.accepted, receipt.rejected) == (0, 1)
    assert not journaled_bytes(tmp_path / "journal")


async def test_undecodable_envelope_is_refused_and_counted(
    intake: Intake, metrics: Metrics
) -> None:
    """A refusal is raised to the door and counted under its reason, once."""
    with pytest.raises(Undecodable) as refused:
        await intake.accept(envelope(b"\xff\xff"))
    intake.refuse("otlp-http", "otlp", Stream.TRACE, refused.value)
    assert metrics.value("hopline_intake_envelopes_refused_total", reason="undecodable") == 1


async def test_unknown_format_and_adapter(intake: Intake) -> None:
    """A format without decoder and a gateway without adapter are refused by name."""
    with pytest.raises(UnsupportedFormat):
        await intake.accept(envelope(b"", format="carrier-pigeon"))
    with pytest.raises(UnknownDoor):
        await intake.accept(envelope(b"", format="gateway", adapter="nobody"))


async def test_identical_resend_is_acknowledged_once_stored(
    intake: Intake, metrics: Metrics, tmp_path: Path
) -> None:
    """Equal bytes sent again get the same receipt and are not stored again."""
    body = make_request(make_span(1), make_span(2, span_id=b""))
    first = await intake.accept(envelope(body))
    second = await intake.accept(envelope(body, received_ns=NOW_NS + 1))
    assert first == second
    assert len(journaled_messages(tmp_path / "journal", Stream.TRACE)) == 1
    assert metrics.value("hopline_intake_envelopes_resent_total") == 1


async def test_equal_bytes_of_another_kind_are_not_a_resend(intake: Intake, tmp_path: Path) -> None:
    """The same bytes as a delivery with an id are another request."""
    body = make_request(make_span(1))
    await intake.accept(envelope(body))
    await intake.accept(envelope(body, delivery_id="d-1"))
    assert len(journaled_messages(tmp_path / "journal", Stream.TRACE)) == 2


async def test_delivery_id_recognises_a_resend(intake: Intake, tmp_path: Path) -> None:
    """A sender with ids for its deliveries is recognised although the bytes differ."""
    first = envelope(make_request(make_span(1)), delivery_id="d-1")
    again = envelope(make_request(make_span(1, name="again")), delivery_id="d-1")
    await intake.accept(first)
    await intake.accept(again)
    assert journaled_items(tmp_path / "journal", Stream.TRACE) == [make_span(1)]


async def test_resend_after_the_window_is_stored(
    intake: Intake, clock: ManualClock, tmp_path: Path
) -> None:
    """Beyond the window nothing is remembered."""
    body = make_request(make_span(1))
    await intake.accept(envelope(body))
    clock.advance(s=3601)
    await intake.accept(envelope(body))
    assert len(journaled_messages(tmp_path / "journal", Stream.TRACE)) == 2


async def test_window_of_zero_remembers_nothing(
    tmp_path: Path, clock: ManualClock, metrics: Metrics
) -> None:
    """With the window off, every request is stored."""
    async with open_intake(tmp_path, clock, metrics, resend_window_s=0) as intake:
        for _ in "12":
            await intake.accept(envelope(make_request(make_span(1))))
    assert len(journaled_messages(tmp_path / "journal", Stream.TRACE)) == 2


async def test_logs_without_times_are_never_a_resend(intake: Intake, tmp_path: Path) -> None:
    """Two equal lines that carry no time are two events."""
    body = make_request(make_log(1, time_unix_nano=0))
    for _ in "12":
        await intake.accept(envelope(body, signal=Stream.LOG))
    assert len(journaled_messages(tmp_path / "journal", Stream.LOG)) == 2


async def test_refused_request_is_not_remembered(
    tmp_path: Path, clock: ManualClock, metrics: Metrics
) -> None:
    """A request that could not be made durable is stored when it is sent again."""
    async with open_intake(tmp_path, clock, metrics, journal_max_bytes=1024) as intake:
        pad = envelope(make_request(make_span(1, name="x" * 700)))
        small = envelope(make_request(make_span(2, name="y" * 300)))
        await intake.accept(pad)
        with pytest.raises(JournalError):
            await intake.accept(small)
        assert metrics.value("hopline_intake_envelopes_refused_total", reason="journal") == 1
        assert metrics.value("hopline_intake_envelopes_resent_total") == 0


async def test_secrets_never_reach_the_disk(
    intake: Intake, metrics: Metrics, tmp_path: Path
) -> None:
    """A planted secret is nowhere below the data folder, whatever path it came by."""
    canary = "c4n4ryV4lu3w1thEn0ughLength"
    span = make_span(1, attributes=[text("http.request.header.authorization", canary)])
    await intake.accept(envelope(make_request(span)))
    raw = record(1, raw=f'{{"Authorization": "{canary}"}}', path=f"/a?sig={canary}")
    await intake.accept_records([raw], door="pull", source="azure")
    large = [make_span(n, attributes=[text("x-api-key", canary)]) for n in range(9000)]
    await intake.accept(envelope(make_request(*large)))
    assert canary.encode() not in journaled_bytes(tmp_path)
    assert metrics.value("hopline_intake_values_redacted_total", what="key") == 9002


async def test_redaction_can_be_turned_off(
    tmp_path: Path, clock: ManualClock, metrics: Metrics
) -> None:
    """HOPLINE_REDACT=false stores values as they came."""
    span = make_span(1, attributes=[text("x-api-key", "plain")])
    async with open_intake(tmp_path, clock, metrics, redact=False) as intake:
        await intake.accept(envelope(make_request(span)))
    assert journaled_items(tmp_path / "journal", Stream.TRACE) == [span]


async def test_records_with_impossible_times(intake: Intake, tmp_path: Path) -> None:
    """A record before 2000 or over a day ahead is rejected with its index; the others stay."""
    day_ns = 86_400_000_000_000
    records = [
        record(1),
        record(2, start_ns=1),
        record(3, start_ns=NOW_NS + 2 * day_ns),
        record(4),
    ]
    receipt = await intake.accept_records(records, door="pull", source="azure")
    assert (receipt.accepted, receipt.rejected) == (2, 2)
    assert [error.index for error in receipt.errors] == [1, 2]
    stored = [each.record_id for each in journaled_records(tmp_path / "journal")]
    assert stored == ["1", "4"]


async def test_no_records(intake: Intake) -> None:
    """An empty poll is accepted and writes nothing."""
    receipt = await intake.accept_records([], door="pull", source="azure")
    assert receipt.accepted == 0


async def test_status_for_the_query_side(
    tmp_path: Path, clock: ManualClock, metrics: Metrics
) -> None:
    """The counters per door and source are in status/ingest.json when the process ends."""
    async with open_intake(tmp_path, clock, metrics) as intake:
        await intake.accept(envelope(make_request(make_span(1), make_span(2, span_id=b""))))
        with pytest.raises(Undecodable):
            await intake.accept(envelope(b"\xff"))
    status = json.loads((tmp_path / "status" / "ingest.json").read_text())
    (source,) = status["sources"]
    assert source == {
        "door": "otlp-http",
        "source": "otlp",
        "stream": "trace",
        "accepted": 1,
        "rejected": 1,
        "ignored": 0,
        "refused": 1,
        "resent": 0,
        "last_seen_ns": NOW_NS,
    }
    assert status["written_ns"] == NOW_NS


async def test_many_sources_do_not_grow_without_end(intake: Intake, tmp_path: Path) -> None:
    """Beyond 500 sources the rest is counted together."""
    error = Undecodable("x")
    for number in range(700):
        error.is_counted = False
        intake.refuse("otlp-http", f"source-{number}", Stream.TRACE, error)
    await intake.close()
    status = json.loads((tmp_path / "status" / "ingest.json").read_text())
    assert len(status["sources"]) <= 501
    assert sum(source["refused"] for source in status["sources"]) == 700


async def test_counters_are_whole_however_often_they_are_written(
    intake: Intake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Reports that overlap, as the last one at the end may, never take each other's file."""
    error = Undecodable("x")
    for number in range(400):
        error.is_counted = False
        intake.refuse("otlp-http", f"source-{number}", Stream.TRACE, error)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(200):
            tasks.create_task(asyncio.to_thread(intake._write_status))
    status = json.loads((tmp_path / "status" / "ingest.json").read_text())
    assert len(status["sources"]) == 400
    assert not caplog.records


async def test_large_request_does_not_hold_up_small_ones(intake: Intake) -> None:
    """While a large request is decoded, a small one is answered first."""
    order: list[str] = []

    async def send(name: str, body: bytes) -> None:
        await intake.accept(envelope(body))
        order.append(name)

    spans = [make_span(n, attributes=[text("pad", "x" * 800)]) for n in range(20_000)]
    body = make_request(*spans)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send("large", body))
        await asyncio.sleep(0)
        tasks.create_task(send("small", make_request(make_span(77))))
    assert order == ["small", "large"]
