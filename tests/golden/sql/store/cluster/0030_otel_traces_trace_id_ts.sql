CREATE TABLE IF NOT EXISTS hopline.otel_traces_trace_id_ts_local ON CLUSTER mesh (
    TraceId String CODEC(ZSTD(1)),
    Start SimpleAggregateFunction(min, DateTime) CODEC(ZSTD(1)),
    End SimpleAggregateFunction(max, DateTime) CODEC(ZSTD(1)),
    Received SimpleAggregateFunction(max, DateTime) CODEC(ZSTD(1)),
    INDEX by_low_half substring(TraceId, 17) TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toStartOfWeek(Received)
ORDER BY TraceId
SETTINGS index_granularity = 256, min_compress_block_size = 4096, merge_selector_base = 2, replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
