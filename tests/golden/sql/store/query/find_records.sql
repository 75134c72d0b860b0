WITH (
    SELECT min((value, start_ns)) FROM (
        SELECT if({order:String} = '-start', start_ns, answer_ns) AS value, start_ns
        FROM {database:Identifier}.gateway_record
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
    AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    AND ({gateway:String} = '' OR gateway = {gateway:String})
    AND ({api:String} = '' OR api = {api:String})
    AND ({operation:String} = '' OR operation = {operation:String})
    AND ({route:String} = '' OR route = {route:String})
    AND ({method:String} = '' OR method = {method:String})
    AND ({host:String} = '' OR host = {host:String})
    AND ({consumer:String} = '' OR consumer = {consumer:String})
    AND ({revision:String} = '' OR api_revision = {revision:String})
    AND ({status:Int32} = -1 OR ifNull(status, -1) = {status:Int32})
    AND ({status_class:Int32} = -1 OR intDiv(ifNull(status, 0), 100) = {status_class:Int32})
    AND ({error:Int32} = -1 OR is_error = ({error:Int32} = 1))
    AND ({min_duration_ns:Int64} = -1 OR ifNull(duration_ns, -1) >= {min_duration_ns:Int64})
    AND ({max_duration_ns:Int64} = -1 OR ifNull(duration_ns, 9223372036854775807) <= {max_duration_ns:Int64})
    AND ({text:String} = '' OR arrayExists(
        t -> positionCaseInsensitiveUTF8(t, {text:String}) > 0,
        [path, toString(route), toString(operation), toString(api)]))
    AND ({service:String} = '' OR trace_id = '' OR trace_id GLOBAL IN (SELECT trace_id FROM {database:Identifier}.trace_summary
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND has(services, {service:String})))
    AND ({joined:Int32} = -1 OR source = 'span' OR (trace_id GLOBAL IN (SELECT trace_id FROM {database:Identifier}.trace_summary WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600)
    OR record_id GLOBAL IN (
        SELECT record_id FROM {database:Identifier}.id_index
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND record_id != '' AND key GLOBAL IN (
            SELECT key FROM {database:Identifier}.id_index
            WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND record_id = ''
            GROUP BY key HAVING uniq(trace_id) <= 16))) = ({joined:Int32} = 1))
    AND (value, start_ns) <= ({after_value:Int64}, {after_start_ns:Int64})
        ORDER BY value DESC, start_ns DESC
        LIMIT {limit:UInt32})
) AS last
SELECT if({order:String} = '-start', start_ns, answer_ns) AS value, start_ns, gateway, record_id, received_ns
FROM {database:Identifier}.gateway_record
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
    AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    AND ({gateway:String} = '' OR gateway = {gateway:String})
    AND ({api:String} = '' OR api = {api:String})
    AND ({operation:String} = '' OR operation = {operation:String})
    AND ({route:String} = '' OR route = {route:String})
    AND ({method:String} = '' OR method = {method:String})
    AND ({host:String} = '' OR host = {host:String})
    AND ({consumer:String} = '' OR consumer = {consumer:String})
    AND ({revision:String} = '' OR api_revision = {revision:String})
    AND ({status:Int32} = -1 OR ifNull(status, -1) = {status:Int32})
    AND ({status_class:Int32} = -1 OR intDiv(ifNull(status, 0), 100) = {status_class:Int32})
    AND ({error:Int32} = -1 OR is_error = ({error:Int32} = 1))
    AND ({min_duration_ns:Int64} = -1 OR ifNull(duration_ns, -1) >= {min_duration_ns:Int64})
    AND ({max_duration_ns:Int64} = -1 OR ifNull(duration_ns, 9223372036854775807) <= {max_duration_ns:Int64})
    AND ({text:String} = '' OR arrayExists(
        t -> positionCaseInsensitiveUTF8(t, {text:String}) > 0,
        [path, toString(route), toString(operation), toString(api)]))
    AND ({service:String} = '' OR trace_id = '' OR trace_id GLOBAL IN (SELECT trace_id FROM {database:Identifier}.trace_summary
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND has(services, {service:String})))
    AND ({joined:Int32} = -1 OR source = 'span' OR (trace_id GLOBAL IN (SELECT trace_id FROM {database:Identifier}.trace_summary WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600)
    OR record_id GLOBAL IN (
        SELECT record_id FROM {database:Identifier}.id_index
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND record_id != '' AND key GLOBAL IN (
            SELECT key FROM {database:Identifier}.id_index
            WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND record_id = ''
            GROUP BY key HAVING uniq(trace_id) <= 16))) = ({joined:Int32} = 1))
    AND (value, start_ns) <= ({after_value:Int64}, {after_start_ns:Int64})
    AND ({order:String} != '-start' OR bucket >= toStartOfFiveMinutes(toDateTime(intDiv(last.2, 1000000000))))
    AND ({order:String} = '-start' OR answer_ns >= last.1)
    AND (value, start_ns) >= last
ORDER BY value DESC, start_ns DESC, toString(gateway) DESC, record_id DESC, received_ns DESC
