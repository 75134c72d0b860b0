-- source_stat of all shards together.
-- Fed on the shard that has the rows; readers add the shards up.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.source_stat {{ on_cluster }} AS {{ database }}.source_stat_local
ENGINE = Distributed({{ cluster }}, {{ database }}, source_stat_local, cityHash64(source))
