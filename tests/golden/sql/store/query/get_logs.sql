SELECT
    toUnixTimestamp64Nano(Timestamp) AS time_ns, TraceId, SpanId, ServiceName, SeverityText, Body,
    LogAttributes, Resource, ScopeName, EventName, toUnixTimestamp64Nano(Received) AS received_ns
FROM (
    SELECT * FROM {database:Identifier}.otel_logs WHERE TraceId IN {trace_ids:Array(String)}
    UNION ALL
    SELECT * EXCEPT Api FROM {database:Identifier}.otel_logs_kept WHERE TraceId IN {trace_ids:Array(String)}
)
WHERE Received <= fromUnixTimestamp64Nano({received_until_ns:Int64})
ORDER BY time_ns, SpanId, Body, received_ns
LIMIT 1 BY TraceId, SpanId, time_ns, Body, cityHash64(LogAttributes)
LIMIT {limit:UInt32}
