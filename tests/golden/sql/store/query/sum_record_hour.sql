INSERT INTO {database:Identifier}.record_hour
    (hour, gateway, api, revision, is_gone, seen, requests, squares, errors, refused, measured, open, durations)
SELECT
    toDateTime(intDiv({start_ns:Int64}, 1000000000)) AS hour, gateway, api, {revision:UInt64} AS revision, 0 AS is_gone,
    {seen:UInt64} AS seen,
    sum(stands_for) AS requests, sum(stands_for * stands_for) AS squares, sumIf(stands_for, is_error) AS errors,
    sumIf(stands_for, intDiv(ifNull(status, 0), 100) = 4) AS refused,
    countIf(is_measured) AS measured, sumIf(stands_for, is_open) AS open,
    quantilesTDigestWeightedIfState(0.5)(
        ifNull(duration_ns, 0), toUInt32(greatest(round(stands_for), 1)), is_measured) AS durations
FROM (
SELECT
        gateway, api, operation, route, method, host, consumer, api_revision, status, is_error, start_ns,
        greatest(weight, 1e-9) AS stands_for, NOT (kind != 'websocket' AND NOT has(quality, 'STREAMING')) AS is_open,
        '' AS key,
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
GROUP BY gateway, api
