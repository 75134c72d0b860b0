-- late_load of all shards together.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.late_load {{ on_cluster }} AS {{ database }}.late_load_local
ENGINE = Distributed({{ cluster }}, {{ database }}, late_load_local, cityHash64(from_ns))
