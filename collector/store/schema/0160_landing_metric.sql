-- Where metric segments land: the shape of an ExportMetricsServiceRequest, keeping nothing (engine Null).
-- Source: opentelemetry-proto v1.11.0 metrics.proto, read through wire/landing_metric.proto.
{% from "macros/otlp.sql" import attribute_list %}
{% from "macros/metrics.sql" import metric_exponential_points, metric_histogram_points, metric_number_points, metric_summary_points %}
CREATE TABLE IF NOT EXISTS {{ database }}.landing_metric {{ on_cluster }} (
    resource_metrics Array(Tuple(
        resource Tuple(attributes {{ attribute_list() }}),
        schema_url String,
        scope_metrics Array(Tuple(
            scope Tuple(
                name String, version String, attributes {{ attribute_list() }}, dropped_attributes_count UInt32),
            schema_url String,
            metrics Array(Tuple(
                name LowCardinality(String), description String, unit String,
                gauge Tuple(data_points {{ metric_number_points() }}),
                sum Tuple(
                    data_points {{ metric_number_points() }}, aggregation_temporality Int32, is_monotonic Bool),
                histogram Tuple(data_points {{ metric_histogram_points() }}, aggregation_temporality Int32),
                exponential_histogram Tuple(
                    data_points {{ metric_exponential_points() }}, aggregation_temporality Int32),
                summary Tuple(data_points {{ metric_summary_points() }})
            ))
        ))
    )),
    received_ns UInt64,
    door LowCardinality(String),
    tenant LowCardinality(String)
)
ENGINE = Null
