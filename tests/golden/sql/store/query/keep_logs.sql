INSERT INTO {database:Identifier}.otel_logs_kept
SELECT * FROM {database:Identifier}.otel_logs
WHERE TraceId IN {trace_ids:Array(String)}
