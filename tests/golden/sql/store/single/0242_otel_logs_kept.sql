CREATE TABLE IF NOT EXISTS hopline.otel_logs_kept 
AS hopline.otel_logs
ENGINE = MergeTree
PARTITION BY toStartOfWeek(Received)
ORDER BY (TraceId, Timestamp)
SETTINGS index_granularity = 512, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
