-- Feeds source_stat from the spans, by service. Lag is from the end of the span to its reception.
-- The sketch of every span's lag costs 1 ms per 100 k spans, so none is left out.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.source_stat_span_mv {{ on_cluster }}
TO {{ database }}.source_stat{{ local }} AS
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
        otel_traces{{ local }}.Received AS received
    FROM {{ database }}.otel_traces{{ local }}
)
GROUP BY service
