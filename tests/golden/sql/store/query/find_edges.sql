SELECT
    trace_id, min(edge) AS first, first.rank % 4000000000000000000 AS edge_start_ns, min(place).duration_ns AS edge_duration_ns
FROM {database:Identifier}.trace_summary
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
GROUP BY trace_id
HAVING edge_start_ns >= {start_ns:Int64} AND edge_start_ns < {end_ns:Int64}
    AND (empty({services:Array(String)}) OR first.service IN {services:Array(String)})
ORDER BY abs(edge_start_ns - {moment_ns:Int64}), trace_id
LIMIT {limit:UInt32}
