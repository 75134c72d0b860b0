INSERT INTO {database:Identifier}.otel_logs_kept
SELECT *, transform(TraceId, {trace_ids:Array(String)}, {apis:Array(String)}, '') AS Api
FROM {database:Identifier}.otel_logs
WHERE TraceId IN {trace_ids:Array(String)}
    AND toUnixTimestamp64Nano(Received) > transform(TraceId, {trace_ids:Array(String)}, {since_ns:Array(Int64)}, 0)
