-- Copy the log records of some traces to where they are kept.
INSERT INTO {database:Identifier}.otel_logs_kept
SELECT * FROM {database:Identifier}.otel_logs
WHERE TraceId IN {trace_ids:Array(String)}
