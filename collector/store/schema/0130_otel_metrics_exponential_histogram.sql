-- The data points of exponential histograms, in the columns of the OpenTelemetry Collector's ClickHouse exporter, plus ours at the end.
-- ZeroThreshold is ours as well: without it the width of the zero bucket is lost.
-- Source: opentelemetry-collector-contrib exporter/clickhouseexporter sqltemplates/metrics_exp_histogram_table.sql.
-- ttl of spans: toDateTime(Received)
{% from "macros/metrics.sql" import metric_columns, metric_exemplars, metric_order %}
CREATE TABLE IF NOT EXISTS {{ database }}.otel_metrics_exponential_histogram{{ local }} {{ on_cluster }} (
    {{ metric_columns() }},
    Count UInt64 CODEC(T64, ZSTD(1)),
    Sum Float64 CODEC(ZSTD(1)),
    Scale Int32 CODEC(ZSTD(1)),
    ZeroCount UInt64 CODEC(ZSTD(1)),
    PositiveOffset Int32 CODEC(ZSTD(1)),
    PositiveBucketCounts Array(UInt64) CODEC(ZSTD(1)),
    NegativeOffset Int32 CODEC(ZSTD(1)),
    NegativeBucketCounts Array(UInt64) CODEC(ZSTD(1)),
    {{ metric_exemplars() }},
    Flags UInt32 CODEC(ZSTD(1)),
    Min Float64 CODEC(ZSTD(1)),
    Max Float64 CODEC(ZSTD(1)),
    AggregationTemporality Int32 CODEC(ZSTD(1)),
    Received DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    ZeroThreshold Float64 CODEC(ZSTD(1)),
    Tenant LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = {{ merge_tree }}
{{ metric_order() }}
SETTINGS index_granularity = 8192, {{ durable }}
