-- The edge spans of the traces that began nearest to a moment; `services` restricts to some edges.
-- Where the traces begin is read first, and the edges of those alone that are wanted: to compare edges takes the
-- engine five times as long as to compare numbers.
{% from "macros/requests.sql" import edge_start, five_minutes %}
SELECT
    trace_id, first.span_id, first.service, first.host, first.method, first.status, first.request_key,
    edge_start_ns, duration_ns
FROM (
    SELECT trace_id, min(edge) AS first, {{ edge_start("first") }} AS edge_start_ns, min(place).duration_ns AS duration_ns
    FROM {database:Identifier}.trace_summary
    WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
        AND trace_id GLOBAL IN (
            SELECT trace_id
            FROM (
                SELECT trace_id, min(place) AS least, {{ edge_start("least") }} AS least_start_ns
                FROM {database:Identifier}.trace_summary
                WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
                GROUP BY trace_id
                HAVING least_start_ns >= {start_ns:Int64} AND least_start_ns < {end_ns:Int64}
            )
            {% if not services %}
            ORDER BY abs(least_start_ns - {moment_ns:Int64}), trace_id
            LIMIT {limit:UInt32}
            {% endif %}
        )
    GROUP BY trace_id
)
{% if services %}WHERE first.service IN {services:Array(String)}{% endif %}

ORDER BY abs(edge_start_ns - {moment_ns:Int64}), trace_id
LIMIT {limit:UInt32}
