-- Feeds otel_metrics_exponential_histogram, one row per data point.
-- Source: opentelemetry-collector-contrib clickhouseexporter internal/metrics/exponential_histogram_metrics.go.
{% from "macros/otlp.sql" import moment %}
{% from "macros/metrics.sql" import metric_exemplar_values, metric_values %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.otel_metrics_exponential_histogram_mv {{ on_cluster }}
TO {{ database }}.otel_metrics_exponential_histogram AS
SELECT
    {{ metric_values() }},
    p.count AS Count,
    p.sum AS Sum,
    p.scale AS Scale,
    p.zero_count AS ZeroCount,
    p.positive.offset AS PositiveOffset,
    p.positive.bucket_counts AS PositiveBucketCounts,
    p.negative.offset AS NegativeOffset,
    p.negative.bucket_counts AS NegativeBucketCounts,
    {{ metric_exemplar_values() }},
    p.flags AS Flags,
    p.min AS Min,
    p.max AS Max,
    temporality AS AggregationTemporality,
    p.zero_threshold AS ZeroThreshold,
    {{ moment("received_ns") }} AS Received,
    tenant AS Tenant
FROM {{ database }}.metric_part
ARRAY JOIN exponential_histogram AS p
