-- Feeds source_stat from the log records, by service.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.source_stat_log_mv {{ on_cluster }}
TO {{ database }}.source_stat{{ local }} AS
SELECT
    toStartOfHour(toDateTime(max(received))) AS bucket,
    'log' AS stream,
    toString(service) AS source,
    count() AS rows,
    toUnixTimestamp64Nano(min(start)) AS first_event_ns,
    toUnixTimestamp64Nano(max(start)) AS last_event_ns,
    toUnixTimestamp64Nano(max(received)) AS last_received_ns,
    quantilesDDState(0.05, 0.5, 0.9, 0.99)(toUnixTimestamp64Nano(received) - toUnixTimestamp64Nano(start)) AS lag
FROM (
    SELECT ServiceName AS service, Timestamp AS start, otel_logs{{ local }}.Received AS received
    FROM {{ database }}.otel_logs{{ local }}
)
GROUP BY service
