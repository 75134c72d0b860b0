-- The services of some traces, once for each insert.
SELECT trace_id, services
FROM {database:Identifier}.trace_summary
WHERE (bucket, trace_id) IN {keys:Array(Tuple(DateTime, String))}
    {% if long_ids %}OR trace_id IN {long_ids:Array(String)}{% endif %}
