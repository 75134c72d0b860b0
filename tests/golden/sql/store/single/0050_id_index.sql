CREATE TABLE IF NOT EXISTS hopline.id_index  (
    key String CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    gateway LowCardinality(String) CODEC(ZSTD(1)),
    record_id String CODEC(ZSTD(1)),
    bucket DateTime CODEC(Delta(4), ZSTD(1)),
    start_ns SimpleAggregateFunction(min, Int64) CODEC(T64, ZSTD(1)),
    received_ns SimpleAggregateFunction(max, Int64) CODEC(Delta(8), ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY (toStartOfWeek(fromUnixTimestamp64Nano(received_ns)), gateway = '')
ORDER BY (key, kind, trace_id, gateway, record_id, bucket)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
