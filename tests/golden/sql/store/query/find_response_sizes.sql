SELECT
    TraceId, SpanId,
    toInt64OrZero(multiIf(
        SpanAttributes['response_size'] != '', SpanAttributes['response_size'],
        SpanAttributes['http.response.body.size'] != '', SpanAttributes['http.response.body.size'],
        SpanAttributes['http.response_content_length'])) AS size
FROM {database:Identifier}.otel_traces
WHERE (toStartOfFiveMinutes(Timestamp), TraceId) GLOBAL IN (
        SELECT toStartOfFiveMinutes(toDateTime(intDiv(place.rank % 4000000000000000000, 1000000000))), trace_id FROM {database:Identifier}.trace_summary
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
            AND place.rank % 4000000000000000000 >= {start_ns:Int64} AND place.rank % 4000000000000000000 < {end_ns:Int64})
    AND (TraceId, SpanId) GLOBAL IN (
        SELECT trace_id, edge.span_id FROM {database:Identifier}.trace_summary
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
            AND place.rank % 4000000000000000000 >= {start_ns:Int64} AND place.rank % 4000000000000000000 < {end_ns:Int64})
    AND ServiceName IN {services:Array(String)}
    AND size > 0
ORDER BY TraceId, SpanId
LIMIT {limit:UInt32}
