-- The traces that one of the keys is the id of, and the second they start in, once for each insert. A key of
-- 16 digits is what a 64-bit system keeps of a trace id, so it is also compared with the lower half.
SELECT TraceId AS key, TraceId AS trace_id, toUnixTimestamp(Start) AS start_s
FROM {database:Identifier}.otel_traces_trace_id_ts
PREWHERE TraceId IN {keys:Array(String)}
{% if half_keys %}
UNION ALL
SELECT substring(TraceId, 17) AS key, TraceId AS trace_id, toUnixTimestamp(Start) AS start_s
FROM {database:Identifier}.otel_traces_trace_id_ts
WHERE substring(TraceId, 17) IN {half_keys:Array(String)}
{% endif %}
UNION ALL
SELECT DISTINCT TraceId AS key, TraceId AS trace_id, toUnixTimestamp(toDateTime(Timestamp)) AS start_s
FROM {database:Identifier}.otel_traces_kept
PREWHERE TraceId IN {keys:Array(String)}
{% if half_keys %}
UNION ALL
SELECT DISTINCT substring(TraceId, 17) AS key, TraceId AS trace_id, toUnixTimestamp(toDateTime(Timestamp)) AS start_s
FROM {database:Identifier}.otel_traces_kept
WHERE substring(TraceId, 17) IN {half_keys:Array(String)}
{% endif %}
LIMIT {limit:UInt32}
