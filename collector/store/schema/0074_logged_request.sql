-- Requests by what proxies logged of them, whatever order the lines arrive in: one row for each request id, or
-- trace id where no request id was logged. What of it is known by a gateway record or by spans is told by those.
-- `edge` is the least tuple, so the line of the outermost proxy: the earliest, and of lines of one moment the longest
-- (`longest` is less than 0, and 1 of a line without a duration). `keys` are all ids that the lines carry.
-- Ordered by the five minutes of the lines' own time, so that a range of time is a range of the table.
-- ttl of spans: toDateTime(intDiv(received_ns, 1000000000))
CREATE TABLE IF NOT EXISTS {{ database }}.logged_request{{ local }} {{ on_cluster }} (
    bucket DateTime CODEC(Delta(4), ZSTD(1)),
    key String CODEC(ZSTD(1)),
    edge SimpleAggregateFunction(min, Tuple(
        start_ns Int64, longest Int64, status UInt16, is_error UInt8,
        id String, service String, method String, host String, path String)) CODEC(ZSTD(1)),
    keys SimpleAggregateFunction(groupUniqArrayArray, Array(String)) CODEC(ZSTD(1)),
    services SimpleAggregateFunction(groupUniqArrayArray, Array(String)) CODEC(ZSTD(1)),
    received_ns SimpleAggregateFunction(max, Int64) CODEC(Delta(8), ZSTD(1))
)
ENGINE = {{ aggregating_merge_tree }}
PARTITION BY toDate(fromUnixTimestamp64Nano(received_ns))
ORDER BY (bucket, key)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, {{ durable }}
