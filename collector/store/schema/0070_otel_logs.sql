-- The log records, in the columns of the OpenTelemetry Collector's ClickHouse exporter, plus ours at the end.
-- RequestKeys are the ids that a record only carries: what a mesh without a tracer can be found by.
-- Source: opentelemetry-collector-contrib exporter/clickhouseexporter sqltemplates/logs_table.sql (0.151 and later).
-- ttl of spans: toDateTime(Received)
{% from "macros/otlp.sql" import resource_attributes %}
{% from "macros/ids.sql" import log_keys %}
CREATE TABLE IF NOT EXISTS {{ database }}.otel_logs{{ local }} {{ on_cluster }} (
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    TraceFlags UInt8,
    SeverityText LowCardinality(String) CODEC(ZSTD(1)),
    SeverityNumber UInt8,
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    Body String CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes {{ resource_attributes() }},
    ScopeSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion LowCardinality(String) CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    EventName String CODEC(ZSTD(1)),
    Resource LowCardinality(String) CODEC(ZSTD(1)),
    Received DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    RequestKeys Array(String) MATERIALIZED {{ log_keys() }} CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_request_keys RequestKeys TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = {{ merge_tree }}
PARTITION BY toDate(least(greatest(Timestamp, Received - toIntervalDay(7)), Received + toIntervalDay(1)))
ORDER BY (toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp)
SETTINGS index_granularity = 8192, {{ durable }}
