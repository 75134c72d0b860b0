-- Log records of the traces whose spans lie in otel_traces_kept.
-- Source: query/background/keeping.py.
-- ttl: toDateTime(Received)
CREATE TABLE IF NOT EXISTS {{ database }}.otel_logs_kept{{ local }} {{ on_cluster }}
AS {{ database }}.otel_logs{{ local }}
ENGINE = {{ merge_tree }}
PARTITION BY toStartOfWeek(Received)
ORDER BY (TraceId, Timestamp)
SETTINGS index_granularity = 512, {{ durable }}
