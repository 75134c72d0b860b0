CREATE TABLE IF NOT EXISTS hopline.otel_logs_kept_local ON CLUSTER mesh
AS hopline.otel_logs_local
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toStartOfWeek(Received)
ORDER BY (TraceId, Timestamp)
SETTINGS index_granularity = 512, replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
