-- otel_logs_kept of all shards together.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.otel_logs_kept {{ on_cluster }} AS {{ database }}.otel_logs_kept_local
ENGINE = Distributed({{ cluster }}, {{ database }}, otel_logs_kept_local, cityHash64(TraceId))
