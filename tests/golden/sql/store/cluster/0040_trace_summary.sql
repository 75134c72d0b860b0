CREATE TABLE IF NOT EXISTS hopline.trace_summary_local ON CLUSTER mesh (
    bucket DateTime CODEC(Delta(4), ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    start_ns SimpleAggregateFunction(min, Int64) CODEC(T64, ZSTD(1)),
    end_ns SimpleAggregateFunction(max, Int64) CODEC(T64, ZSTD(1)),
    spans SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    errors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    services SimpleAggregateFunction(groupUniqArrayArray, Array(String)) CODEC(ZSTD(1)),
    place SimpleAggregateFunction(min, Tuple(rank Int64, duration_ns Int64)) CODEC(T64, LZ4),
    edge SimpleAggregateFunction(min, Tuple(
        rank Int64, is_error UInt8, status UInt16,
        span_id String, parent_span_id String, service String, name String, kind String,
        method String, host String, path String, route String, request_key String)) CODEC(ZSTD(1)),
    received_ns SimpleAggregateFunction(max, Int64) CODEC(Delta(8), ZSTD(1)),
    span_ids AggregateFunction(uniq, UInt64) CODEC(NONE),
    error_ids AggregateFunction(uniq, UInt64) CODEC(NONE),
    INDEX by_duration place.duration_ns TYPE minmax GRANULARITY 1,
    INDEX by_hash cityHash64(trace_id) TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(fromUnixTimestamp64Nano(received_ns))
ORDER BY (bucket, trace_id)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, merge_selector_base = 10, replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
