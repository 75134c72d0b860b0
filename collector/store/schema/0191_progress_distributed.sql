-- progress of all shards together.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.progress {{ on_cluster }} AS {{ database }}.progress_local
ENGINE = Distributed({{ cluster }}, {{ database }}, progress_local, cityHash64(name))
