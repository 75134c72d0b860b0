-- Feeds otel_traces_trace_id_ts, one row per trace and insert.
-- Source: opentelemetry-collector-contrib sqltemplates/traces_id_ts_lookup_mv.sql.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.otel_traces_trace_id_ts_mv {{on_cluster}}
TO {{database}}.otel_traces_trace_id_ts{{local}} AS
SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End, max(otel_traces{{local}}.Received) AS Received
FROM {{database}}.otel_traces{{local}}
GROUP BY TraceId
