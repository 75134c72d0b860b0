INSERT INTO {database:Identifier}.otel_traces_kept
SELECT * FROM {database:Identifier}.otel_traces
PREWHERE identity(TraceId) IN {trace_ids:Array(String)}
WHERE (toStartOfFiveMinutes(Timestamp), TraceId) IN {keys:Array(Tuple(DateTime, String))}
    OR TraceId IN {long_ids:Array(String)}
