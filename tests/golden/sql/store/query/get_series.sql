SELECT
    gateway, api, key,
    sumResample(0, 24, 1)(stands_for, at), sumResample(0, 24, 1)(if(is_error, stands_for, 0), at)
FROM (
    SELECT *, intDiv((start_ns - {start_ns:Int64}) * 24, {end_ns:Int64} - {start_ns:Int64}) AS at
    FROM (
SELECT
        gateway, api, operation, route, method, host, consumer, api_revision, status, is_error, start_ns,
        greatest(weight, 1e-9) AS stands_for, NOT (kind != 'websocket' AND NOT has(quality, 'STREAMING')) AS is_open,
        [
            ifNull(toString({first:Identifier}), ''), ifNull(toString({second:Identifier}), ''),
            ifNull(toString({third:Identifier}), '')
        ] AS key,
        if(kind != 'websocket' AND NOT has(quality, 'STREAMING'), gateway_record.duration_ns, NULL) AS duration_ns,
        isNotNull(duration_ns) AND NOT hasAny(quality, {unmeasured_flags:Array(String)}) AS is_measured
    FROM {database:Identifier}.gateway_record AS gateway_record
    WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
        AND NOT is_probe AND source NOT IN {side_sources:Array(String)} AND (source != {span_source:String} OR (
    (gateway, record_id) GLOBAL NOT IN (
        SELECT gateway, record_id FROM {database:Identifier}.gateway_record
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source != {span_source:String} AND gateway GLOBAL IN (
            SELECT gateway FROM {database:Identifier}.gateway_record WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source = {span_source:String}))
    AND (gateway, trace_id) GLOBAL NOT IN (
        SELECT gateway, trace_id FROM {database:Identifier}.gateway_record
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source != {span_source:String} AND trace_id != '' AND gateway GLOBAL IN (
            SELECT gateway FROM {database:Identifier}.gateway_record WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source = {span_source:String}))))
    ORDER BY bucket, record_id, gateway, source IN {line_sources:Array(String)}, received_ns DESC
    LIMIT 1 BY bucket, record_id, gateway
    )
)
WHERE start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
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
    AND ({max_duration_ns:Int64} = -1 OR ifNull(duration_ns, -1) BETWEEN 0 AND {max_duration_ns:Int64})
GROUP BY gateway, api, key
ORDER BY sum(stands_for) DESC, gateway, api, key
LIMIT {limit:UInt32}
