SELECT TraceId, toUnixTimestamp(Start) AS first_s, toUnixTimestamp(End) AS last_s, toUnixTimestamp(Received) AS received_s,
    0 AS is_kept
FROM {database:Identifier}.otel_traces_trace_id_ts
PREWHERE TraceId IN {trace_ids:Array(String)}
UNION ALL
SELECT TraceId, toUnixTimestamp(toDateTime(min(Timestamp))), toUnixTimestamp(toDateTime(max(Timestamp))),
    toUnixTimestamp(toDateTime(max(Received))), 1
FROM {database:Identifier}.otel_traces_kept
PREWHERE TraceId IN {trace_ids:Array(String)}
GROUP BY TraceId
