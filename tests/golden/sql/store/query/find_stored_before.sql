SELECT DISTINCT gateway, record_id
FROM {database:Identifier}.gateway_record
WHERE bucket IN {buckets:Array(DateTime)} AND record_id IN {record_ids:Array(String)}
    AND stored_ns > 0 AND stored_ns <= {moment_ns:Int64} AND trace_id != '' AND source != 'span'
ORDER BY gateway, record_id
