-- change of all shards together.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.change {{ on_cluster }} AS {{ database }}.change_local
ENGINE = Distributed({{ cluster }}, {{ database }}, change_local, cityHash64(change_id))
