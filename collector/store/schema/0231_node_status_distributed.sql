-- node_status of all shards together.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.node_status {{ on_cluster }} AS {{ database }}.node_status_local
ENGINE = Distributed({{ cluster }}, {{ database }}, node_status_local, cityHash64(node))
