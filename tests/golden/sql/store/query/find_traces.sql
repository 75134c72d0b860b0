WITH (
    SELECT min((value, edge_start_ns)) FROM (
        SELECT
            place.rank % 4000000000000000000 AS value,
            place.duration_ns AS value,
            place.rank % 4000000000000000000 AS edge_start_ns
        FROM {database:Identifier}.trace_summary
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600
    AND place.rank % 4000000000000000000 >= {start_ns:Int64} AND place.rank % 4000000000000000000 < {end_ns:Int64}
    AND edge.route = {route:String}
    AND edge.method = {method:String}
    AND edge.host = {host:String}
    AND edge.status = {status:Int32}
    AND intDiv(edge.status, 100) = {status_class:Int32}
    AND edge.is_error = {error:Bool}
    AND place.duration_ns >= {min_duration_ns:Int64}
    AND place.duration_ns <= {max_duration_ns:Int64}
    AND arrayExists(t -> positionCaseInsensitiveUTF8(t, {text:String}) > 0,
        [edge.path, edge.route, edge.name])
    AND trace_id GLOBAL IN (SELECT trace_id FROM {database:Identifier}.trace_summary
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND has(services, {service:String}))
    AND NOT (trace_id GLOBAL IN (
        SELECT trace_id FROM {database:Identifier}.gateway_record WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND trace_id != '')
    OR edge.request_key GLOBAL IN (
        SELECT key FROM {database:Identifier}.id_index
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND record_id != ''
        GROUP BY key HAVING uniq(gateway, record_id) <= 16))
    AND (value, edge_start_ns) <= ({after_value:Int64}, {after_start_ns:Int64})
        ORDER BY value DESC, edge_start_ns DESC
        LIMIT {limit:UInt32})
) AS last
SELECT
    place.rank % 4000000000000000000 AS value,
    place.duration_ns AS value,
    place.rank % 4000000000000000000 AS edge_start_ns,
    trace_id, edge.span_id AS edge_span_id, edge.request_key AS request_key
FROM {database:Identifier}.trace_summary
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600
    AND place.rank % 4000000000000000000 >= {start_ns:Int64} AND place.rank % 4000000000000000000 < {end_ns:Int64}
    AND edge.route = {route:String}
    AND edge.method = {method:String}
    AND edge.host = {host:String}
    AND edge.status = {status:Int32}
    AND intDiv(edge.status, 100) = {status_class:Int32}
    AND edge.is_error = {error:Bool}
    AND place.duration_ns >= {min_duration_ns:Int64}
    AND place.duration_ns <= {max_duration_ns:Int64}
    AND arrayExists(t -> positionCaseInsensitiveUTF8(t, {text:String}) > 0,
        [edge.path, edge.route, edge.name])
    AND trace_id GLOBAL IN (SELECT trace_id FROM {database:Identifier}.trace_summary
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND has(services, {service:String}))
    AND NOT (trace_id GLOBAL IN (
        SELECT trace_id FROM {database:Identifier}.gateway_record WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND trace_id != '')
    OR edge.request_key GLOBAL IN (
        SELECT key FROM {database:Identifier}.id_index
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND record_id != ''
        GROUP BY key HAVING uniq(gateway, record_id) <= 16))
    AND (value, edge_start_ns) <= ({after_value:Int64}, {after_start_ns:Int64})
    AND bucket >= toStartOfFiveMinutes(toDateTime(intDiv(last.2, 1000000000))) - 3600
    AND place.duration_ns >= last.1
    AND (value, edge_start_ns) >= last
ORDER BY value DESC, edge_start_ns DESC, trace_id DESC
