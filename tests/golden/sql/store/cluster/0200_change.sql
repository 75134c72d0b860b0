CREATE TABLE IF NOT EXISTS hopline.change_local ON CLUSTER mesh (
    at DateTime CODEC(ZSTD(1)),
    change_id String CODEC(ZSTD(1)),
    revision UInt64 CODEC(ZSTD(1)),
    is_gone UInt8 CODEC(ZSTD(1)),
    at_ns Int64 CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    gateway LowCardinality(String) CODEC(ZSTD(1)),
    api LowCardinality(String) CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    value String CODEC(ZSTD(1)),
    title String CODEC(ZSTD(1)),
    url String CODEC(ZSTD(1)),
    received_ns Int64 CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', revision, is_gone)
PARTITION BY toStartOfMonth(at)
ORDER BY (at, change_id)
SETTINGS index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
