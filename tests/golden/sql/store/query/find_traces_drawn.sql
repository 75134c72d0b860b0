SELECT DISTINCT trace_id
FROM {database:Identifier}.trace_summary
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND cityHash64(trace_id) <= {most:UInt64}
ORDER BY trace_id
LIMIT {limit:UInt32}
