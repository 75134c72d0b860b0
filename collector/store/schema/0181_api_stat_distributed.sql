-- api_stat of all shards together.
-- Five minutes lie on one shard, whatever shards their records are on.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.api_stat {{ on_cluster }} AS {{ database }}.api_stat_local
ENGINE = Distributed({{ cluster }}, {{ database }}, api_stat_local, cityHash64(bucket))
