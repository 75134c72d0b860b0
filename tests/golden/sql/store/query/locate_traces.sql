SELECT TraceId, toUnixTimestamp(min(Start)) AS first_s, toUnixTimestamp(max(End)) AS last_s
FROM {database:Identifier}.otel_traces_trace_id_ts
WHERE TraceId IN {trace_ids:Array(String)}
GROUP BY TraceId
ORDER BY TraceId
