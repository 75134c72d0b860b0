WITH ifNull(is_joined, true) AND isNotNull(duration_ns) AS is_known
SELECT
    gateway, api,
    [
            ifNull(toString({first:Identifier}), ''), ifNull(toString({second:Identifier}), ''),
            ifNull(toString({third:Identifier}), '')
        ] AS key,
    count() AS stitched, countIf(is_known) AS known,
    sumIf(weight, is_joined) AS joined, sumIf(weight, isNotNull(is_joined)) AS departed,
    sumIf(weight * duration_ns, is_known) AS total,
    [
        sumIf(weight * client_ns, is_known), sumIf(weight * (ifNull(gateway_ns, 0) + ifNull(cache_ns, 0)), is_known),
        sumIf(weight * network_ns, is_known),
        sumIf(weight * (ifNull(edge_proxy_ns, 0) + ifNull(mesh_proxy_ns, 0)), is_known),
        sumIf(weight * app_ns, is_known), sumIf(weight * dependency_ns, is_known),
        sumIf(weight * unexplained_ns, is_known)
    ] AS times,
    sumMapIf([toString(verdict_layer)], [toUInt64(weight)], is_error) AS layers
FROM {database:Identifier}.request FINAL
WHERE bucket >= toStartOfFiveMinutes(toDateTime(intDiv({start_ns:Int64}, 1000000000))) AND bucket <= toStartOfFiveMinutes(toDateTime(intDiv({end_ns:Int64}, 1000000000))) AND NOT is_probe AND origin = 'record' AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
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
ORDER BY stitched DESC, gateway, api, key
LIMIT {limit:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
