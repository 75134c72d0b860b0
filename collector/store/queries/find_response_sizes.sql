-- Response sizes that the edge spans of some services state, by trace and span.
-- Source: Envoy's tag response_size; semantic conventions for HTTP spans, stable and old.
{% from "macros/requests.sql" import edge_start, five_minutes %}
SELECT
    TraceId, SpanId,
    toInt64OrZero(multiIf(
        SpanAttributes['response_size'] != '', SpanAttributes['response_size'],
        SpanAttributes['http.response.body.size'] != '', SpanAttributes['http.response.body.size'],
        SpanAttributes['http.response_content_length'])) AS size
FROM {database:Identifier}.otel_traces
WHERE (toStartOfFiveMinutes(Timestamp), TraceId) GLOBAL IN (
        SELECT {{ five_minutes(edge_start("place")) }}, trace_id FROM {database:Identifier}.trace_summary
        WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
            AND {{ edge_start("place") }} >= {start_ns:Int64} AND {{ edge_start("place") }} < {end_ns:Int64})
    AND (TraceId, SpanId) GLOBAL IN (
        SELECT trace_id, edge.span_id FROM {database:Identifier}.trace_summary
        WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
            AND {{ edge_start("place") }} >= {start_ns:Int64} AND {{ edge_start("place") }} < {end_ns:Int64})
    AND ServiceName IN {services:Array(String)}
    AND size > 0
ORDER BY TraceId, SpanId
LIMIT {limit:UInt32}
