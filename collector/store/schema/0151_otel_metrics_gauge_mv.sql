-- Feeds otel_metrics_gauge, one row per data point.
-- Source: opentelemetry-collector-contrib clickhouseexporter internal/metrics/gauge_metrics.go.
{% from "macros/otlp.sql" import moment %}
{% from "macros/metrics.sql" import metric_exemplar_values, metric_values %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.otel_metrics_gauge_mv {{ on_cluster }}
TO {{ database }}.otel_metrics_gauge AS
SELECT
    {{ metric_values() }},
    if(p.as_int != 0, toFloat64(p.as_int), p.as_double) AS Value,
    p.flags AS Flags,
    {{ metric_exemplar_values() }},
    {{ moment("received_ns") }} AS Received,
    tenant AS Tenant
FROM {{ database }}.metric_part
ARRAY JOIN gauge AS p
