SELECT
    gateway, api, count() AS requests, countIf(is_error) AS errors,
    quantilesTDigestIf(0.5, 0.95, 0.99)(ifNull(duration_ns, 0), is_measured) AS durations
FROM (
    SELECT
        gateway, api, is_error, duration_ns,
        isNotNull(duration_ns) AND kind != 'websocket' AND NOT has(quality, 'STREAMING')
            AND NOT hasAny(quality, {unmeasured_flags:Array(String)}) AS is_measured
    FROM {database:Identifier}.gateway_record
    WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
        AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
        AND NOT is_probe AND source NOT IN {side_sources:Array(String)} AND (source != {span_source:String} OR (
    (gateway, record_id) GLOBAL NOT IN (
        SELECT gateway, record_id FROM {database:Identifier}.gateway_record
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source != {span_source:String} AND gateway GLOBAL IN (
            SELECT gateway FROM {database:Identifier}.gateway_record WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source = {span_source:String}))
    AND (gateway, trace_id) GLOBAL NOT IN (
        SELECT gateway, trace_id FROM {database:Identifier}.gateway_record
        WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source != {span_source:String} AND trace_id != '' AND gateway GLOBAL IN (
            SELECT gateway FROM {database:Identifier}.gateway_record WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) - 3600 AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) + 3600 AND source = {span_source:String}))))
    ORDER BY bucket, record_id, gateway, received_ns DESC
    LIMIT 1 BY bucket, record_id, gateway
)
GROUP BY gateway, api
ORDER BY requests DESC, gateway, api
LIMIT {limit:UInt32}
