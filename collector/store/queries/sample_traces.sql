-- The traces of a range with the lowest hashes: the same ones whenever it is asked.
{% from "macros/requests.sql" import five_minutes %}
SELECT cityHash64(trace_id) AS place, trace_id, min(start_ns) AS start, max(received_ns) AS received
FROM {database:Identifier}.trace_summary
WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
    AND cityHash64(trace_id) <= {most:UInt64}
GROUP BY trace_id
HAVING start >= {start_ns:Int64} AND start < {end_ns:Int64}
ORDER BY place
LIMIT {limit:UInt32}
