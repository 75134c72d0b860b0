"""Requests told as gateway records and spans, and a store that has been told some of them."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from collector.config import Settings, load_settings
from collector.decode.records.from_spans import ServiceRule
from collector.gateway_rows import GatewayRows
from collector.intake import build_intake
from collector.journal import JournalFolder
from collector.model import Envelope, GatewayRecord, Id, Span, Stream
from collector.query.learned.freshness import Freshness
from collector.query.service import QueryService
from collector.store import Store, open_store
from collector.telemetry import Metrics
from tests.manual_clock import ManualClock

MS = 1_000_000
SECOND = 1_000 * MS
MINUTE = 60 * SECOND
NOW = 1_772_359_200 * SECOND  # 2026-03-01T10:00:00Z
_KINDS = {"Internal": 1, "Server": 2, "Client": 3, "Producer": 4, "Consumer": 5}


@dataclass(slots=True)
class Story:
    """What arrives about one request, and how long after its start."""

    records: list[GatewayRecord] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    lag_ns: int = 2 * SECOND

    @property
    def start_ns(self) -> int:
        starts = [r.start_ns for r in self.records] + [s.start_ns for s in self.spans]
        return min(starts)


def number_id(number: int, digits: int = 32) -> str:
    """Return an id that looks like one and is the same in every run."""
    return f"{(number * 0x9E3779B97F4A7C15F39CC0605CEDC835 + 0x5A5A) % 16**digits:0{digits}x}"


def as_uuid(digits: str, nibble: str = "4") -> str:
    """Write 32 digits as a UUID whose version digit is *nibble*."""
    digits = f"{digits[:12]}{nibble}{digits[13:]}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def make_record(number: int, start_ns: int, **given: object) -> GatewayRecord:
    """Return an API Management record; what is not given is an ordinary 200."""
    correlation = as_uuid(number_id(number + 1_000))
    values: dict[str, object] = {
        "gateway": "azure-apim",
        "record_id": correlation,
        "start_ns": start_ns,
        "source": "log-analytics",
        "ids": (Id("apim_correlation_id", correlation),),
        "duration_ns": 120 * MS,
        "client_ns": 2 * MS,
        "cache_ns": 0,
        "backend_ns": 108 * MS,
        "method": "GET",
        "scheme": "https",
        "host": "api.shop.example",
        "path": f"/orders/{number}",
        "status": 200,
        "api": "orders-api",
        "api_revision": "3",
        "operation": "get-order",
        "consumer": "acme-mobile",
        "region": "West Europe",
        "backend_host": "mesh.shop.example",
        "backend_status": 200,
        "raw": f'{{"CorrelationId": "{correlation}"}}',
    }
    return GatewayRecord(**{**values, **given})  # type: ignore[arg-type]  # checked by the tests


def make_spans(
    number: int, start_ns: int, parent: str, inner_ns: int, *, failed: bool = False
) -> list[Span]:
    """Return edge, sidecars, two services and a database; *inner_ns* is the database's time."""
    trace = number_id(number)
    ids = [number_id(number * 10 + place + 7, 16) for place in range(6)]
    rows = [
        ("istio-ingressgateway", "orders.shop:8080/*", "Client", parent, 0, 6),
        ("orders", "orders.shop:8080/*", "Server", ids[0], 1, 5),
        ("orders", "GET /orders/{id}", "Server", ids[1], 2, 4),
        ("payments", "payments.shop:8080/*", "Server", ids[2], 3, 3),
        ("payments", "POST /charge", "Server", ids[3], 4, 2),
        ("payments", "SELECT accounts", "Client", ids[4], 5, 1),
    ]
    request_id = as_uuid(number_id(number + 2_000), "9")
    spans = []
    for place, (service, name, kind, above, offset, layers) in enumerate(rows):
        begin = start_ns + offset * MS
        attributes = {"http.status_code": "500" if failed else "200"} if place < 5 else {}
        if place in (0, 1, 3):
            attributes |= {
                "component": "proxy",
                "guid:x-request-id": request_id,
                "node_id": ("router" if place == 0 else "sidecar") + f"~10.0.0.{place}~{service}",
                "upstream_cluster": ("outbound" if place == 0 else "inbound") + "|8080||orders",
            }
        if place == 5:
            attributes |= {"db.system": "postgresql", "server.address": "payments-db"}
        spans.append(
            Span(
                trace_id=trace,
                span_id=ids[place],
                parent_span_id=above,
                name=name,
                service=service,
                start_ns=begin,
                end_ns=begin + inner_ns + (layers - 1) * 2 * MS,
                kind=kind,
                status="Error" if failed else "Unset",
                attributes=attributes,
                resource={"service.name": service, "host.name": f"node-{place % 2}"},
            )
        )
    return spans


def joined_story(
    number: int, start_ns: int, inner_ns: int = 80 * MS, *, failed: bool = False
) -> Story:
    """Tell a request that gateway and mesh saw, joined by trace id and parent."""
    outgoing = number_id(number + 3_000, 16)
    backend = inner_ns + 14 * MS
    record = make_record(
        number,
        start_ns,
        trace_id=number_id(number),
        trace_id_source="BackendRequestHeaders.traceparent",
        outgoing_span_id=outgoing,
        is_sampled=True,
        duration_ns=backend + 10 * MS,
        backend_ns=backend,
        status=500 if failed else 200,
        backend_status=500 if failed else 200,
        is_error=failed,
    )
    return Story([record], make_spans(number, start_ns + 5 * MS, outgoing, inner_ns, failed=failed))


def chained_story(number: int, start_ns: int) -> Story:
    """Tell a request that API Management passed to Kong, which passed its header on."""
    story = joined_story(number, start_ns)
    outer = story.records[0]
    inner = make_record(
        number,
        start_ns + 3 * MS,
        gateway="kong",
        record_id=number_id(number + 4_000),
        source="http-log",
        ids=(),
        trace_id=outer.trace_id,
        trace_id_source="request.headers.traceparent",
        parent_span_id=outer.outgoing_span_id,
        outgoing_span_id=outer.outgoing_span_id,
        duration_ns=(outer.backend_ns or 0) - 2 * MS,
        backend_ns=(outer.backend_ns or 0) - 4 * MS,
        client_ns=None,
    )
    return Story([outer, inner], story.spans)


def refused_story(number: int, start_ns: int) -> Story:
    """Tell a request that the gateway answered 401 without calling anybody."""
    record = make_record(
        number,
        start_ns,
        duration_ns=3 * MS,
        backend_ns=None,
        client_ns=None,
        status=401,
        is_error=True,
        backend_host="",
        backend_status=None,
        attempts=0,
        error_section="inbound",
        error_source="validate-jwt",
        error_reason="TokenExpired",
    )
    return Story([record])


def unrecorded_story(number: int, start_ns: int) -> Story:
    """Tell a request of which only the mesh knows."""
    return Story([], make_spans(number, start_ns, "", 40 * MS))


def request_id_story(number: int, start_ns: int) -> Story:
    """Tell a request joined by x-request-id alone, whose version digit Envoy rewrote."""
    sent = as_uuid(number_id(number + 2_000), "4")
    record = make_record(number, start_ns)
    record.ids = (*record.ids, Id("x_request_id", sent))
    return Story([record], make_spans(number, start_ns + 5 * MS, "", 80 * MS))


def encode_spans(spans: Sequence[Span]) -> bytes:
    """Return the spans as one ExportTraceServiceRequest."""
    request = ExportTraceServiceRequest()
    for span in spans:
        group = request.resource_spans.add()
        for key, value in span.resource.items():
            group.resource.attributes.add(key=key).value.string_value = value
        scope = group.scope_spans.add()
        scope.scope.name = span.scope
        item = scope.spans.add(
            trace_id=bytes.fromhex(span.trace_id),
            span_id=bytes.fromhex(span.span_id),
            parent_span_id=bytes.fromhex(span.parent_span_id),
            name=span.name,
            kind=OtlpSpan.SpanKind.ValueType(_KINDS.get(span.kind, 0)),
            start_time_unix_nano=span.start_ns,
            end_time_unix_nano=span.end_ns,
        )
        item.status.code = 2 if span.status == "Error" else 0  # type: ignore[assignment]  # an enum's number
        for key, value in span.attributes.items():
            item.attributes.add(key=key).value.string_value = value
        for link in span.links:
            item.links.add(
                trace_id=bytes.fromhex(link.trace_id), span_id=bytes.fromhex(link.span_id)
            )
    return request.SerializeToString()


def tell(
    stories: Sequence[Story],
    settings: Settings,
    store: Store,
    clock: ManualClock,
    gateway_services: Sequence[ServiceRule] = (),
) -> None:
    """Bring the stories through intake and journal into the tables."""
    keep(stories, settings, clock)
    load_kept(settings, store, gateway_services)


def keep(stories: Sequence[Story], settings: Settings, clock: ManualClock) -> None:
    """Bring the stories through intake into the journal, and no further."""
    asyncio.run(_journal(stories, settings, clock))


def load_kept(
    settings: Settings, store: Store, gateway_services: Sequence[ServiceRule] = ()
) -> None:
    """Load what the journal holds, and let it go."""
    journal = JournalFolder(settings.journal().directory)
    rows = GatewayRows(store, journal, gateway_services)
    for segment in journal.find_sealed():
        rows.load(segment)
        journal.release(segment.path)


async def _journal(stories: Sequence[Story], settings: Settings, clock: ManualClock) -> None:
    now_ns = clock.now_ns()
    async with build_intake(settings, clock, Metrics()) as intake:
        for story in stories:
            received_ns = story.start_ns + story.lag_ns
            clock.advance(ns=received_ns - clock.now_ns())
            if story.spans:
                body = encode_spans(story.spans)
                await intake.accept(
                    Envelope(Stream.TRACE, "otlp-protobuf", body, received_ns, "otlp-http")
                )
            if story.records:
                await intake.accept_records(story.records, door="test", source="log-analytics")
        clock.advance(ns=now_ns - clock.now_ns())


@contextmanager
def asking(
    stories: Sequence[Story], folder: Path, *, gateway_services: Sequence[ServiceRule] = ()
) -> Iterator[tuple[QueryService, Store]]:
    """Give questions over a real embedded store that was told *stories*; the time is `NOW`."""
    settings = load_settings(data_dir=folder, ttl_days=0)
    clock = ManualClock(NOW)
    metrics = Metrics()
    store = open_store(settings.store(), clock, metrics)
    try:
        store.migrate()
        tell(stories, settings, store, clock, gateway_services)
        freshness = Freshness(store, clock, folder)
        questions = QueryService(
            store, clock, freshness, metrics=metrics, gateway_services=gateway_services
        )
        yield questions, store
        questions.close()
    finally:
        store.close()
