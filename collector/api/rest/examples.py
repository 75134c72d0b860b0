"""
Examples for the OpenAPI document: one invented request, told by the product's own rules.

Nothing here is JSON: the values are of the types that answers have, so no example can differ from
what it illustrates.
"""

import json
from dataclasses import replace

from collector.answers import Answer, encode
from collector.http.errors import ErrorAnswer, ErrorBody
from collector.model import GatewayRecord, Id, Span
from collector.query.learned.clocks import ClockReport
from collector.query.reports.compare import compare, side_of
from collector.query.reports.doctor import DoctorFinding, DoctorReport
from collector.query.reports.joins import (
    ApiJoins,
    CurvePoint,
    JoinReport,
    RouteJoins,
    StatisticalJoins,
)
from collector.query.reports.outcomes import ApiOutcomes, OutcomeReport
from collector.query.reports.storage import KeptKind, OtherTime, Storage
from collector.query.results import (
    Found,
    SourceReport,
    Sources,
    Stored,
    Summary,
    TimeRange,
)
from collector.query.timelines.explanation import build_explanation
from collector.stitch.completeness import SPAN_SOURCE, SourceLag, SourceLags
from collector.stitch.inputs import StitchInputs
from collector.stitch.pipeline import stitch
from collector.stitch.time.clocks import ClockPair
from collector.stitch.verdict.outcomes import OutcomeCount
from collector.timestamps import NS_PER_MIN, NS_PER_MS, NS_PER_S

_TRACE = "4f1c2a77d0b94e3c8a5b6d7e8f901234"
_RECORD = "9d2f6c1e-5b7a-4c30-8e4f-2a6b8c0d1e3f"
_OTHER = "a3d9e0b1-5c74-4f1e-9b62-0e8d7c6b5a49"
_START_NS = 1_772_357_400 * NS_PER_S  # 2026-03-01T09:30:00Z
_HOUR = TimeRange(start_ns=_START_NS - 30 * NS_PER_MIN, end_ns=_START_NS + 30 * NS_PER_MIN)

_RECORD_OF_GATEWAY = GatewayRecord(
    gateway="azure-apim",
    record_id=_RECORD,
    start_ns=_START_NS,
    instance="shop-apim",
    source="log-analytics",
    ids=(Id("apim_correlation_id", _RECORD),),
    trace_id=_TRACE,
    trace_id_source="BackendRequestHeaders.traceparent",
    outgoing_span_id="1a2b3c4d5e6f7081",
    is_sampled=True,
    duration_ns=152 * NS_PER_MS,
    client_ns=1 * NS_PER_MS,
    cache_ns=0,
    backend_ns=141 * NS_PER_MS,
    method="GET",
    scheme="https",
    host="api.shop.example",
    path="/orders/42",
    route="/orders/{id}",
    status=200,
    api="orders-api",
    api_revision="3",
    operation="get-order",
    product="partners",
    consumer="acme-mobile",
    region="West Europe",
    client_address="203.0.113.7",
    backend_method="GET",
    backend_host="mesh.shop.example",
    backend_path="/orders/42",
    backend_status=200,
    cache="none",
    raw=json.dumps({"CorrelationId": _RECORD, "TotalTime": 152}),
    received_ns=_START_NS + 3 * NS_PER_MIN,
)
_SPAN = Span(
    trace_id=_TRACE,
    span_id="2b3c4d5e6f708192",
    parent_span_id="1a2b3c4d5e6f7081",
    name="GET /orders/{id}",
    service="orders",
    start_ns=_START_NS + 7_250_000,
    end_ns=_START_NS + 145_750_000,
    kind="Server",
    attributes={"http.response.status_code": "200"},
    resource={"service.name": "orders", "host.name": "orders-7c9d"},
    received_ns=_START_NS + NS_PER_S,
)

TIMELINE = stitch(
    StitchInputs(
        records=(_RECORD_OF_GATEWAY,),
        spans=(_SPAN,),
        now_ns=_HOUR.end_ns,
        lags=SourceLags(
            by_source={
                "log-analytics": SourceLag(
                    watermark_ns=_HOUR.end_ns - 8 * NS_PER_MIN, p99_lag_ns=240 * NS_PER_S
                ),
                SPAN_SOURCE: SourceLag(
                    watermark_ns=_HOUR.end_ns - 4 * NS_PER_S, p99_lag_ns=4 * NS_PER_S
                ),
            },
            expected=(SPAN_SOURCE,),
        ),
    )
)
EXPLANATION = build_explanation(TIMELINE)
_OTHER_RECORD = replace(
    _RECORD_OF_GATEWAY,
    record_id=_OTHER,
    ids=(Id("apim_correlation_id", _OTHER),),
    trace_id="",
    outgoing_span_id="",
    duration_ns=24 * NS_PER_MS,
    backend_ns=13 * NS_PER_MS,
)
COMPARISON = compare(
    side_of(TIMELINE),
    side_of(stitch(StitchInputs(records=(_OTHER_RECORD,), now_ns=_HOUR.end_ns))),
)
STORED = Stored(id=_TRACE, records=(_RECORD_OF_GATEWAY,), spans=(_SPAN,), logs=(), is_cut=False)
FOUND = Found(
    requests=(
        Summary(
            id=_RECORD,
            trace_id=_TRACE,
            start_ns=_START_NS,
            duration_ns=152 * NS_PER_MS,
            gateway="azure-apim",
            api="orders-api",
            operation="get-order",
            route="/orders/{id}",
            method="GET",
            status=200,
            is_error=False,
            consumer="acme-mobile",
            backend_ns=141 * NS_PER_MS,
            unexplained_ns=0,
            slowest_hop="orders",
            slowest_hop_ns=96 * NS_PER_MS,
            hops=len(TIMELINE.hops),
            services=("orders",),
            is_joined=True,
            join_tier=0,
            join_confidence=1.0,
            state=TIMELINE.state,
            verdict="none",
        ),
    ),
    next_cursor="",
    range=_HOUR,
    watermarks_ns=TIMELINE.watermarks_ns,
)
TAILED = f"event: request\nid: {_RECORD}\ndata: {encode(FOUND.requests[0]).decode()}\n\n"
SOURCES = Sources(
    sources=(
        SourceReport(
            source="log-analytics",
            stream="record",
            doors=("azure-monitor",),
            rows=10_420,
            last_event_ns=_START_NS + 6 * NS_PER_MIN,
            last_received_ns=_START_NS + 9 * NS_PER_MIN,
            lag_p50_ns=95 * NS_PER_S,
            lag_p90_ns=180 * NS_PER_S,
            lag_p99_ns=240 * NS_PER_S,
            watermark_ns=_START_NS + 2 * NS_PER_MIN,
            accepted=10_420,
            rejected=3,
        ),
        SourceReport(
            source="5b0cf1a3-6b1e-4a52-9d0e-3a8de3c06f11/ApiManagementGatewayLogs",
            stream="pull",
            last_received_ns=_START_NS + 9 * NS_PER_MIN,
            watermark_ns=_START_NS + 9 * NS_PER_MIN,
            accepted=10_420,
            rejected=3,
            polled_by="hopline-ingest-0:/var/lib/hopline",
            polled_since_ns=_START_NS - 40 * NS_PER_MIN,
        ),
    )
)
CLOCKS = ClockReport(
    pairs=(
        ClockPair(
            first="checkout-7d9c5b6f4-x2k8p",
            second="stock-5f6b7c8d9-q4w7z",
            offset_ns=131_204_000,
            bound_ns=412_000,
            samples=214,
            drift_ppm=0.0,
            health="off",
        ),
    ),
    calls=1_902,
    start_ns=_HOUR.start_ns,
    end_ns=_HOUR.end_ns,
)
STORAGE = Storage(
    bytes=61_400_000_000,
    kinds=(
        KeptKind(
            kind="spans",
            setting="HOPLINE_SPAN_TTL_DAYS",
            kept_days=7,
            days=8,
            rows=700_000_000,
            bytes=56_350_000_000,
            bytes_per_row=80.5,
            bytes_per_day=8_050_000_000,
            expected_bytes=56_350_000_000,
            apis=(),
            choices=(
                OtherTime(days=3, freed_bytes=32_200_000_000, expected_bytes=24_150_000_000),
                OtherTime(days=14, freed_bytes=0, expected_bytes=112_700_000_000),
            ),
        ),
    ),
)
DOCTOR = DoctorReport(
    findings=(
        DoctorFinding(
            rule="HEADER_STRIPPED_BY_APP",
            title="An application does not forward the trace headers",
            meaning="Its calls begin traces of their own: who made them shows only by other signs.",
            hop="orders",
            layer="app",
            gateway="azure-apim",
            share_of_traffic=0.24,
            requests=500,
            affected=120,
            first_seen_ns=_HOUR.start_ns,
            last_seen_ns=_START_NS,
            example_ids=(_RECORD,),
            message="orders: what comes in carries a context, what goes out begins anew "
            "(120 of 500 requests)",
            fix="Forward the trace headers from the incoming request to every outgoing one.",
            refs=(f"{_TRACE}/{_SPAN.span_id}",),
        ),
    ),
    looked_at=500,
    range=_HOUR,
    note="",
)
JOINS = JoinReport(
    apis=(
        ApiJoins(
            gateway="azure-apim",
            api="orders-api",
            records=480,
            tiers={"0": 402, "3": 31, "none": 47},
            joined_ratio=0.902083,
            statistical=StatisticalJoins(
                start_ns=_HOUR.start_ns,
                end_ns=_HOUR.end_ns,
                records=3_000,
                exact_pairs=2_706,
                unjoined=294,
                joined=271,
                routes=(
                    RouteJoins(
                        route="azure-apim||orders-api|GET|get-order",
                        audited=2_706,
                        claimed=2_612,
                        precision=0.9973,
                        coverage=0.9627,
                        is_demoted=False,
                        curve=(CurvePoint(0.9, 0.991, 2_655),),
                    ),
                ),
                as_of_ns=_HOUR.end_ns,
            ),
        ),
    ),
    looked_at=500,
    unrecorded=20,
    range=_HOUR,
    note="",
)
OUTCOMES = OutcomeReport(
    apis=(
        ApiOutcomes(
            api="orders-api",
            requests=480,
            outcomes={"ok": 471, "zombie": 9},
            matrix=(
                OutcomeCount(
                    api="orders-api",
                    consumer="acme-mobile",
                    gateway_status="5xx",
                    edge_status="2xx",
                    app_status="2xx",
                    outcome="zombie",
                    requests=9,
                    wasted_ns=18_240_500_000,
                    examples=(_RECORD,),
                ),
                OutcomeCount(
                    api="orders-api",
                    consumer="acme-mobile",
                    gateway_status="2xx",
                    edge_status="2xx",
                    app_status="2xx",
                    outcome="ok",
                    requests=471,
                    wasted_ns=0,
                    examples=(_OTHER,),
                ),
            ),
        ),
    ),
    looked_at=500,
    answered_at_gateway=20,
    range=_HOUR,
    note="",
)


def _error(code: str, message: str, hint: str) -> ErrorAnswer:
    return ErrorAnswer(ErrorBody(code, message, hint))


BAD_QUESTION = _error(
    "bad_question",
    "min_duration_ms: 'fast' is not a duration",
    "write milliseconds (250), or a number with a unit (1.5s)",
)
UNAUTHENTICATED = _error(
    "unauthenticated",
    "a bearer token is needed",
    "send `Authorization: Bearer <one of HOPLINE_QUERY_TOKENS>`",
)
NOT_FOUND = _error(
    "not_found",
    f"nothing is stored under '{_TRACE}'; searched: trace ids, gateway record ids, and the request "
    "ids in records, spans and logs",
    "azure-apim is known up to 2026-03-01T09:21:00.000000000Z: what is newer may still come",
)
TOO_EXPENSIVE = _error(
    "too_expensive", "the search reads too much", "narrow the time range or add a filter"
)
OVERLOADED = _error("overloaded", "too many questions at once", "ask again in a moment")
STORE_UNAVAILABLE = _error("store_unavailable", "ClickHouse does not answer", "")
QUERY_TIMEOUT = _error("query_timeout", "no answer within 30 s", "narrow the range or add a filter")


def as_json(example: Answer) -> object:
    """Return an example as OpenAPI shows it."""
    return json.loads(encode(example))
