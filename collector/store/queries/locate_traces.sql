-- When the spans of some traces start, the first and the last second, and when the last one came, once for each
-- insert.
SELECT TraceId, toUnixTimestamp(Start) AS first_s, toUnixTimestamp(End) AS last_s, toUnixTimestamp(Received) AS received_s
FROM {database:Identifier}.otel_traces_trace_id_ts
PREWHERE TraceId IN {trace_ids:Array(String)}
