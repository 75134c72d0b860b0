-- logged_request of all shards together: the lines of one request may lie on several.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.logged_request {{ on_cluster }} AS {{ database }}.logged_request_local
ENGINE = Distributed({{ cluster }}, {{ database }}, logged_request_local, cityHash64(key))
