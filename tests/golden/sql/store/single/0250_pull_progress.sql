CREATE TABLE IF NOT EXISTS hopline.pull_progress  (
    workspace String CODEC(ZSTD(1)),
    table_name String CODEC(ZSTD(1)),
    revision UInt64 DEFAULT toUInt64(toUnixTimestamp64Nano(now64(9))) CODEC(ZSTD(1)),
    is_gone UInt8 DEFAULT 0 CODEC(ZSTD(1)),
    holder String CODEC(ZSTD(1)),
    progress String CODEC(ZSTD(1)),
    seen String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, is_gone)
ORDER BY (workspace, table_name)
TTL toDateTime(intDiv(revision, 1000000000)) + INTERVAL 90 DAY
SETTINGS index_granularity = 128, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
