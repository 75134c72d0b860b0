CREATE TABLE IF NOT EXISTS hopline.node_status  (
    node String CODEC(ZSTD(1)),
    kind String CODEC(ZSTD(1)),
    revision UInt64 CODEC(ZSTD(1)),
    is_gone UInt8 CODEC(ZSTD(1)),
    document String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, is_gone)
ORDER BY (node, kind)
TTL toDateTime(intDiv(revision, 1000000000)) + INTERVAL 30 DAY
SETTINGS index_granularity = 128, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
