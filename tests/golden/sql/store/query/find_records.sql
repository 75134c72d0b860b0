SELECT
    start_ns AS value, start_ns, gateway, record_id, received_ns, trace_id
FROM {database:Identifier}.gateway_record
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
    AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    AND gateway = {gateway:String}
    AND api = {api:String}
    AND operation = {operation:String}
    AND (route = {route:String} OR route = '' AND path = {route:String})
    AND method = {method:String}
    AND lower(host) = {host:String}
    AND consumer = {consumer:String}
    AND api_revision = {revision:String}
    AND ifNull(status, -1) = {status:Int32}
    AND intDiv(ifNull(status, 0), 100) = {status_class:Int32}
    AND is_error = {error:Bool}
    AND ifNull(duration_ns, -1) >= {min_duration_ns:Int64}
    AND (answer_ns >= {min_duration_ns:Int64} OR answer_ns = -1)
    AND ifNull(duration_ns, 9223372036854775807) <= {max_duration_ns:Int64}
    AND received_ns > {received_since_ns:Int64}
    AND (multiSearchAnyCaseInsensitiveUTF8(path, {spellings:Array(String)})
        OR positionCaseInsensitiveUTF8(route, {text:String}) > 0
        OR positionCaseInsensitiveUTF8(operation, {text:String}) > 0
        OR positionCaseInsensitiveUTF8(api, {text:String}) > 0
        OR positionCaseInsensitiveUTF8(error_reason, {text:String}) > 0
        OR positionCaseInsensitiveUTF8(error_source, {text:String}) > 0
        OR positionCaseInsensitiveUTF8(error_message, {text:String}) > 0
        OR startsWith(lower(replaceAll(record_id, '-', '')), {id_prefix:String})
        OR startsWith(trace_id, {id_prefix:String})
        OR arrayExists(id -> startsWith(lower(replaceAll(id.value, '-', '')), {id_prefix:String}), ids)
        )
    AND (cityHash64(trace_id) GLOBAL IN (SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND has(services, {service:String}))
        OR cityHash64(trace_id) GLOBAL NOT IN (
            SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600))
    AND (ifNull(attempts, 1) != 0 AND cache != 'hit') AND (source = {span_source:String} OR (cityHash64(trace_id) GLOBAL IN (
        SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600)
    OR cityHash64(gateway, record_id) GLOBAL IN (
        SELECT cityHash64(gateway, record_id) FROM {database:Identifier}.id_index
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND gateway != '' AND cityHash64(key) GLOBAL IN (
            SELECT cityHash64(key) AS hash FROM {database:Identifier}.id_index
            WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND gateway = ''
            GROUP BY hash HAVING count() <= {max_traces_of_id:UInt32}))) = {joined:Bool})
    AND (value, start_ns) <= ({after_value:Int64}, {after_start_ns:Int64})
ORDER BY value DESC, start_ns DESC
LIMIT {limit:UInt32}
    WITH TIES
