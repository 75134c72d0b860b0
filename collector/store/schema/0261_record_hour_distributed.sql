-- record_hour of all shards together.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.record_hour {{ on_cluster }} AS {{ database }}.record_hour_local
ENGINE = Distributed({{ cluster }}, {{ database }}, record_hour_local, cityHash64(hour))
