-- Who wants to do a piece of work that one process at a time does, and until when that is known of each. The
-- earliest of those that are still there does it; who comes back after a silence stands behind the others.
-- Moments are the server's: the clocks of those who ask do not matter.
-- Source: store/leases.py.
CREATE TABLE IF NOT EXISTS {{ database }}.lease{{ local }} {{ on_cluster }} (
    name String CODEC(ZSTD(1)),
    holder String CODEC(ZSTD(1)),
    revision UInt64 CODEC(ZSTD(1)),
    is_gone UInt8 CODEC(ZSTD(1)),
    since_ns Int64 CODEC(ZSTD(1)),
    until_ns Int64 CODEC(ZSTD(1))
)
ENGINE = {{ replacing_merge_tree }}
ORDER BY (name, holder)
TTL toDateTime(intDiv(until_ns, 1000000000)) + INTERVAL 1 DAY
SETTINGS index_granularity = 128, {{ derived }}
