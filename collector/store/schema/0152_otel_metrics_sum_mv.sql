-- Feeds otel_metrics_sum, one row per data point.
-- Source: opentelemetry-collector-contrib clickhouseexporter internal/metrics/sum_metrics.go.
{% from "macros/otlp.sql" import moment %}
{% from "macros/metrics.sql" import metric_exemplar_values, metric_values %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.otel_metrics_sum_mv {{ on_cluster }}
TO {{ database }}.otel_metrics_sum AS
SELECT
    {{ metric_values() }},
    if(p.as_int != 0, toFloat64(p.as_int), p.as_double) AS Value,
    p.flags AS Flags,
    {{ metric_exemplar_values() }},
    temporality AS AggregationTemporality,
    is_monotonic AS IsMonotonic,
    {{ moment("received_ns") }} AS Received,
    tenant AS Tenant
FROM {{ database }}.metric_part
ARRAY JOIN sum AS p
