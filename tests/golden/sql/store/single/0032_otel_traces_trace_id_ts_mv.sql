CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.otel_traces_trace_id_ts_mv 
TO hopline.otel_traces_trace_id_ts AS
SELECT
    trace_id AS TraceId,
    toDateTime(intDiv(start_ns, 1000000000)) AS Start,
    toDateTime(intDiv(last_start_ns, 1000000000)) AS End,
    toDateTime(intDiv(received_ns, 1000000000)) AS Received
FROM hopline.trace_part
