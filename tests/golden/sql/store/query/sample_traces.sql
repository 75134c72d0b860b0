SELECT cityHash64(trace_id) AS place, trace_id, min(start_ns) AS start, max(received_ns) AS received
FROM {database:Identifier}.trace_summary
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
    AND cityHash64(trace_id) <= {most:UInt64}
GROUP BY trace_id
HAVING start >= {start_ns:Int64} AND start < {end_ns:Int64}
ORDER BY place
LIMIT {limit:UInt32}
