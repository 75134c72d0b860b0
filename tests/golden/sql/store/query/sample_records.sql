SELECT gateway, api, record_id, toUnixTimestamp(bucket) AS bucket_s, if(source = {span_source:String}, trace_id, '') AS own_trace
FROM {database:Identifier}.gateway_record
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    AND ({gateway:String} = '' OR gateway = {gateway:String})
    AND ({api:String} = '' OR api = {api:String})
    AND ({operation:String} = '' OR operation = {operation:String})
    AND ({route:String} = '' OR route = {route:String})
    AND ({method:String} = '' OR method = {method:String})
    AND ({host:String} = '' OR lower(host) = {host:String})
    AND ({consumer:String} = '' OR consumer = {consumer:String})
    AND ({revision:String} = '' OR api_revision = {revision:String})
    AND ({status:Int32} = -1 OR ifNull(status, 0) = {status:Int32})
    AND ({status_class:Int32} = -1 OR intDiv(ifNull(status, 0), 100) = {status_class:Int32})
    AND ({is_error:Int8} = -1 OR is_error = ({is_error:Int8} = 1))
    AND ({min_duration_ns:Int64} = -1 OR ifNull(duration_ns, -1) >= {min_duration_ns:Int64})
    AND ({max_duration_ns:Int64} = -1 OR ifNull(duration_ns, -1) BETWEEN 0 AND {max_duration_ns:Int64}) AND NOT is_probe AND source NOT IN {side_sources:Array(String)} AND (source != {span_source:String} OR (
    (gateway, record_id) GLOBAL NOT IN (
        SELECT gateway, record_id FROM {database:Identifier}.gateway_record
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source != {span_source:String} AND gateway GLOBAL IN (
            SELECT gateway FROM {database:Identifier}.gateway_record WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source = {span_source:String}))
    AND (gateway, trace_id) GLOBAL NOT IN (
        SELECT gateway, trace_id FROM {database:Identifier}.gateway_record
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source != {span_source:String} AND trace_id != '' AND gateway GLOBAL IN (
            SELECT gateway FROM {database:Identifier}.gateway_record WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source = {span_source:String})))) AND (ifNull(attempts, 1) != 0 AND cache != 'hit')
    AND cityHash64(record_id) % {one_in:UInt32} = 0
ORDER BY cityHash64(record_id), gateway
LIMIT {each:UInt32} BY gateway, api
LIMIT {limit:UInt32}
