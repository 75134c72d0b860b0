SELECT gateway, record_id, trace_id, start_ns, duration_ns, stored_ns
FROM {database:Identifier}.gateway_record
WHERE stored_ns > {after_ns:Int64} AND stored_ns <= {until_ns:Int64}
    AND received_ns > {after_ns:Int64} - {reach_ns:Int64} AND source != 'span'
    AND (empty({gateways:Array(String)}) OR has({gateways:Array(String)}, gateway))
ORDER BY stored_ns
LIMIT {limit:UInt32} WITH TIES
