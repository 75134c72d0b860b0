"""OTLP metrics: data points are what is counted and checked."""

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric

from collector.decode.otlp.metrics import decode_metrics
from collector.decode.protobuf import split
from collector.decode.protobuf.split import MAX_ATTRIBUTES, write_field
from collector.decode.result import DecodeResult
from collector.errors import Undecodable
from tests.ingest import NOW_NS, make_metric, make_request, text
from tests.unit.decode.otlp.test_json import every_metric

DAY_NS = 86_400_000_000_000


def metrics_of(canonical: DecodeResult) -> list[Metric]:
    return [
        metric
        for message in canonical.messages
        for group in ExportMetricsServiceRequest.FromString(message).resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
    ]


def test_all_kinds_pass_unchanged() -> None:
    """Good points of all five kinds are written back as they were."""
    body = make_request(*every_metric())
    assert decode_metrics(body, NOW_NS) == DecodeResult(message=body, accepted=5, resources=1)


@pytest.mark.parametrize(
    ("time_ns", "code"),
    [(0, "time_missing"), (1_700_000_000, "time_past"), (NOW_NS + 2 * DAY_NS, "time_future")],
)
def test_point_with_impossible_time_is_rejected_alone(time_ns: int, code: str) -> None:
    """Of a metric's points only the wrong one goes; its index counts points."""
    metric = make_metric(2)
    metric.gauge.data_points.add(time_unix_nano=time_ns)
    metric.gauge.data_points.add(time_unix_nano=NOW_NS, as_int=9)
    canonical = decode_metrics(make_request(make_metric(1), metric, make_metric(3)), NOW_NS)
    assert (canonical.accepted, canonical.rejected_by) == (4, {code: 1})
    assert canonical.errors[0].index == 2
    assert [len(each.gauge.data_points) for each in metrics_of(canonical)] == [1, 2, 1]


def test_metric_without_data_is_tolerated() -> None:
    """A metric of a kind that is newer than this version holds no points that we know."""
    canonical = decode_metrics(make_request(Metric(name="odd"), make_metric(1)), NOW_NS)
    assert (canonical.accepted, canonical.rejected) == (1, 0)


def test_metric_of_many_points_is_the_same_in_pieces() -> None:
    """One metric with 5 MiB of points becomes several messages that hold every point."""
    metric = Metric(name="big", unit="s")
    metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    for number in range(20_000):
        metric.sum.data_points.add(
            time_unix_nano=NOW_NS, as_int=number, attributes=[text("pad", "x" * 200)]
        )
    canonical = decode_metrics(make_request(metric), NOW_NS)
    parts = metrics_of(canonical)
    assert canonical.accepted == 20_000
    assert len(canonical.messages) > 1
    assert {(part.name, part.unit, part.sum.aggregation_temporality) for part in parts} == {
        ("big", "s", 2)
    }
    values = [point.as_int for part in parts for point in part.sum.data_points]
    assert values == list(range(20_000))


def test_points_attributes_are_capped() -> None:
    """A point with 5,000 attributes keeps 1024."""
    metric = make_metric(1, attributes=[text(f"key.{n}", "v" * 40) for n in range(5000)])
    canonical = decode_metrics(make_request(metric), NOW_NS)
    (kept,) = metrics_of(canonical)
    assert len(kept.gauge.data_points[0].attributes) == MAX_ATTRIBUTES
    assert canonical.warnings


def test_garbage_is_undecodable() -> None:
    """Other bytes are refused."""
    with pytest.raises(Undecodable):
        decode_metrics(b"\xff\xff", NOW_NS)


@pytest.mark.parametrize(
    "metric",
    [
        pytest.param(b"\x32\x00" * 1_500_000, id="what no metric has"),
        pytest.param(write_field(5, b"\x0a\x00" * 1_500_000), id="points"),
        pytest.param(write_field(7, b"\x1a\x00" * 1_500_000), id="what no sum has"),
    ],
)
def test_metric_of_more_parts_than_anybody_means_is_not_walked(
    monkeypatch: pytest.MonkeyPatch, metric: bytes
) -> None:
    """The walk through a metric ends at the limit, whatever its bytes are made of."""
    monkeypatch.setattr(split, "_MAX_PARTS", 1_000)
    body = write_field(1, write_field(2, write_field(2, metric)))
    with pytest.raises(Undecodable, match="more than 1,000 fields"):
        decode_metrics(body, NOW_NS)
