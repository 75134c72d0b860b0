CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.source_stat_span_mv ON CLUSTER mesh
TO hopline.source_stat_local AS
SELECT
    toStartOfHour(toDateTime(max(received))) AS bucket,
    'trace' AS stream,
    toString(service) AS source,
    count() AS rows,
    uniqCombined64State(12)(id) AS row_ids,
    toUnixTimestamp64Nano(min(start)) AS first_event_ns,
    toUnixTimestamp64Nano(max(start)) AS last_event_ns,
    toUnixTimestamp64Nano(max(received)) AS last_received_ns,
    quantilesDDState(0.05, 0.5, 0.9, 0.99)(
        toUnixTimestamp64Nano(received) - toUnixTimestamp64Nano(start)
        - toInt64(least(duration, 31536000000000000))) AS lag
FROM (
    SELECT
        cityHash64(TraceId, SpanId, SpanKind) AS id, ServiceName AS service, Timestamp AS start, Duration AS duration,
        otel_traces_local.Received AS received
    FROM hopline.otel_traces_local
)
GROUP BY service
