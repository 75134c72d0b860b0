CREATE TABLE IF NOT EXISTS hopline.record_hour  (
    hour DateTime CODEC(Delta(4), ZSTD(1)),
    gateway LowCardinality(String) CODEC(ZSTD(1)),
    api LowCardinality(String) CODEC(ZSTD(1)),
    revision UInt64 CODEC(Delta(8), ZSTD(1)),
    is_gone UInt8 CODEC(ZSTD(1)),
    seen UInt64 CODEC(T64, ZSTD(1)),
    requests Float64 CODEC(ZSTD(1)),
    squares Float64 CODEC(ZSTD(1)),
    errors Float64 CODEC(ZSTD(1)),
    refused Float64 CODEC(ZSTD(1)),
    measured UInt64 CODEC(T64, ZSTD(1)),
    open Float64 CODEC(ZSTD(1)),
    durations AggregateFunction(quantilesTDigestWeightedIf(0.5), Int64, UInt32, UInt8) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, is_gone)
PARTITION BY toDate(hour)
ORDER BY (hour, gateway, api)
SETTINGS index_granularity = 128, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
