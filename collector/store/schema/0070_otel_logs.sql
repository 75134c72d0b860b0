-- The log records, in the columns of the OpenTelemetry Collector's ClickHouse exporter, plus ours at the end.
-- RequestKeys are the ids that a record only carries: what a mesh without a tracer can be found by.
-- Source: opentelemetry-collector-contrib exporter/clickhouseexporter sqltemplates/logs_table.sql (0.151 and later).
-- ttl of spans: toDateTime(Received)
{% from "macros/columns.sql" import log_columns %}
CREATE TABLE IF NOT EXISTS {{ database }}.otel_logs{{ local }} {{ on_cluster }} (
    {{ log_columns() }}
)
ENGINE = {{ merge_tree }}
PARTITION BY toDate(least(greatest(Timestamp, Received - toIntervalDay(7)), Received + toIntervalDay(1)))
ORDER BY (toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp)
SETTINGS index_granularity = 8192, {{ durable }}
