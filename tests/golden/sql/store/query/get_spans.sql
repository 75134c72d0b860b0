SELECT
    TraceId, SpanId, ParentSpanId, SpanName, ServiceName, toUnixTimestamp64Nano(Timestamp) AS start_ns, Duration,
    SpanKind, StatusCode, StatusMessage, SpanAttributes, Resource, ScopeName
    , TraceState, toUnixTimestamp64Nano(Received),
    arrayMap(t -> toUnixTimestamp64Nano(t), `Events.Timestamp`), `Events.Name`, `Events.Attributes`,
    `Links.TraceId`, `Links.SpanId`, `Links.Attributes`
FROM {database:Identifier}.otel_traces_kept
PREWHERE TraceId IN {trace_ids:Array(String)}
WHERE 1
    AND ServiceName IN {services:Array(String)}
    AND Received <= fromUnixTimestamp64Nano({received_until_ns:Int64})
ORDER BY TraceId, start_ns, SpanId
    , Received
LIMIT 1 BY
    TraceId, SpanId, ParentSpanId, SpanName, start_ns, Duration, StatusCode, StatusMessage,
    cityHash64(SpanAttributes, Resource)
    , cityHash64(`Events.Timestamp`)
LIMIT {limit:UInt32}
