"""
OTLP metrics requests to canonical bytes: gauge, sum, histogram, exponential histogram, summary.

Source: OTLP specification 1.11.0, opentelemetry-proto metrics v1.
"""

from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from collector.decode.otlp.protobuf import MAX_AHEAD_NS, MIN_TIME_NS, Signal, decode_request, sift
from collector.decode.protobuf.split import ItemShape
from collector.decode.result import DecodeResult, Tally

_KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


def decode_metrics(body: bytes, received_ns: int) -> DecodeResult:
    """
    Decode an ExportMetricsServiceRequest. What is counted are data points.

    Rejected are points with impossible times.

    Raises:
        Undecodable: not such a message. Never retried.
    """
    return decode_request(METRICS, body, received_ns)


def _check(request: ExportMetricsServiceRequest, tally: Tally, received_ns: int) -> int:
    latest_ns = received_ns + MAX_AHEAD_NS
    index = tally.seen
    for group in request.resource_metrics:
        for scope in group.scope_metrics:
            for points in _find_points(scope):
                times = [point.time_unix_nano for point in points]
                if times and min(times) >= MIN_TIME_NS and max(times) <= latest_ns:
                    index += len(times)
                else:
                    index += sift(points, index, tally, lambda point, _: _judge(point, latest_ns))
    return index - tally.seen


def _judge(point: Any, latest_ns: int) -> str:
    time_ns = point.time_unix_nano
    if time_ns > latest_ns:
        return "time_future"
    if time_ns < MIN_TIME_NS:
        return "time_past" if time_ns else "time_missing"
    return ""


def _find_points(scope: Any) -> Iterator[Any]:
    """Yield the repeated field of data points of each metric; a metric of a newer kind has none."""
    for metric in scope.metrics:
        kind = metric.WhichOneof("data")
        if kind in _KINDS:
            yield getattr(metric, kind).data_points


def _find_owners(scope: Any) -> Iterator[Any]:
    for points in _find_points(scope):
        yield from points


METRICS = Signal(
    request=ExportMetricsServiceRequest,
    noun="data points",
    groups="resource_metrics",
    scopes="scope_metrics",
    shape=ItemShape(attributes=0, dropped=0, data=(5, 7, 9, 10, 11)),
    check=_check,
    find_items=_find_owners,
    count_items=lambda scope: sum(map(len, _find_points(scope))),
)
