SELECT
    stream, source, sum(rows) AS total, min(first_event_ns) AS first_event, max(last_event_ns) AS last_event,
    max(last_received_ns) AS last_received,
    quantilesDDMergeIf(0.05, 0.5, 0.9, 0.99)(lag, bucket >= toStartOfHour(toDateTime({lag_since_s:UInt32}))) AS lags
FROM {database:Identifier}.source_stat
GROUP BY stream, source
ORDER BY last_received DESC, stream, source
LIMIT {limit:UInt32}
