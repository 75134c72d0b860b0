-- What the gateway records of an hour add up to, by API: who asks about days reads this of the hours that are over,
-- and records only of the others. One row an API and revision; those with the greatest revision of their hour count.
-- They do while `seen` is how many rows gateway_record has of the hour: what comes late makes another number, and the
-- hour is read from the records until it is summed up again. Hours next to records that were made of spans are
-- never summed up, for such records do not count where the gateway's own tell of the same request.
-- Sums are weighed as in queries/get_group_stats.sql. A state of percentiles is the same for all levels, and 1 to 4 KB.
-- Source: query/background/hours.py has it filled.
-- ttl by api: hour
CREATE TABLE IF NOT EXISTS {{ database }}.record_hour{{ local }} {{ on_cluster }} (
    hour DateTime CODEC(Delta(4), ZSTD(1)),
    gateway LowCardinality(String) CODEC(ZSTD(1)),
    api LowCardinality(String) CODEC(ZSTD(1)),
    revision UInt64 CODEC(Delta(8), ZSTD(1)),
    is_gone UInt8 CODEC(ZSTD(1)),
    seen UInt64 CODEC(T64, ZSTD(1)),
    requests Float64 CODEC(ZSTD(1)),
    squares Float64 CODEC(ZSTD(1)),
    errors Float64 CODEC(ZSTD(1)),
    refused Float64 CODEC(ZSTD(1)),
    measured UInt64 CODEC(T64, ZSTD(1)),
    open Float64 CODEC(ZSTD(1)),
    durations AggregateFunction(quantilesTDigestWeightedIf(0.5), Int64, UInt32, UInt8) CODEC(ZSTD(1))
)
ENGINE = {{ replacing_merge_tree }}
PARTITION BY toDate(hour)
ORDER BY (hour, gateway, api)
SETTINGS index_granularity = 128, {{ derived }}
