-- What each process that takes data in has counted, as one JSON document a node and kind, the latest one.
-- Nodes that answer questions have no disk in common with those that receive.
-- Source: query/learned/nodes.py.
CREATE TABLE IF NOT EXISTS {{ database }}.node_status{{ local }} {{ on_cluster }} (
    node String CODEC(ZSTD(1)),
    kind String CODEC(ZSTD(1)),
    revision UInt64 CODEC(ZSTD(1)),
    is_gone UInt8 CODEC(ZSTD(1)),
    document String CODEC(ZSTD(1))
)
ENGINE = {{ replacing_merge_tree }}
ORDER BY (node, kind)
TTL toDateTime(intDiv(revision, 1000000000)) + INTERVAL 30 DAY
SETTINGS index_granularity = 128, {{ derived }}
