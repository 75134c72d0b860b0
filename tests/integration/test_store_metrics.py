"""OTLP metrics of all five kinds: through the doors and the journal into the exporter's tables."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
    OTLPMetricExporter as GrpcMetricExporter,
)
from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
    OTLPMetricExporter as HttpMetricExporter,
)
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ScopeMetrics
from opentelemetry.sdk.metrics import MeterProvider, TraceBasedExemplarFilter
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from collector.clock import Clock, ManualClock, SystemClock
from collector.config import load_settings
from collector.journal import JournalFolder, find_sealed
from collector.model import Stream
from collector.store import Store
from collector.store.loader import Loader
from collector.store.migrations import find_migrations, render
from collector.store.rendering import build_names
from collector.telemetry import Metrics
from tests.golden_file import GOLDEN, check_golden
from tests.ingest import open_ingest
from tests.otlp_senders import SENDERS, Sender
from tests.stored import (
    NOW_NS,
    NS,
    any_value,
    clickhouse_server,
    opened,
    query_rows,
    store_settings,
)

_TEXTS = "Map(LowCardinality(String), String)"
_TIME = "DateTime64(9)"
_HEAD = [
    ("ResourceAttributes", _TEXTS),
    ("ResourceSchemaUrl", "String"),
    ("ScopeName", "String"),
    ("ScopeVersion", "String"),
    ("ScopeAttributes", _TEXTS),
    ("ScopeDroppedAttrCount", "UInt32"),
    ("ScopeSchemaUrl", "String"),
    ("ServiceName", "LowCardinality(String)"),
    ("MetricName", "LowCardinality(String)"),
    ("MetricDescription", "String"),
    ("MetricUnit", "String"),
    ("Attributes", _TEXTS),
    ("StartTimeUnix", _TIME),
    ("TimeUnix", _TIME),
]
_EXEMPLARS = [
    ("Exemplars.FilteredAttributes", f"Array({_TEXTS})"),
    ("Exemplars.TimeUnix", f"Array({_TIME})"),
    ("Exemplars.Value", "Array(Float64)"),
    ("Exemplars.SpanId", "Array(String)"),
    ("Exemplars.TraceId", "Array(String)"),
]
_FLAGS = [("Flags", "UInt32")]
_VALUE = [("Value", "Float64"), *_FLAGS, *_EXEMPLARS]
_COUNT = [("Count", "UInt64"), ("Sum", "Float64")]
_TEMPORALITY = [("AggregationTemporality", "Int32")]
_EXTENT = [*_EXEMPLARS, *_FLAGS, ("Min", "Float64"), ("Max", "Float64"), *_TEMPORALITY]
COLUMNS = {
    "gauge": _VALUE,
    "sum": [*_VALUE, *_TEMPORALITY, ("IsMonotonic", "Bool")],
    "histogram": [
        *_COUNT,
        ("BucketCounts", "Array(UInt64)"),
        ("ExplicitBounds", "Array(Float64)"),
        *_EXTENT,
    ],
    "exponential_histogram": [
        *_COUNT,
        ("Scale", "Int32"),
        ("ZeroCount", "UInt64"),
        ("PositiveOffset", "Int32"),
        ("PositiveBucketCounts", "Array(UInt64)"),
        ("NegativeOffset", "Int32"),
        ("NegativeBucketCounts", "Array(UInt64)"),
        *_EXTENT,
    ],
    "summary": [
        *_COUNT,
        ("ValueAtQuantiles.Quantile", "Array(Float64)"),
        ("ValueAtQuantiles.Value", "Array(Float64)"),
        *_FLAGS,
    ],
}
"""What the exporter's own tables have, in its order."""


@pytest.fixture(scope="module", params=["chdb", "http"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """Give a store that is shared by the tests: each has a service of its own."""
    folder = tmp_path_factory.mktemp("metrics")
    if request.param == "chdb":
        with opened(store_settings(folder)) as it:
            yield it
        return
    with (
        clickhouse_server(folder, password="x") as url,
        opened(store_settings(folder, url=url)) as it,
    ):
        yield it


def load_twice(store: Store, journal: Path) -> int:
    """Load each sealed segment, then all of them again through the loader; return how many."""
    segments = find_sealed(journal)
    for segment in segments:
        store.load(segment)
    assert Loader(store, JournalFolder(journal), Metrics()).load_sealed() == len(segments)
    assert find_sealed(journal) == []
    return len(segments)


def rows_of(store: Store, kind: str, service: str) -> list[dict[str, Any]]:
    """Return the rows of a service, by metric name and value, times as nanoseconds."""
    names = [name for name, _ in (*_HEAD, *COLUMNS[kind])]
    if kind == "exponential_histogram":
        names.append("ZeroThreshold")
    names += ["Received", "Tenant"]
    columns = ", ".join(_readable(name) for name in names)
    sql = (
        f"SELECT {columns} FROM hopline.otel_metrics_{kind} "
        "WHERE ServiceName = {service:String} ORDER BY MetricName, TimeUnix"
    )
    return [dict(zip(names, row, strict=True)) for row in query_rows(store, sql, service=service)]


def _readable(name: str) -> str:
    if name == "Exemplars.TimeUnix":
        return "arrayMap(t -> toUnixTimestamp64Nano(t), Exemplars.TimeUnix)"
    if name in ("StartTimeUnix", "TimeUnix", "Received"):
        return f"toUnixTimestamp64Nano({name})"
    return f"`{name}`"


def send(body: bytes, store: Store, folder: Path, sender: Sender = SENDERS[0]) -> None:
    """Bring a request through a real door and the journal into the tables."""

    async def go() -> Path:
        async with open_ingest(folder, ManualClock(NOW_NS)) as ingest:
            answer = await sender.send(ingest, body, Stream.METRIC)
            assert answer.code == "OK"
            assert not answer.has_partial_success
        return ingest.journal

    assert load_twice(store, asyncio.run(go())) == 1


def make_request(service: str) -> tuple[ExportMetricsServiceRequest, ScopeMetrics]:
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add(schema_url="https://schema.test/resource")
    group.resource.attributes.add(key="service.name", value=any_value(service))
    group.resource.attributes.add(key="replicas", value=any_value(3))
    scope = group.scope_metrics.add(schema_url="https://schema.test/scope")
    scope.scope.name, scope.scope.version = "shop.meter", "2.5"
    scope.scope.attributes.add(key="team", value=any_value("parts"))
    scope.scope.dropped_attributes_count = 4
    return request, scope


def add_metric(scope: ScopeMetrics, name: str, unit: str = "ms") -> Metric:
    return scope.metrics.add(name=name, unit=unit, description=f"What {name} is")


def fill(point: Any, route: str = "/parts") -> Any:
    """Give a point what all kinds have."""
    point.start_time_unix_nano = NOW_NS - 60 * NS - 7
    point.time_unix_nano = NOW_NS - 123_456_789
    point.attributes.add(key="route", value=any_value(route))
    point.attributes.add(key="tries", value=any_value(2))
    return point


def add_exemplars(point: Any) -> None:
    one = point.exemplars.add(
        time_unix_nano=NOW_NS - 5, as_double=1.25, span_id=b"\x01" * 8, trace_id=b"\x02" * 16
    )
    one.filtered_attributes.add(key="user", value=any_value("u-1"))
    point.exemplars.add(time_unix_nano=NOW_NS - 4, as_int=-9)


def head_of(name: str, service: str) -> dict[str, Any]:
    return {
        "ResourceAttributes": {"service.name": service, "replicas": "3"},
        "ResourceSchemaUrl": "https://schema.test/resource",
        "ScopeName": "shop.meter",
        "ScopeVersion": "2.5",
        "ScopeAttributes": {"team": "parts"},
        "ScopeDroppedAttrCount": 4,
        "ScopeSchemaUrl": "https://schema.test/scope",
        "ServiceName": service,
        "MetricName": name,
        "MetricDescription": f"What {name} is",
        "MetricUnit": "ms",
        "Attributes": {"route": "/parts", "tries": "2"},
        "StartTimeUnix": NOW_NS - 60 * NS - 7,
        "TimeUnix": NOW_NS - 123_456_789,
        "Flags": 0,
        "Received": NOW_NS,
        "Tenant": "",
    }


EXEMPLARS = {
    "Exemplars.FilteredAttributes": [{"user": "u-1"}, {}],
    "Exemplars.TimeUnix": [NOW_NS - 5, NOW_NS - 4],
    "Exemplars.Value": [1.25, -9.0],
    "Exemplars.SpanId": ["01" * 8, ""],
    "Exemplars.TraceId": ["02" * 16, ""],
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_are_the_exporters(store: Store, kind: str) -> None:
    """Each table begins with the exporter's columns, name by name and type by type; ours follow."""
    found = query_rows(
        store,
        "SELECT name, type FROM system.columns "
        "WHERE database = 'hopline' AND table = {table:String} ORDER BY position",
        table=f"otel_metrics_{kind}",
    )
    expected = [*_HEAD, *COLUMNS[kind]]
    assert found[: len(expected)] == expected
    assert {name for name, _ in found[len(expected) :]} <= {"Received", "Tenant", "ZeroThreshold"}


def fill_scope(scope: ScopeMetrics) -> None:
    """Add one metric of each kind, everything in it set."""
    add_exemplars(fill(add_metric(scope, "depth").gauge.data_points.add(as_int=-7)))
    total = add_metric(scope, "total").sum
    total.aggregation_temporality, total.is_monotonic = 2, True  # type: ignore[assignment]  # an enum's number
    add_exemplars(fill(total.data_points.add(as_double=2.5)))
    spread = add_metric(scope, "spread").histogram
    spread.aggregation_temporality = 1  # type: ignore[assignment]  # the same
    point = fill(spread.data_points.add(count=6, sum=70.5, min=0.5, max=33))
    point.bucket_counts.extend([1, 5, 0])
    point.explicit_bounds.extend([5, 10.5])
    add_exemplars(point)
    finer = add_metric(scope, "finer").exponential_histogram
    finer.aggregation_temporality = 2  # type: ignore[assignment]  # the same
    point = fill(finer.data_points.add(count=9, sum=-3.5, min=-8, max=2, scale=-3, zero_count=2))
    point.zero_threshold = 0.125
    point.positive.offset, point.negative.offset = -4, 6
    point.positive.bucket_counts.extend([1, 0, 300])
    point.negative.bucket_counts.extend([2**63, 1])
    add_exemplars(point)
    point = fill(add_metric(scope, "ranks").summary.data_points.add(count=10, sum=55))
    point.quantile_values.add(quantile=0.5, value=4)
    point.quantile_values.add(quantile=0.99, value=9.5)


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
def test_all_five_kinds_come_back(store: Store, tmp_path: Path, sender: Sender) -> None:
    """Every field of every kind is in its table, whatever the door, and once when loaded twice."""
    service = f"all-five-{sender.name}"
    request, scope = make_request(service)
    fill_scope(scope)
    send(request.SerializeToString(), store, tmp_path, sender)
    assert rows_of(store, "gauge", service) == [
        {**head_of("depth", service), **EXEMPLARS, "Value": -7.0}
    ]
    assert rows_of(store, "sum", service) == [
        head_of("total", service)
        | EXEMPLARS
        | {"Value": 2.5, "AggregationTemporality": 2, "IsMonotonic": True}
    ]
    assert rows_of(store, "histogram", service) == [
        head_of("spread", service)
        | EXEMPLARS
        | {"Count": 6, "Sum": 70.5, "Min": 0.5, "Max": 33.0, "AggregationTemporality": 1}
        | {"BucketCounts": [1, 5, 0], "ExplicitBounds": [5.0, 10.5]}
    ]
    assert rows_of(store, "exponential_histogram", service) == [
        head_of("finer", service)
        | EXEMPLARS
        | {"Count": 9, "Sum": -3.5, "Min": -8.0, "Max": 2.0, "AggregationTemporality": 2}
        | {"Scale": -3, "ZeroCount": 2, "ZeroThreshold": 0.125}
        | {"PositiveOffset": -4, "PositiveBucketCounts": [1, 0, 300]}
        | {"NegativeOffset": 6, "NegativeBucketCounts": [2**63, 1]}
    ]
    assert rows_of(store, "summary", service) == [
        head_of("ranks", service)
        | {"Count": 10, "Sum": 55.0}
        | {"ValueAtQuantiles.Quantile": [0.5, 0.99], "ValueAtQuantiles.Value": [4.0, 9.5]}
    ]


def test_absent_values_are_the_exporters_zeros(store: Store, tmp_path: Path) -> None:
    """What a point or a histogram does not say is 0, as the exporter writes it."""
    service = "absent"
    request, scope = make_request(service)
    add_metric(scope, "nothing").gauge.data_points.add(time_unix_nano=NOW_NS, flags=1)
    add_metric(scope, "counted").histogram.data_points.add(time_unix_nano=NOW_NS, count=3)
    add_metric(scope, "empty").sum.aggregation_temporality = 2  # type: ignore[assignment]  # an enum's number
    add_metric(scope, "without data")
    send(request.SerializeToString(), store, tmp_path)
    (nothing,) = rows_of(store, "gauge", service)
    assert (nothing["Value"], nothing["Flags"], nothing["StartTimeUnix"]) == (0.0, 1, 0)
    (counted,) = rows_of(store, "histogram", service)
    assert (counted["Count"], counted["Sum"], counted["Min"], counted["Max"]) == (3, 0, 0, 0)
    assert rows_of(store, "sum", service) == []


def test_impossible_start_and_exemplar_times_do_not_cost_the_point(
    store: Store, tmp_path: Path
) -> None:
    """Times that only describe are stored as they fit, and infinities and NaN are values."""
    service = "odd"
    request, scope = make_request(service)
    points = add_metric(scope, "odd").gauge.data_points
    point = points.add(time_unix_nano=NOW_NS, start_time_unix_nano=2**64 - 1, as_double=1)
    point.exemplars.add(time_unix_nano=2**63, as_int=-(2**63))
    for later, value in enumerate((float("inf"), float("-inf"), float("nan")), 1):
        points.add(time_unix_nano=NOW_NS + later, as_double=value)
    send(request.SerializeToString(), store, tmp_path)
    rows = rows_of(store, "gauge", service)
    assert [str(row["Value"]) for row in rows] == ["1.0", "inf", "-inf", "nan"]
    assert rows[0]["Exemplars.Value"] == [-(2.0**63)]


def test_many_points_of_one_metric(store: Store, tmp_path: Path) -> None:
    """Points cost their own size: 20,000 in one metric are loaded as such, each once."""
    service = "many"
    request, scope = make_request(service)
    points = add_metric(scope, "many").gauge.data_points
    for number in range(20_000):
        points.add(time_unix_nano=NOW_NS + number, as_int=number)
    send(request.SerializeToString(), store, tmp_path)
    sql = (
        "SELECT count(), uniqExact(Value) FROM hopline.otel_metrics_gauge "
        "WHERE ServiceName = {service:String}"
    )
    assert query_rows(store, sql, service=service) == [(20_000, 20_000)]


def record_with_sdk(service: str, exporter: MetricExporter) -> str:
    """Measure with the official SDK, push once, and return the trace id of the exemplars."""
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
    provider = MeterProvider(
        [reader],
        Resource({"service.name": service}),
        exemplar_filter=TraceBasedExemplarFilter(),
        views=[
            View(instrument_name="fine", aggregation=ExponentialBucketHistogramAggregation()),
        ],
        shutdown_on_exit=False,
    )
    meter = provider.get_meter("shop.meter", "1.0", attributes={"team": "parts"})

    def observe(_: CallbackOptions) -> list[Observation]:
        return [Observation(42, {"queue": "parts"})]

    meter.create_observable_gauge("depth", [observe], unit="{item}")
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("shop")
    with tracer.start_as_current_span("order") as span:
        meter.create_counter("orders").add(3, {"ok": True})
        for value in (1, 7, 40):
            meter.create_histogram("coarse", explicit_bucket_boundaries_advisory=[5, 10]).record(
                value
            )
            meter.create_histogram("fine").record(value)
    assert provider.force_flush(10_000)
    provider.shutdown()
    return trace.format_trace_id(span.get_span_context().trace_id)


@pytest.mark.parametrize("door", ["grpc", "http"])
async def test_sdk_exporters(store: Store, tmp_path: Path, door: str) -> None:
    """What the official exporter sends over each door is in the tables, with its trace ids."""
    service, clock = f"sdk-{door}", SystemClock()
    async with open_ingest(tmp_path, clock) as ingest:
        exporter: MetricExporter = HttpMetricExporter(f"{ingest.url}/v1/metrics")
        if door == "grpc":
            exporter = GrpcMetricExporter(f"http://127.0.0.1:{ingest.grpc_port}", insecure=True)
        trace_id = await asyncio.to_thread(record_with_sdk, service, exporter)
    load_twice(store, ingest.journal)
    _check_times(rows_of(store, "gauge", service), clock)
    (gauge,) = rows_of(store, "gauge", service)
    assert (gauge["Value"], gauge["Attributes"], gauge["MetricUnit"]) == (
        42.0,
        {"queue": "parts"},
        "{item}",
    )
    assert gauge["ScopeAttributes"] == {"team": "parts"}
    (orders,) = rows_of(store, "sum", service)
    assert (orders["Value"], orders["IsMonotonic"], orders["AggregationTemporality"]) == (
        3,
        True,
        2,
    )
    assert (orders["Exemplars.TraceId"], orders["Exemplars.Value"]) == ([trace_id], [3.0])
    assert orders["Attributes"] == {"ok": "true"}
    (coarse,) = rows_of(store, "histogram", service)
    assert (coarse["BucketCounts"], coarse["ExplicitBounds"]) == ([1, 1, 1], [5.0, 10.0])
    assert (coarse["Count"], coarse["Sum"], coarse["Min"], coarse["Max"]) == (3, 48, 1, 40)
    (fine,) = rows_of(store, "exponential_histogram", service)
    assert (fine["Count"], fine["Sum"], sum(fine["PositiveBucketCounts"])) == (3, 48, 3)


def _check_times(rows: list[dict[str, Any]], clock: Clock) -> None:
    for row in rows:
        assert abs(clock.now_ns() - row["TimeUnix"]) < 60 * NS
        assert row["TimeUnix"] <= row["Received"] <= time.time_ns()


def gateway_request() -> ExportMetricsServiceRequest:
    """
    Return a minute of a self-hosted API Management gateway.

    Source: azure-docs, self-hosted gateway settings and OpenTelemetry how-to (metric names, labels,
    default buckets). The resource it sends is not documented; .NET's default is taken.
    """
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.add(key="service.name", value=any_value("selfhosted-apim-gateway"))
    scope = group.scope_metrics.add()
    labels = {
        "Hostname": "gw-6d9f",
        "GatewayId": "edge-berlin",
        "Location": "Berlin",
        "ResponseCode": "502",
        "ResponseCodeCategory": "5xx",
        "BackendResponseCode": "503",
        "BackendResponseCodeCategory": "5xx",
        "Cache": "None",
        "LastErrorReason": "BackendConnectionFailure",
        "Status": "Failed",
    }
    times = {"start_time_unix_nano": NOW_NS - 60 * NS, "time_unix_nano": NOW_NS - NS}
    attributes = [{"key": key, "value": any_value(value)} for key, value in labels.items()]
    requests = scope.metrics.add(name="Requests").sum
    requests.is_monotonic, requests.aggregation_temporality = True, 2  # type: ignore[assignment]  # an enum's number
    requests.data_points.add(as_int=17, attributes=attributes, **times)
    bounds = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000]
    for number, name in enumerate(
        ("Duration", "BackendDuration", "ClientDuration", "GatewayDuration")
    ):
        histogram = scope.metrics.add(name=f"{name}InMs", unit="ms").histogram
        histogram.aggregation_temporality = 2  # type: ignore[assignment]  # an enum's number
        histogram.data_points.add(
            count=17,
            sum=1700.5 - number,
            bucket_counts=[0] * number + [17] + [0] * (11 - number),
            explicit_bounds=bounds,
            attributes=attributes,
            **times,
        )
    return request


def test_metrics_of_the_self_hosted_gateway(store: Store, tmp_path: Path) -> None:
    """Requests and the four durations are there under the gateway's own names and labels."""
    send(gateway_request().SerializeToString(), store, tmp_path)
    (requests,) = rows_of(store, "sum", "selfhosted-apim-gateway")
    assert (requests["MetricName"], requests["Value"]) == ("Requests", 17.0)
    rows = rows_of(store, "histogram", "selfhosted-apim-gateway")
    assert {row["MetricName"]: row["Sum"] for row in rows} == {
        "DurationInMs": 1700.5,
        "BackendDurationInMs": 1699.5,
        "ClientDurationInMs": 1698.5,
        "GatewayDurationInMs": 1697.5,
    }
    for row in (requests, *rows):
        assert row["Attributes"]["GatewayId"] == "edge-berlin"
        assert row["Attributes"]["LastErrorReason"] == "BackendConnectionFailure"
        assert len(row["Attributes"]) == 10
    assert all(len(row["BucketCounts"]) == len(row["ExplicitBounds"]) + 1 == 12 for row in rows)


@pytest.mark.parametrize("cluster", ["", "shop"], ids=["single", "cluster"])
def test_golden_schema_of_metrics(cluster: str) -> None:
    """The statements for one node and for a cluster are the ones that were read and approved."""
    names = build_names(load_settings(clickhouse_cluster=cluster).store())
    wanted = "cluster" if cluster else "single"
    statements = [
        f"-- {each.name}\n{render(each, names)};\n"
        for each in find_migrations()
        if "metric" in each.name and each.only in ("", wanted)
    ]
    check_golden(GOLDEN / "sql" / f"schema_metrics_{wanted}.sql", "\n".join(statements))
