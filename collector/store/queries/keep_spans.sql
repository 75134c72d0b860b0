-- Copy the spans of some traces to where they are kept; `keys` as in get_spans, `since_ns` of each trace the moment
-- after which they came, `apis` for the sake of which API it is kept.
INSERT INTO {database:Identifier}.otel_traces_kept
SELECT *, transform(TraceId, {trace_ids:Array(String)}, {apis:Array(String)}, '') AS Api
FROM {database:Identifier}.otel_traces
PREWHERE identity(TraceId) IN {trace_ids:Array(String)}
WHERE ((toStartOfFiveMinutes(Timestamp), TraceId) IN {keys:Array(Tuple(DateTime, String))}
        OR TraceId IN {long_ids:Array(String)})
    AND toUnixTimestamp64Nano(Received) > transform(TraceId, {trace_ids:Array(String)}, {since_ns:Array(Int64)}, 0)
