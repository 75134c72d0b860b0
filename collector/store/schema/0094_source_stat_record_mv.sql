-- Feeds source_stat from the gateway records, by the source that delivered them.
-- Records made of spans have no source of their own: their spans are counted.
-- Lag is from the end of the request to the reception of its record.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.source_stat_record_mv {{ on_cluster }}
TO {{ database }}.source_stat{{ local }} AS
SELECT
    toStartOfHour(toDateTime(intDiv(max(received), 1000000000))) AS bucket,
    'record' AS stream,
    name AS source,
    count() AS rows,
    uniqCombined64State(12)(id) AS row_ids,
    min(start) AS first_event_ns,
    max(start) AS last_event_ns,
    max(received) AS last_received_ns,
    quantilesDDState(0.05, 0.5, 0.9, 0.99)(received - start - duration) AS lag
FROM (
    SELECT
        cityHash64(gateway, record_id) AS id, if(source = '', gateway, source) AS name, start_ns AS start, received_ns AS received,
        ifNull(duration_ns, 0) AS duration
    FROM {{ database }}.gateway_record{{ local }}
    WHERE source != 'span'
)
GROUP BY name
