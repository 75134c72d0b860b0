-- The spans of some traces: `keys` are (five minutes, trace id), the beginning of the table's order.
-- Without the five minutes a list of traces would be looked for in every five minutes of the range.
-- A trace that is spread over too many of them for that (`long_ids`) is looked for in all.
-- The ids alone decide on each row: compared together with the five minutes they took the engine twice as long.
-- `identity` keeps the engine from looking the ids up in the table's order a second time.
-- To analyse a condition takes the engine as long as to read a trace: those that nobody asks for are left out.
-- What is kept for longer (`kept`) lies in the order of trace ids.
SELECT
    TraceId, SpanId, ParentSpanId, SpanName, ServiceName, toUnixTimestamp64Nano(Timestamp) AS start_ns, Duration,
    SpanKind, StatusCode, StatusMessage, SpanAttributes, Resource, ScopeName
    {% if whole %}
    , TraceState, toUnixTimestamp64Nano(Received),
    arrayMap(t -> toUnixTimestamp64Nano(t), `Events.Timestamp`), `Events.Name`, `Events.Attributes`,
    `Links.TraceId`, `Links.SpanId`, `Links.Attributes`
    {% endif %}
{% if kept %}
FROM {database:Identifier}.otel_traces_kept
PREWHERE TraceId IN {trace_ids:Array(String)}
WHERE 1
{% else %}
FROM {database:Identifier}.otel_traces
PREWHERE identity(TraceId) IN {trace_ids:Array(String)}
WHERE ((toStartOfFiveMinutes(Timestamp), TraceId) IN {keys:Array(Tuple(DateTime, String))}
        {% if long_ids %}OR TraceId IN {long_ids:Array(String)}{% endif %}
    )
{% endif %}
    {% if services %}AND ServiceName IN {services:Array(String)}{% endif %}
    {% if as_of %}AND Received <= fromUnixTimestamp64Nano({received_until_ns:Int64}){% endif %}
ORDER BY TraceId, start_ns, SpanId
    {% if whole %}, Received{% endif %}
LIMIT 1 BY
    TraceId, SpanId, ParentSpanId, SpanName, start_ns, Duration, StatusCode, StatusMessage,
    cityHash64(SpanAttributes, Resource)
    {% if whole %}, cityHash64(`Events.Timestamp`){% endif %}
LIMIT {limit:UInt32}
