SELECT
    if({order:String} = '-start', edge.start_ns, edge.duration_ns) AS value,
    edge.start_ns AS edge_start_ns, trace_id, edge.span_id AS edge_span_id, edge.request_key AS request_key
FROM {database:Identifier}.trace_summary
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600
    AND edge.start_ns >= {start_ns:Int64} AND edge.start_ns < {end_ns:Int64}
    AND ({route:String} = '' OR edge.route = {route:String})
    AND ({method:String} = '' OR edge.method = {method:String})
    AND ({host:String} = '' OR edge.host = {host:String})
    AND ({status:Int32} = -1 OR edge.status = {status:Int32})
    AND ({status_class:Int32} = -1 OR intDiv(edge.status, 100) = {status_class:Int32})
    AND ({error:Int32} = -1 OR edge.is_error = ({error:Int32} = 1))
    AND ({min_duration_ns:Int64} = -1 OR edge.duration_ns >= {min_duration_ns:Int64})
    AND ({max_duration_ns:Int64} = -1 OR edge.duration_ns <= {max_duration_ns:Int64})
    AND ({text:String} = '' OR arrayExists(
        t -> positionCaseInsensitiveUTF8(t, {text:String}) > 0, [edge.path, edge.route, edge.name]))
    AND ({service:String} = '' OR trace_id GLOBAL IN (SELECT trace_id FROM {database:Identifier}.trace_summary
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND has(services, {service:String})))
    AND ({is_thorough:Int32} = 0 OR NOT (trace_id GLOBAL IN (
        SELECT trace_id FROM {database:Identifier}.gateway_record WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND trace_id != '')
    OR edge.request_key GLOBAL IN (
        SELECT key FROM {database:Identifier}.id_index
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND record_id != ''
        GROUP BY key HAVING uniq(gateway, record_id) <= 16)))
    AND value <= {after_value:Int64}
    AND (value, edge_start_ns, '', trace_id)
        < ({after_value:Int64}, {after_start_ns:Int64}, {after_gateway:String}, {after_id:String})
ORDER BY value DESC, edge_start_ns DESC, trace_id DESC
LIMIT {limit:UInt32}
