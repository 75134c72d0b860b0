-- request of all shards together.
-- By its own id: revisions of a request belong together.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.request {{ on_cluster }} AS {{ database }}.request_local
ENGINE = Distributed({{ cluster }}, {{ database }}, request_local, cityHash64(request_id))
