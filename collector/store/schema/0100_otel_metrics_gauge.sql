-- The data points of gauges, in the columns of the OpenTelemetry Collector's ClickHouse exporter, plus ours at the end.
-- Source: opentelemetry-collector-contrib exporter/clickhouseexporter sqltemplates/metrics_gauge_table.sql.
-- ttl of spans: toDateTime(Received)
{% from "macros/metrics.sql" import metric_columns, metric_exemplars, metric_order %}
CREATE TABLE IF NOT EXISTS {{ database }}.otel_metrics_gauge{{ local }} {{ on_cluster }} (
    {{ metric_columns() }},
    Value Float64 CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    {{ metric_exemplars() }},
    Received DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Tenant LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = {{ merge_tree }}
{{ metric_order() }}
SETTINGS index_granularity = 8192, {{ durable }}
