-- otel_traces of all shards together.
-- All spans of a trace lie on one shard, so what is fed from them adds up there.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.otel_traces {{ on_cluster }} AS {{ database }}.otel_traces_local
ENGINE = Distributed({{ cluster }}, {{ database }}, otel_traces_local, cityHash64(TraceId))
