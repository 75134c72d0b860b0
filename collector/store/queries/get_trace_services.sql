-- The services of some traces, once for each insert.
SELECT trace_id, services
FROM {database:Identifier}.trace_summary
WHERE (bucket, trace_id) IN {keys:Array(Tuple(DateTime, String))}
    OR trace_id IN {long_ids:Array(String)} -- when long_ids
