-- What deployment tools say they changed: one row each, under an id that is made of what they said.
-- What is found in the data itself is not kept: it is found again when it is asked for.
-- Synced like what is received: a tool that was told that it is kept does not say it again.
-- Ordered by day, for they are asked for by range; there are few.
-- Source: query/reports/changes.py; POST /api/v1/changes fills it.
-- ttl: at
CREATE TABLE IF NOT EXISTS {{ database }}.change{{ local }} {{ on_cluster }} (
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
ENGINE = {{ replacing_merge_tree }}
PARTITION BY toStartOfMonth(at)
ORDER BY (at, change_id)
SETTINGS index_granularity = 1024, {{ synced }}
