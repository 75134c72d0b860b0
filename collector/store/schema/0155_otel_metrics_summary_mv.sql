-- Feeds otel_metrics_summary, one row per data point.
-- Source: opentelemetry-collector-contrib clickhouseexporter internal/metrics/summary_metrics.go.
{% from "macros/otlp.sql" import moment %}
{% from "macros/metrics.sql" import metric_values %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.otel_metrics_summary_mv {{ on_cluster }}
TO {{ database }}.otel_metrics_summary AS
SELECT
    {{ metric_values() }},
    p.count AS Count,
    p.sum AS Sum,
    p.quantile_values.quantile AS `ValueAtQuantiles.Quantile`,
    p.quantile_values.value AS `ValueAtQuantiles.Value`,
    p.flags AS Flags,
    {{ moment("received_ns") }} AS Received,
    tenant AS Tenant
FROM {{ database }}.metric_part
ARRAY JOIN summary AS p
