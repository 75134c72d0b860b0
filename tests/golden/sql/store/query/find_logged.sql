SELECT
    edge.start_ns AS value, edge.start_ns AS edge_start_ns,
    key, toUnixTimestamp(bucket) AS bucket_s
FROM {database:Identifier}.logged_request
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600
    AND edge.start_ns >= {start_ns:Int64} AND edge.start_ns < {end_ns:Int64}
    AND edge.path = {route:String}
    AND edge.method = {method:String}
    AND lower(edge.host) = {host:String}
    AND edge.status = {status:Int32}
    AND intDiv(edge.status, 100) = {status_class:Int32}
    AND edge.is_error = {error:Bool}
    AND -edge.longest >= {min_duration_ns:Int64}
    AND -edge.longest BETWEEN 0 AND {max_duration_ns:Int64}
    AND received_ns > {received_since_ns:Int64}
    AND (multiSearchAnyCaseInsensitiveUTF8(edge.path, {spellings:Array(String)})
        OR startsWith(key, {id_prefix:String})
        OR startsWith(key, {request_prefix:String})
        )
    AND key GLOBAL IN (
        SELECT key FROM {database:Identifier}.logged_request
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND has(services, {service:String}))
    AND key GLOBAL NOT IN (
        SELECT key FROM {database:Identifier}.logged_request ARRAY JOIN keys AS each
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND cityHash64(each) GLOBAL IN (SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600
UNION ALL
SELECT cityHash64(key) AS hash FROM {database:Identifier}.id_index
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND gateway != ''
GROUP BY hash HAVING uniq(gateway, record_id) <= {max_traces_of_id:UInt32}
UNION ALL
SELECT cityHash64(key) FROM {database:Identifier}.id_index
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND gateway = '' AND trace_id != '' AND cityHash64(trace_id) GLOBAL IN (
    SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600)))
    AND (value, edge_start_ns) <= ({after_value:Int64}, {after_start_ns:Int64})
ORDER BY value DESC, edge_start_ns DESC
LIMIT {limit:UInt32}
    WITH TIES
