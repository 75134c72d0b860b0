-- trace_summary of all shards together.
-- Fed on the shard that has the spans; the key says the same.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.trace_summary {{ on_cluster }} AS {{ database }}.trace_summary_local
ENGINE = Distributed({{ cluster }}, {{ database }}, trace_summary_local, cityHash64(trace_id))
