SELECT
    gateway, api, key,
    sum(requests) AS all_requests, all_requests * all_requests / sum(squares) AS effective,
    sum(errors) AS all_errors, sum(refused) AS all_refused, sum(measured) AS all_measured, sum(open) AS all_open,
    quantilesTDigestWeightedIfMerge(
        0.5, 0.95, 0.99, 0.3, 0.4, 0.45, 0.475, 0.525, 0.55, 0.6, 0.7, 0.8, 0.85, 0.88, 0.9, 0.91, 0.92, 0.93, 0.94,
        0.96, 0.97, 0.98, 1.0
    )(durations) AS levels
FROM (
    SELECT gateway, api, key, sum(stands_for) AS requests, sum(stands_for * stands_for) AS squares, sumIf(stands_for, is_error) AS errors,
    sumIf(stands_for, intDiv(ifNull(status, 0), 100) = 4) AS refused,
    countIf(is_measured) AS measured, sumIf(stands_for, is_open) AS open,
    quantilesTDigestWeightedIfState(0.5)(
        ifNull(duration_ns, 0), toUInt32(greatest(round(stands_for), 1)), is_measured) AS durations
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
    WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64} AND intDiv(toUnixTimestamp(bucket), 3600) NOT IN {hours:Array(UInt32)}
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
    UNION ALL
    SELECT gateway, api, emptyArrayString() AS key, requests, squares, errors, refused, measured, open, durations
    FROM {database:Identifier}.record_hour
    WHERE (intDiv(toUnixTimestamp(hour), 3600), revision) IN {summed:Array(Tuple(UInt32, UInt64))}
        AND ({gateway:String} = '' OR gateway = {gateway:String}) AND ({api:String} = '' OR api = {api:String})
)
GROUP BY gateway, api, key
ORDER BY all_requests DESC, gateway, api, key
LIMIT {limit:UInt32}
