CREATE TABLE IF NOT EXISTS hopline.source_stat  (
    bucket DateTime CODEC(Delta(4), ZSTD(1)),
    stream LowCardinality(String) CODEC(ZSTD(1)),
    source String CODEC(ZSTD(1)),
    rows SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    first_event_ns SimpleAggregateFunction(min, Int64) CODEC(ZSTD(1)),
    last_event_ns SimpleAggregateFunction(max, Int64) CODEC(ZSTD(1)),
    last_received_ns SimpleAggregateFunction(max, Int64) CODEC(ZSTD(1)),
    row_ids AggregateFunction(uniqCombined64(12), UInt64) CODEC(ZSTD(1)),
    lag AggregateFunction(quantilesDD(0.05, 0.5, 0.9, 0.99), Int64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toStartOfWeek(bucket)
ORDER BY (stream, source, bucket)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
