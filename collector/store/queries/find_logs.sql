-- The log records that carry one of the keys, from the five minutes they lie in: those without a trace id, or all.
SELECT
    toUnixTimestamp64Nano(Timestamp) AS time_ns, TraceId, SpanId, ServiceName, SeverityText, Body,
    LogAttributes, Resource, ScopeName, EventName, toUnixTimestamp64Nano(Received) AS received_ns
FROM {database:Identifier}.otel_logs
WHERE toUnixTimestamp(toStartOfFiveMinutes(Timestamp)) IN {buckets:Array(Int64)}
    {% if traced %}
    AND (TraceId IN {keys:Array(String)} OR hasAny(RequestKeys, {keys:Array(String)}))
    {% else %}
    AND TraceId = '' AND hasAny(RequestKeys, {keys:Array(String)})
    {% endif %}
    {% if as_of %}AND Received <= fromUnixTimestamp64Nano({received_until_ns:Int64}){% endif %}
ORDER BY time_ns, ServiceName, Body, received_ns
LIMIT 1 BY ServiceName, time_ns, Body, cityHash64(LogAttributes), Resource
LIMIT {limit:UInt32}
