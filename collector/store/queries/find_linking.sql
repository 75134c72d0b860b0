-- Spans of a range that link to one of some traces, as a consumer of many messages links to their producers.
-- No index has links: a range is read, of rows without links only that they have none. An hour of 4 M spans: some 7 CPU
-- ms. It is asked for traces that sent a message.
{% from "macros/requests.sql" import five_minutes %}
SELECT
    TraceId, SpanId, ServiceName, SpanName, toUnixTimestamp64Nano(Timestamp) AS start_ns,
    arrayFirst(
        (span_id, linked) -> has({trace_ids:Array(String)}, linked), `Links.SpanId`, `Links.TraceId`) AS linked_span_id
FROM {database:Identifier}.otel_traces
PREWHERE notEmpty(`Links.TraceId`)
WHERE toStartOfFiveMinutes(Timestamp) >= {{ five_minutes("{start_ns:Int64}") }}
    AND toStartOfFiveMinutes(Timestamp) <= {{ five_minutes("{end_ns:Int64}") }}
    AND hasAny(`Links.TraceId`, {trace_ids:Array(String)}) AND TraceId NOT IN {trace_ids:Array(String)}
    {% if as_of %}
    AND Received <= fromUnixTimestamp64Nano({received_until_ns:Int64})
    {% endif %}
ORDER BY start_ns, TraceId, SpanId
LIMIT 1 BY TraceId, SpanId
LIMIT {limit:UInt32}
