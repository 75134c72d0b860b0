-- lease of all shards together.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.lease {{ on_cluster }} AS {{ database }}.lease_local
ENGINE = Distributed({{ cluster }}, {{ database }}, lease_local, cityHash64(name))
