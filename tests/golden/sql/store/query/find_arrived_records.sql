SELECT
    gateway, record_id, trace_id, source, api, start_ns,
    if(kind != 'websocket' AND NOT has(quality, 'STREAMING'), duration_ns, NULL) AS answered_ns,
    is_error OR ifNull(status, 0) >= 500 AS is_failed,
    reinterpretAsUInt64(substring(MD5(if(trace_id = '', record_id, trace_id)), 1, 8)) AS place, received_ns
FROM {database:Identifier}.gateway_record
WHERE received_ns > {after_ns:Int64} AND received_ns <= {until_ns:Int64}
ORDER BY received_ns
LIMIT {limit:UInt32} WITH TIES
