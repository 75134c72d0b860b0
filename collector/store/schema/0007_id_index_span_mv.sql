-- The request ids that spans carry, one row per trace and id.
-- Source: formats.md 0.3 and 8.1 (Envoy's guid:x-request-id), semantic conventions for header attributes.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.id_index_span_mv {{on_cluster}}
TO {{database}}.id_index{{local}} AS
SELECT
    {{request_id_key:value}} AS key,
    'x_request_id' AS kind,
    TraceId AS trace_id,
    '' AS gateway,
    '' AS record_id,
    start AS start_ns,
    received AS received_ns
FROM (
    SELECT
        TraceId,
        SpanAttributes['guid:x-request-id'] AS value,
        min(toUnixTimestamp64Nano(Timestamp)) AS start,
        max(toUnixTimestamp64Nano(Received)) AS received
    FROM {{database}}.otel_traces{{local}}
    WHERE value != ''
    GROUP BY TraceId, value
)
WHERE key != ''
