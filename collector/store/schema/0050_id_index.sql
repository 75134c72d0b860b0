-- From any id a person has to the trace or the gateway record that carries it.
-- Ordered by the key, so a lookup reads one granule of each part and needs no time range; the bucket
-- is part of the order so that each version of a record is found where gateway_record keeps it.
-- Small granules and blocks: 40 keys of a page take 20 CPU ms and a row 44 bytes; with granules of 1024 rows
-- and blocks of 16 KiB 26 ms and 40 bytes.
-- Rows of gateway records lie in parts of their own: who looks for records passes over the ids that spans carry.
-- as good: 38096daed457b76bb057ccf67e0398a35d00b274d252b667a73298928665ad95 (all in the same parts)
-- ttl by gateway: toDateTime(intDiv(received_ns, 1000000000))
CREATE TABLE IF NOT EXISTS {{ database }}.id_index{{ local }} {{ on_cluster }} (
    key String CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    gateway LowCardinality(String) CODEC(ZSTD(1)),
    record_id String CODEC(ZSTD(1)),
    bucket DateTime CODEC(Delta(4), ZSTD(1)),
    start_ns SimpleAggregateFunction(min, Int64) CODEC(T64, ZSTD(1)),
    received_ns SimpleAggregateFunction(max, Int64) CODEC(Delta(8), ZSTD(1))
)
ENGINE = {{ aggregating_merge_tree }}
PARTITION BY (toStartOfWeek(fromUnixTimestamp64Nano(received_ns)), gateway = '')
ORDER BY (key, kind, trace_id, gateway, record_id, bucket)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, {{ durable }}
