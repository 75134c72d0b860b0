-- Feeds otel_traces_trace_id_ts, one row per trace and insert.
-- Source: opentelemetry-collector-contrib sqltemplates/traces_id_ts_lookup_mv.sql.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.otel_traces_trace_id_ts_mv {{ on_cluster }}
TO {{ database }}.otel_traces_trace_id_ts{{ local }} AS
SELECT
    trace_id AS TraceId,
    toDateTime(intDiv(start_ns, 1000000000)) AS Start,
    toDateTime(intDiv(last_start_ns, 1000000000)) AS End,
    toDateTime(intDiv(received_ns, 1000000000)) AS Received
FROM {{ database }}.trace_part
