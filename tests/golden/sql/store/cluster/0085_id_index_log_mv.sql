CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.id_index_log_mv ON CLUSTER mesh
TO hopline.id_index_local AS
SELECT
    key,
    if(key = trace_id OR match(key, '^[0-9a-f]{32}$'), 'trace_id', 'x_request_id') AS kind,
    trace_id,
    '' AS gateway,
    '' AS record_id,
    toStartOfFiveMinutes(toDateTime(intDiv(start_ns, 1000000000))) AS bucket,
    start_ns,
    received_ns
FROM (
    SELECT
        arrayJoin(arrayConcat(keys, if(trace_id = '' OR empty(keys), [], [trace_id]))) AS key,
        trace_id, start_ns, received_ns
    FROM (
        SELECT
            TraceId AS trace_id, RequestKeys AS keys,
            toUnixTimestamp64Nano(otel_logs_local.Timestamp) AS start_ns,
            toUnixTimestamp64Nano(otel_logs_local.Received) AS received_ns
        FROM hopline.otel_logs_local
    )
)
