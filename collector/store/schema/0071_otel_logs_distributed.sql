-- otel_logs of all shards together.
-- Beside the spans of the same trace; records without a trace id are spread by their time.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.otel_logs {{ on_cluster }} AS {{ database }}.otel_logs_local
ENGINE = Distributed({{ cluster }}, {{ database }}, otel_logs_local, cityHash64(if(TraceId = '', toString(Timestamp), TraceId)))
