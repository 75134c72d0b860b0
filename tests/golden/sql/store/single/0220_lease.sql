CREATE TABLE IF NOT EXISTS hopline.lease  (
    name String CODEC(ZSTD(1)),
    holder String CODEC(ZSTD(1)),
    revision UInt64 CODEC(ZSTD(1)),
    is_gone UInt8 CODEC(ZSTD(1)),
    since_ns Int64 CODEC(ZSTD(1)),
    until_ns Int64 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, is_gone)
ORDER BY (name, holder)
TTL toDateTime(intDiv(until_ns, 1000000000)) + INTERVAL 1 DAY
SETTINGS index_granularity = 128, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
