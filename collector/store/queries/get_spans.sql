-- The spans of some traces. The lookup table bounds the time, so the caller needs to know none.
WITH
    (SELECT min(Start) FROM {database:Identifier}.otel_traces_trace_id_ts WHERE TraceId IN {trace_ids:Array(String)}) AS first,
    (SELECT max(End) + 1 FROM {database:Identifier}.otel_traces_trace_id_ts WHERE TraceId IN {trace_ids:Array(String)}) AS last
SELECT
    TraceId, SpanId, ParentSpanId, SpanName, ServiceName, toUnixTimestamp64Nano(Timestamp), Duration,
    SpanKind, StatusCode, StatusMessage, TraceState, SpanAttributes, ResourceAttributes, ScopeName,
    arrayMap(t -> toUnixTimestamp64Nano(t), `Events.Timestamp`), `Events.Name`, `Events.Attributes`,
    `Links.TraceId`, `Links.SpanId`, `Links.Attributes`, toUnixTimestamp64Nano(Received) AS received_ns
FROM {database:Identifier}.otel_traces
WHERE TraceId IN {trace_ids:Array(String)}
    AND toStartOfFiveMinutes(Timestamp) >= toStartOfFiveMinutes(first)
    AND toStartOfFiveMinutes(Timestamp) <= toStartOfFiveMinutes(last)
    AND Received <= fromUnixTimestamp64Nano({received_until_ns:Int64})
ORDER BY TraceId, Timestamp, SpanId, received_ns
LIMIT 1 BY TraceId, SpanId, ParentSpanId, SpanName, Timestamp, Duration, StatusCode, cityHash64(SpanAttributes)
LIMIT {limit:UInt32}
