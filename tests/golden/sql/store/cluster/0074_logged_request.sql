CREATE TABLE IF NOT EXISTS hopline.logged_request_local ON CLUSTER mesh (
    bucket DateTime CODEC(Delta(4), ZSTD(1)),
    key String CODEC(ZSTD(1)),
    edge SimpleAggregateFunction(min, Tuple(
        start_ns Int64, longest Int64, status UInt16, is_error UInt8,
        id String, service String, method String, host String, path String)) CODEC(ZSTD(1)),
    keys SimpleAggregateFunction(groupUniqArrayArray, Array(String)) CODEC(ZSTD(1)),
    services SimpleAggregateFunction(groupUniqArrayArray, Array(String)) CODEC(ZSTD(1)),
    received_ns SimpleAggregateFunction(max, Int64) CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(fromUnixTimestamp64Nano(received_ns))
ORDER BY (bucket, key)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
