-- The traces that spans with one of the ids belong to, the newest first. Only asked for ids that nothing else knows.
SELECT SpanId AS span_id, TraceId AS trace_id, toUnixTimestamp64Nano(min(Timestamp)) AS start_ns
FROM {database:Identifier}.otel_traces
PREWHERE SpanId IN {span_ids:Array(String)}
GROUP BY span_id, trace_id
ORDER BY start_ns DESC
LIMIT {limit:UInt32}
