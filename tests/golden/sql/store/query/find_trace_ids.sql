SELECT TraceId AS key, TraceId AS trace_id, toUnixTimestamp(Start) AS start_s
FROM {database:Identifier}.otel_traces_trace_id_ts
PREWHERE TraceId IN {keys:Array(String)}
UNION ALL
SELECT substring(TraceId, 17) AS key, TraceId AS trace_id, toUnixTimestamp(Start) AS start_s
FROM {database:Identifier}.otel_traces_trace_id_ts
WHERE substring(TraceId, 17) IN {half_keys:Array(String)}
UNION ALL
SELECT DISTINCT TraceId AS key, TraceId AS trace_id, toUnixTimestamp(toDateTime(Timestamp)) AS start_s
FROM {database:Identifier}.otel_traces_kept
PREWHERE TraceId IN {keys:Array(String)}
UNION ALL
SELECT DISTINCT substring(TraceId, 17) AS key, TraceId AS trace_id, toUnixTimestamp(toDateTime(Timestamp)) AS start_s
FROM {database:Identifier}.otel_traces_kept
WHERE substring(TraceId, 17) IN {half_keys:Array(String)}
LIMIT {limit:UInt32}
