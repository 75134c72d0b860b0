-- Spans of requests worth reading later, copied here before otel_traces lets them go: of the slow and failed ones, and
-- of one in a hundred others. Few, and read by trace id alone, so they are in that order and need no lookup table.
-- Source: query/background/keeping.py.
-- Copied by the engine and not loaded, so they have no log of loads that a part could be missing from.
-- `Api` is that of the request for whose sake they are kept.
-- ttl of copies: toDateTime(Received)
{% from "macros/columns.sql" import span_columns %}
CREATE TABLE IF NOT EXISTS {{ database }}.otel_traces_kept{{ local }} {{ on_cluster }} (
    {{ span_columns() }},
    Api LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = {{ merge_tree }}
PARTITION BY toStartOfWeek(Received)
ORDER BY (TraceId, Timestamp)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, {{ synced }}
