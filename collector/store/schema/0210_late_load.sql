-- Loads that came late: of what was received from one moment to another, rows came into the tables only now,
-- as after an outage of the engine. Work that goes on by the time of reception has gone past it and looks again.
-- Stamped by the server, so that the clocks of several loaders do not matter.
-- Source: query/background/worker.py; Store.load fills it.
CREATE TABLE IF NOT EXISTS {{ database }}.late_load{{ local }} {{ on_cluster }} (
    loaded_ns Int64 DEFAULT toUnixTimestamp64Nano(now64(9)) CODEC(ZSTD(1)),
    from_ns Int64 CODEC(ZSTD(1)),
    to_ns Int64 CODEC(ZSTD(1))
)
ENGINE = {{ merge_tree }}
PARTITION BY intDiv(loaded_ns, 86400000000000)
ORDER BY loaded_ns
TTL toDateTime(intDiv(loaded_ns, 1000000000)) + INTERVAL 2 DAY
SETTINGS index_granularity = 1024, {{ synced }}
