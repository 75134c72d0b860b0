-- How far background work has come, by its name: the moment up to which everything that arrived is done.
-- Source: query/background/worker.py.
CREATE TABLE IF NOT EXISTS {{ database }}.progress{{ local }} {{ on_cluster }} (
    name String CODEC(ZSTD(1)),
    revision UInt64 CODEC(ZSTD(1)),
    is_gone UInt8 CODEC(ZSTD(1)),
    moment_ns Int64 CODEC(ZSTD(1))
)
ENGINE = {{ replacing_merge_tree }}
ORDER BY name
SETTINGS index_granularity = 128, {{ derived }}
