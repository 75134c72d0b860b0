-- Feeds otel_metrics_histogram, one row per data point.
-- Source: opentelemetry-collector-contrib clickhouseexporter internal/metrics/histogram_metrics.go.
{% from "macros/otlp.sql" import moment %}
{% from "macros/metrics.sql" import metric_exemplar_values, metric_values %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.otel_metrics_histogram_mv {{ on_cluster }}
TO {{ database }}.otel_metrics_histogram AS
SELECT
    {{ metric_values() }},
    p.count AS Count,
    p.sum AS Sum,
    p.bucket_counts AS BucketCounts,
    p.explicit_bounds AS ExplicitBounds,
    {{ metric_exemplar_values() }},
    p.flags AS Flags,
    p.min AS Min,
    p.max AS Max,
    temporality AS AggregationTemporality,
    {{ moment("received_ns") }} AS Received,
    tenant AS Tenant
FROM {{ database }}.metric_part
ARRAY JOIN histogram AS p
