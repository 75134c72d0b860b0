SELECT DISTINCT 'trace' AS kind, TraceId AS key
FROM {database:Identifier}.otel_traces_trace_id_ts
WHERE TraceId IN {trace_ids:Array(String)}
UNION ALL
SELECT DISTINCT 'request' AS kind, key
FROM {database:Identifier}.id_index
WHERE key IN {request_keys:Array(String)} AND gateway = ''
ORDER BY kind, key
