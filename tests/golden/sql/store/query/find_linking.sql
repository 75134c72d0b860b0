SELECT
    TraceId, SpanId, ServiceName, SpanName, toUnixTimestamp64Nano(Timestamp) AS start_ns,
    arrayFirst(
        (span_id, linked) -> has({trace_ids:Array(String)}, linked), `Links.SpanId`, `Links.TraceId`) AS linked_span_id
FROM {database:Identifier}.otel_traces
PREWHERE notEmpty(`Links.TraceId`)
WHERE toStartOfFiveMinutes(Timestamp) >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000)))
    AND toStartOfFiveMinutes(Timestamp) <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
    AND hasAny(`Links.TraceId`, {trace_ids:Array(String)}) AND TraceId NOT IN {trace_ids:Array(String)}
    AND Received <= fromUnixTimestamp64Nano({received_until_ns:Int64})
ORDER BY start_ns, TraceId, SpanId
LIMIT 1 BY TraceId, SpanId
LIMIT {limit:UInt32}
