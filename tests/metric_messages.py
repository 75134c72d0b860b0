"""Metrics requests of all five kinds, and the rows that they are to become."""

from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ScopeMetrics

from tests.stored import NOW_NS, NS, any_value

_TEXTS = "Map(LowCardinality(String), String)"
_TIME = "DateTime64(9)"
HEAD = [
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
