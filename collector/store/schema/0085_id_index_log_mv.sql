-- The request and trace ids that log records carry. A record with a trace id of its own leads to its
-- trace, one without to itself: neither trace nor gateway record is named, the bucket says where to look.
-- Only of records that carry such an id in their fields, so what applications log does not fill the index.
-- Source: Envoy's default access log format; Istio, "Envoy Access Logs"; W3C Trace Context; B3.
{% from "macros/requests.sql" import five_minutes %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.id_index_log_mv {{ on_cluster }}
TO {{ database }}.id_index{{ local }} AS
SELECT
    key,
    if(key = trace_id OR match(key, '^[0-9a-f]{32}$'), 'trace_id', 'x_request_id') AS kind,
    trace_id,
    '' AS gateway,
    '' AS record_id,
    {{ five_minutes("start_ns") }} AS bucket,
    start_ns,
    received_ns
FROM (
    SELECT
        arrayJoin(arrayConcat(keys, if(trace_id = '' OR empty(keys), [], [trace_id]))) AS key,
        trace_id, start_ns, received_ns
    FROM (
        SELECT
            TraceId AS trace_id, RequestKeys AS keys,
            toUnixTimestamp64Nano(otel_logs{{ local }}.Timestamp) AS start_ns,
            toUnixTimestamp64Nano(otel_logs{{ local }}.Received) AS received_ns
        FROM {{ database }}.otel_logs{{ local }}
    )
)
