-- How far each source that is asked has been read, and by whom last: whoever asks it next goes on from there.
-- `progress` is a JSON document, `seen` another one with the fingerprints of rows behind the watermark, which
-- can be a megabyte and which only the one that goes on needs. The latest counts by the server's clock: those of
-- the ones that ask may differ.
-- Source: store/pulled.py.
CREATE TABLE IF NOT EXISTS {{ database }}.pull_progress{{ local }} {{ on_cluster }} (
    workspace String CODEC(ZSTD(1)),
    table_name String CODEC(ZSTD(1)),
    revision UInt64 DEFAULT toUInt64(toUnixTimestamp64Nano(now64(9))) CODEC(ZSTD(1)),
    is_gone UInt8 DEFAULT 0 CODEC(ZSTD(1)),
    holder String CODEC(ZSTD(1)),
    progress String CODEC(ZSTD(1)),
    seen String CODEC(ZSTD(1))
)
ENGINE = {{ replacing_merge_tree }}
ORDER BY (workspace, table_name)
TTL toDateTime(intDiv(revision, 1000000000)) + INTERVAL 90 DAY
SETTINGS index_granularity = 128, {{ synced }}
