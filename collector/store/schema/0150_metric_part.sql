-- One row per metric, kept nowhere (engine Null): the tables of the five kinds are fed from it.
-- The maps of resource and scope are built here once instead of in each of five views. Points lie in
-- columns of their own: a view copies what it reads of a row for every point.
-- Source: opentelemetry-proto v1.11.0 metrics.proto.
{% from "macros/metrics.sql" import metric_exponential_points, metric_histogram_points, metric_number_points, metric_summary_points %}
CREATE TABLE IF NOT EXISTS {{ database }}.metric_part {{ on_cluster }} (
    resource Map(LowCardinality(String), String),
    resource_schema_url String,
    scope_name String,
    scope_version String,
    scope_attributes Map(LowCardinality(String), String),
    scope_dropped UInt32,
    scope_schema_url String,
    name LowCardinality(String),
    description String,
    unit String,
    temporality Int32,
    is_monotonic Bool,
    gauge {{ metric_number_points() }},
    sum {{ metric_number_points() }},
    histogram {{ metric_histogram_points() }},
    exponential_histogram {{ metric_exponential_points() }},
    summary {{ metric_summary_points() }},
    received_ns UInt64,
    tenant LowCardinality(String)
)
ENGINE = Null
