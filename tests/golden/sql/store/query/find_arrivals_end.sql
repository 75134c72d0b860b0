SELECT received_ns
FROM {database:Identifier}.trace_summary
WHERE received_ns > {after_ns:Int64} AND received_ns <= {until_ns:Int64}
ORDER BY received_ns
LIMIT 1 OFFSET {skipped:UInt32}
