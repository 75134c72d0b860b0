SELECT
    trace_id, first.span_id, first.service, first.host, first.method, first.status, first.request_key,
    edge_start_ns, duration_ns
FROM (
    SELECT trace_id, min(edge) AS first, first.rank % 4000000000000000000 AS edge_start_ns, min(place).duration_ns AS duration_ns
    FROM {database:Identifier}.trace_summary
    WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
        AND trace_id GLOBAL IN (
            SELECT trace_id
            FROM (
                SELECT trace_id, min(place) AS least, least.rank % 4000000000000000000 AS least_start_ns
                FROM {database:Identifier}.trace_summary
                WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
                GROUP BY trace_id
                HAVING least_start_ns >= {start_ns:Int64} AND least_start_ns < {end_ns:Int64}
            )
        )
    GROUP BY trace_id
)
WHERE first.service IN {services:Array(String)}
ORDER BY abs(edge_start_ns - {moment_ns:Int64}), trace_id
LIMIT {limit:UInt32}
