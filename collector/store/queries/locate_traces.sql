-- When the spans of some traces start: the first and the last second, once for each insert.
SELECT TraceId, toUnixTimestamp(Start) AS first_s, toUnixTimestamp(End) AS last_s
FROM {database:Identifier}.otel_traces_trace_id_ts
WHERE TraceId IN {trace_ids:Array(String)}
