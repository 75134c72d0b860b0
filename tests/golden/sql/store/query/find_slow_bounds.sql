SELECT gateway, api, quantileTDigest(0.95)(duration_ns) AS p95, count() AS measured
FROM {database:Identifier}.gateway_record
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
    AND isNotNull(duration_ns) AND kind != 'websocket' AND NOT has(quality, 'STREAMING')
GROUP BY gateway, api
UNION ALL
SELECT '' AS gateway, edge.service AS api, quantileTDigest(0.95)(place.duration_ns) AS p95, count() AS measured
FROM {database:Identifier}.trace_summary
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000)))
GROUP BY api
ORDER BY measured DESC, gateway, api
LIMIT {limit:UInt32}
