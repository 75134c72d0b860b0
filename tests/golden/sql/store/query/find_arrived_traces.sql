SELECT
    trace_id, min(edge).service AS service, min(edge).rank % 4000000000000000000 AS edge_start_ns,
    min(place).duration_ns AS edge_duration_ns, min(edge).is_error OR sum(errors) > 0 AS is_failed,
    reinterpretAsUInt64(substring(MD5(trace_id), 1, 8)) AS hash, max(received_ns) AS arrived_ns
FROM {database:Identifier}.trace_summary
WHERE received_ns > {after_ns:Int64} AND received_ns <= {until_ns:Int64}
GROUP BY trace_id
ORDER BY arrived_ns
