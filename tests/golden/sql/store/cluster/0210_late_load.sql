CREATE TABLE IF NOT EXISTS hopline.late_load_local ON CLUSTER mesh (
    loaded_ns Int64 DEFAULT toUnixTimestamp64Nano(now64(9)) CODEC(ZSTD(1)),
    from_ns Int64 CODEC(ZSTD(1)),
    to_ns Int64 CODEC(ZSTD(1))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY intDiv(loaded_ns, 86400000000000)
ORDER BY loaded_ns
TTL toDateTime(intDiv(loaded_ns, 1000000000)) + INTERVAL 2 DAY
SETTINGS index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
