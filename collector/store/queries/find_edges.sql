-- The edge spans of the traces that began nearest to a moment; `services` restricts to some edges.
{% from "macros/requests.sql" import edge_start, five_minutes %}
SELECT
    trace_id, min(edge) AS first, {{ edge_start("first") }} AS edge_start_ns, min(place).duration_ns AS edge_duration_ns
FROM {database:Identifier}.trace_summary
WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
GROUP BY trace_id
HAVING edge_start_ns >= {start_ns:Int64} AND edge_start_ns < {end_ns:Int64}
    AND (empty({services:Array(String)}) OR first.service IN {services:Array(String)})
ORDER BY abs(edge_start_ns - {moment_ns:Int64}), trace_id
LIMIT {limit:UInt32}
