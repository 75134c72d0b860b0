-- pull_progress of all shards together.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.pull_progress {{ on_cluster }} AS {{ database }}.pull_progress_local
ENGINE = Distributed({{ cluster }}, {{ database }}, pull_progress_local, cityHash64(workspace))
