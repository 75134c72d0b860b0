-- What the spans of a trace add up to, whatever order they arrive in.
-- `edge` is the least tuple, so the earliest root, and without a root the earliest span: `rank` is its
-- start, plus 4e18 when it has a parent. `place` is the same span's place in a search: what every search
-- reads of every row. With T64 and LZ4 a million rows take 9 CPU ms, with ZSTD 25; the index on the duration
-- lets a search for slow requests skip nearly all of them.
-- The index on the hash lets a sample, which is the lowest hashes of a range, skip the granules that have none of them.
-- Granules of 256 rows and blocks of 4 KiB: a page of 50 summaries takes 22 CPU ms and a row 92 bytes; with
-- 1024 rows and 16 KiB 38 ms and 88 bytes, with the defaults for blocks 3 times as long.
-- Ordered by five minutes, so that a range of time is a range of the table, then by trace. Ordered by
-- trace alone, an hour would read the whole day; ordered by start, the parts of a trace would never merge.
-- Merged later than by default (base 5), see otel_traces.
-- `spans` and `errors` count what was delivered, `span_ids` and `error_ids` hold hashes of what is there: a
-- span that was sent twice in other company is counted once. 4 bytes a span, which nothing compresses.
-- ttl of spans: toDateTime(intDiv(received_ns, 1000000000))
CREATE TABLE IF NOT EXISTS {{ database }}.trace_summary{{ local }} {{ on_cluster }} (
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
ENGINE = {{ aggregating_merge_tree }}
PARTITION BY toDate(fromUnixTimestamp64Nano(received_ns))
ORDER BY (bucket, trace_id)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, merge_selector_base = 10, {{ durable }}
