-- otel_traces_trace_id_ts of all shards together.
-- Fed on the shard that has the spans; the key says the same.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.otel_traces_trace_id_ts {{ on_cluster }} AS {{ database }}.otel_traces_trace_id_ts_local
ENGINE = Distributed({{ cluster }}, {{ database }}, otel_traces_trace_id_ts_local, cityHash64(TraceId))
