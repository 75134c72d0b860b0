-- The names and kinds of a service's spans in a range.
{% from "macros/requests.sql" import five_minutes %}
SELECT SpanName, SpanKind
FROM {database:Identifier}.otel_traces
WHERE toStartOfFiveMinutes(Timestamp) >= {{ five_minutes("{start_ns:Int64}") }}
    AND toStartOfFiveMinutes(Timestamp) <= {{ five_minutes("{end_ns:Int64}") }}
    AND ServiceName = {service:String}
GROUP BY SpanName, SpanKind
ORDER BY SpanName, SpanKind
LIMIT {limit:UInt32}
