-- What the gateway records of five minutes add up to, by API and operation: each record once, by its newest version.
-- Made from gateway_record five minutes at a time, and again when a record of them comes: the rows of the latest
-- revision count. Sums that a view keeps would count a record as often as it is delivered.
-- `requests` and the other counts are weighed by the sampling that the gateway's log names.
-- The sketch is right within 1 %; it holds the durations that are measurements, `measured` of them.
-- Source: algorithms.md 4.12; store/rollups.py fills it.
-- ttl: bucket
CREATE TABLE IF NOT EXISTS {{ database }}.api_stat{{ local }} {{ on_cluster }} (
    bucket DateTime CODEC(Delta(4), ZSTD(1)),
    gateway LowCardinality(String) CODEC(ZSTD(1)),
    api LowCardinality(String) CODEC(ZSTD(1)),
    operation LowCardinality(String) CODEC(ZSTD(1)),
    route LowCardinality(String) CODEC(ZSTD(1)),
    revision UInt64 CODEC(ZSTD(1)),
    is_gone UInt8 CODEC(ZSTD(1)),
    requests Float64 CODEC(ZSTD(1)),
    errors Float64 CODEC(ZSTD(1)),
    client_errors Float64 CODEC(ZSTD(1)),
    server_errors Float64 CODEC(ZSTD(1)),
    measured UInt64 CODEC(T64, ZSTD(1)),
    durations AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), Int64) CODEC(ZSTD(1))
)
ENGINE = {{ replacing_merge_tree }}
PARTITION BY toStartOfMonth(bucket)
ORDER BY (bucket, gateway, api, operation, route)
SETTINGS index_granularity = 1024, {{ derived }}
