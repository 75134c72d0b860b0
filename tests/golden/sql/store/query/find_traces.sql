SELECT
    place.rank % 4000000000000000000 AS value, place.rank % 4000000000000000000 AS edge_start_ns,
    trace_id, edge.span_id AS edge_span_id, edge.request_key AS request_key
FROM {database:Identifier}.trace_summary
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600
    AND place.rank % 4000000000000000000 >= {start_ns:Int64} AND place.rank % 4000000000000000000 < {end_ns:Int64}
    AND multiIf(edge.route != '', edge.route, edge.name != '', edge.name, edge.path) = {route:String}
    AND edge.method = {method:String}
    AND lower(edge.host) = {host:String}
    AND edge.status = {status:Int32}
    AND intDiv(edge.status, 100) = {status_class:Int32}
    AND edge.is_error = {error:Bool}
    AND place.duration_ns >= {min_duration_ns:Int64}
    AND place.duration_ns <= {max_duration_ns:Int64}
    AND received_ns > {received_since_ns:Int64}
    AND (multiSearchAnyCaseInsensitiveUTF8(edge.path, {spellings:Array(String)})
        OR positionCaseInsensitiveUTF8(edge.route, {text:String}) > 0
        OR positionCaseInsensitiveUTF8(edge.name, {text:String}) > 0
        OR startsWith(trace_id, {id_prefix:String})
        OR startsWith(edge.request_key, {request_prefix:String})
        )
    AND cityHash64(trace_id) GLOBAL IN (SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND has(services, {service:String}))
    AND NOT (cityHash64(trace_id) GLOBAL IN (
        SELECT cityHash64(trace_id) FROM {database:Identifier}.gateway_record
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND trace_id != '')
    OR edge.request_key != '' AND cityHash64(edge.request_key) GLOBAL IN (
        SELECT cityHash64(key) AS hash FROM {database:Identifier}.id_index
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND gateway != ''
        GROUP BY hash HAVING uniq(gateway, record_id) <= {max_traces_of_id:UInt32}))
    AND (value, edge_start_ns) <= ({after_value:Int64}, {after_start_ns:Int64})
ORDER BY value DESC, edge_start_ns DESC
LIMIT {limit:UInt32}
    WITH TIES
