-- Log records of the traces whose spans lie in otel_traces_kept.
-- Source: query/background/keeping.py.
-- Copied by the engine and not loaded, so they have no log of loads that a part could be missing from.
-- `Api` is that of the request for whose sake they are kept.
-- ttl of copies: toDateTime(Received)
{% from "macros/columns.sql" import log_columns %}
CREATE TABLE IF NOT EXISTS {{ database }}.otel_logs_kept{{ local }} {{ on_cluster }} (
    {{ log_columns() }},
    Api LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = {{ merge_tree }}
PARTITION BY toStartOfWeek(Received)
ORDER BY (TraceId, Timestamp)
SETTINGS index_granularity = 512, {{ synced }}
