SELECT
    stream, source, sum(if(ids > 0 AND (ids <= 64 OR ids < delivered * 0.95), ids, delivered)) AS total,
    min(first) AS first_event, max(last) AS last_event, max(received) AS last_received,
    quantilesDDMergeIf(0.05, 0.5, 0.9, 0.99)(lag, bucket >= toStartOfHour(toDateTime({lag_since_s:UInt32}))) AS lags
FROM (
    SELECT
        stream, source, bucket, sum(rows) AS delivered, uniqCombined64Merge(12)(row_ids) AS ids,
        min(first_event_ns) AS first, max(last_event_ns) AS last, max(last_received_ns) AS received,
        quantilesDDMergeState(0.05, 0.5, 0.9, 0.99)(source_stat.lag) AS lag
    FROM {database:Identifier}.source_stat
    WHERE (stream, source) IN (
        SELECT stream, source
        FROM (SELECT stream, source, sum(rows) AS most FROM {database:Identifier}.source_stat GROUP BY stream, source)
        ORDER BY most DESC, source
        LIMIT {each:UInt32} BY stream)
    GROUP BY stream, source, bucket
)
GROUP BY stream, source
ORDER BY last_received DESC, stream, source
