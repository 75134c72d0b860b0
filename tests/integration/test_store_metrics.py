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
from opentelemetry.sdk.metrics import MeterProvider, TraceBasedExemplarFilter
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from collector.clock import Clock, SystemClock
from collector.journal import JournalFolder, find_sealed
from collector.model import Stream
from collector.store import Store
from collector.store.loader import Loader
from collector.telemetry import Metrics
from tests.ingest import open_ingest
from tests.manual_clock import ManualClock
from tests.metric_messages import (
    COLUMNS,
    EXEMPLARS,
    HEAD,
    add_metric,
    fill_scope,
    gateway_request,
    head_of,
    make_request,
)
from tests.otlp_senders import SENDERS, Sender
from tests.stored import (
    NOW_NS,
    NS,
    clickhouse_server,
    opened,
    query_rows,
    store_settings,
)


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
    names = [name for name, _ in (*HEAD, *COLUMNS[kind])]
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


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_are_the_exporters(store: Store, kind: str) -> None:
    """Each table begins with the exporter's columns, name by name and type by type; ours follow."""
    found = query_rows(
        store,
        "SELECT name, type FROM system.columns "
        "WHERE database = 'hopline' AND table = {table:String} ORDER BY position",
        table=f"otel_metrics_{kind}",
    )
    expected = [*HEAD, *COLUMNS[kind]]
    assert found[: len(expected)] == expected
    assert {name for name, _ in found[len(expected) :]} <= {"Received", "Tenant", "ZeroThreshold"}


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
def test_all_five_kinds_come_back(store: Store, tmp_path: Path, sender: Sender) -> None:
    """Every field of every kind is in its table, whatever the door, and once when loaded twice."""
    service = f"all-five-{sender.name}"
    request, scope = make_request(service)
    fill_scope(scope)
    send(request.SerializeToString(), store, tmp_path, sender)
    stats = {(each.stream, each.source): each for each in store.get_source_stats()}
    heard = stats["metric", service]
    assert (heard.rows, heard.last_received_ns) == (5, NOW_NS)
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
