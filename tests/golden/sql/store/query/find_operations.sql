SELECT SpanName, SpanKind
FROM {database:Identifier}.otel_traces
WHERE toStartOfFiveMinutes(Timestamp) >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000)))
    AND toStartOfFiveMinutes(Timestamp) <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
    AND ServiceName = {service:String}
GROUP BY SpanName, SpanKind
ORDER BY SpanName, SpanKind
LIMIT {limit:UInt32}
