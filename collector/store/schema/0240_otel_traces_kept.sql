-- Spans of requests worth reading later, copied here before otel_traces lets them go: of the slow and failed ones, and
-- of one in a hundred others. Few, and read by trace id alone, so they are in that order and need no lookup table.
-- Source: query/background/keeping.py.
-- ttl: toDateTime(Received)
CREATE TABLE IF NOT EXISTS {{ database }}.otel_traces_kept{{ local }} {{ on_cluster }}
AS {{ database }}.otel_traces{{ local }}
ENGINE = {{ merge_tree }}
PARTITION BY toStartOfWeek(Received)
ORDER BY (TraceId, Timestamp)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, {{ durable }}
