CREATE TABLE IF NOT EXISTS hopline.api_stat  (
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
ENGINE = ReplacingMergeTree(revision, is_gone)
PARTITION BY toStartOfMonth(bucket)
ORDER BY (bucket, gateway, api, operation, route)
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
