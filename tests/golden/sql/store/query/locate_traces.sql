SELECT TraceId, toUnixTimestamp(Start) AS first_s, toUnixTimestamp(End) AS last_s, toUnixTimestamp(Received) AS received_s
FROM {database:Identifier}.otel_traces_trace_id_ts
PREWHERE TraceId IN {trace_ids:Array(String)}
