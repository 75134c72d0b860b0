-- When, in a stretch of time, the last of as many rows of traces arrived as are read at once; none for fewer.
SELECT received_ns
FROM {database:Identifier}.trace_summary
WHERE received_ns > {after_ns:Int64} AND received_ns <= {until_ns:Int64}
ORDER BY received_ns
LIMIT 1 OFFSET {skipped:UInt32}
